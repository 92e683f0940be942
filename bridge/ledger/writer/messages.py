"""The messages between the bridge's process and the ledger writer process, and what each request does.

In: values of the ledger. Out: MessagePack, one frame for each message: its length, then the message. The bridge sends
`Start` first, then requests and `UseReader`; each is answered in its order, a request with the result of its operation.
Nothing here opens a transaction: `bridge.ledger.writer.executor` does.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, Literal, Protocol, TypeVar

import msgspec
from sqlalchemy.engine import Connection

from bridge.clock import Millis
from bridge.ledger.decisions import Decision
from bridge.ledger.incoming import IncomingNotification, NotificationReader, OpenedNotification
from bridge.ledger.operations import claims, listed, purge
from bridge.ledger.operations.claims import Claimed, Settled
from bridge.ledger.operations.listed import ListedChange
from bridge.ledger.operations.put import PutParameters, PutResult, put, put_one_by_one
from bridge.ledger.states import Action
from bridge.ledger.storage.files import Identity

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Operation = Callable[[Connection], T]

HEAD = struct.Struct("<Q")
"""The header of each frame: the length of the message in bytes."""


class Request(Protocol[T_co]):
    """A transaction that either process can run.

    Attributes:
        is_durable: whether it must survive a loss of power; if not, the commit does not wait for the disk, and survives
            only a crash of the process.
    """

    is_durable: ClassVar[bool]

    def operations(self, reader: NotificationReader, /) -> Sequence[Operation[T_co]]:
        """Return its operation; a second one is run instead if the first fails although the database works."""


class PutRequest(msgspec.Struct, frozen=True, tag=True):
    """Take in notifications."""

    is_durable: ClassVar[bool] = True
    notifications: list[IncomingNotification]
    parameters: PutParameters

    def operations(self, reader: NotificationReader, /) -> Sequence[Operation[PutResult]]:
        """Put all of them at once; if that fails, one by one, so that one that fails does not fail the others."""
        opened = [OpenedNotification(notification, reader) for notification in self.notifications]
        together = partial(put, notifications=opened, parameters=self.parameters)
        return together, partial(put_one_by_one, notifications=opened, parameters=self.parameters)


class ClaimRequest(msgspec.Struct, frozen=True, tag=True):
    """Take due alarms for one worker; the fields are the parameters of `claims.claim`."""

    is_durable: ClassVar[bool] = False  # after a crash a lost claim is made again
    target: str
    action: Action
    holder: str
    lease: Millis
    limit: int
    now: Millis
    horizon: Millis

    def operations(self, _reader: NotificationReader, /) -> Sequence[Operation[Claimed]]:
        """Claim them."""
        return (partial(claims.claim, **msgspec.structs.asdict(self)),)


class SettleRequest(msgspec.Struct, frozen=True, tag=True):
    """Apply decisions about claimed alarms; the fields are the parameters of `claims.settle`."""

    is_durable: ClassVar[bool] = False  # a lost settle repeats the push, as after a crash just before it
    holder: str
    decisions: list[tuple[int, Decision]]
    now: Millis

    def operations(self, _reader: NotificationReader, /) -> Sequence[Operation[Settled]]:
        """Settle them."""
        return (partial(claims.settle, **msgspec.structs.asdict(self)),)


class ListedRequest(msgspec.Struct, frozen=True, tag=True):
    """Apply changes that follow from what the API shows; the fields are the parameters of `listed.apply`."""

    is_durable: ClassVar[bool] = True
    source: str
    holder: str | None
    changes: list[ListedChange]
    parameters: PutParameters
    expires_at: float

    def operations(self, reader: NotificationReader, /) -> Sequence[Operation[PutResult]]:
        """Apply them."""
        return (partial(listed.apply, **msgspec.structs.asdict(self), reader=reader),)


class ProbeRequest(msgspec.Struct, frozen=True, tag=True):
    """Commit a small write."""

    is_durable: ClassVar[bool] = True
    now: Millis

    def operations(self, _reader: NotificationReader, /) -> Sequence[Operation[None]]:
        """Store the time of the probe."""
        return (partial(purge.mark_probed, now=self.now),)


class Start(msgspec.Struct, frozen=True, tag=True):
    """The first message: the database, the identity of its files, and the pickled `NotificationReader`."""

    url: str
    identity: Identity | None
    reader: bytes


class UseReader(msgspec.Struct, frozen=True, tag=True):
    """The rules have changed: use this pickled `NotificationReader` from now on."""

    reader: bytes


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A request failed.

    ``kind``: `database` for a `DatabaseUnavailableError` with this text, `unavailable` for another
    `LedgerUnavailableError`, `internal` for an error of the bridge itself, whose type is the text; nothing was stored.
    `gone`: the process exited; its last transaction was committed
    completely or not at all.
    """

    kind: Literal["database", "unavailable", "internal", "gone"]
    text: str


Message = Start | UseReader | PutRequest | ClaimRequest | SettleRequest | ListedRequest | ProbeRequest
Answer = PutResult | Claimed | Settled | Failed | None

_encoder = msgspec.msgpack.Encoder()
_messages: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
# Not strict: SQLite gives 0 and 1 for False and True.
_answers: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer, strict=False)


def framed(message: object) -> bytearray:
    """Return the frame of a message or an answer, without a second copy of it."""
    packed = bytearray(HEAD.size)
    _encoder.encode_into(message, packed, HEAD.size)
    HEAD.pack_into(packed, 0, len(packed) - HEAD.size)
    return packed


def read_message(packed: bytes) -> Message:
    """Return the message in a frame; raises `msgspec.DecodeError`."""
    return _messages.decode(packed)


def read_answer(packed: bytes | bytearray) -> Answer:
    """Return the answer in a frame; raises `msgspec.DecodeError`."""
    return _answers.decode(packed)
