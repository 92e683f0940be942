"""The settings of the `web:` section."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.typed_yaml.scalars import SizeField
from bridge.typed_yaml.section import Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """The `web:` section: limits for request bodies.

    Attributes:
        max_body: the largest body of a webhook, decompressed, at least 1MiB; a larger one is answered 413. Raise it if
            Alertmanager posts larger groups.
        max_body_in_flight: memory for the bodies of all webhooks that are being read; one that finds no room for 5 s is
            answered 503. Raise it with the container's memory.
    """

    max_body: SizeField = 64 << 20
    max_body_in_flight: SizeField = 256 << 20

    def problems(self) -> Problems:
        """Return the problems of the section: pairs of the key and the sentence."""
        if not 1 << 20 <= self.max_body <= self.max_body_in_flight:
            return [("max_body", "it must be 1MiB up to max_body_in_flight. Fix: such as 64MiB.")]
        return []
