"""Lists of values that go from one process to another: packed, at a tenth of what pickle needs for them."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import msgspec

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()


class Packed(list[T]):
    """A list that pickle takes as one MessagePack text; each kind of it names what it is a list of.

    Attributes:
        decoder: makes the list again.
    """

    decoder: ClassVar[msgspec.msgpack.Decoder[Any]]

    def __init_subclass__(cls, *, of: object) -> None:
        # Not strict: SQLite gives 0 and 1 for False and True.
        cls.decoder = msgspec.msgpack.Decoder(list[of], strict=False)  # type: ignore[valid-type] # known at run time

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to make it again."""
        return _unpacked, (type(self), _encoder.encode(list(self)))


def _unpacked(kind: type[Packed[T]], packed: bytes) -> Packed[T]:
    return kind(kind.decoder.decode(packed))
