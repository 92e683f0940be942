"""Reads the answers of Alertmanager's API v2: the status of a peer, and the list of its alerts; pure.

In: the bodies of ``GET /api/v2/status``, ``/alerts`` and ``/alerts/groups``. Out: values, or `AnswerError` with what is
wrong. Facts: Alertmanager's api/v2/openapi.yaml of 0.25 to 0.34, and measurements. Times are milliseconds by the peer's
own clock. The list is read in pieces, because one call of the decoder blocks every thread until it returns. An alert's
fingerprint is computed from its labels, so that no server can name another alert than it shows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Literal

import msgspec

from bridge.clock import Millis
from bridge.errors import BridgeError
from bridge.notification import Labels, fingerprint

_PIECE_BYTES = 256 << 10
_ALERT_BEGIN = b'},{"annotations":'
"""Between two alerts as Alertmanager writes them. Within a text each quote has a backslash before it, and no object
within an alert has this key, so these bytes are nowhere else."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_EXCERPT_CHARACTERS = 200


class AnswerError(BridgeError):
    """An answer that is not one of Alertmanager's API."""


class PeerStatus(msgspec.Struct, frozen=True):
    """What a peer says of itself.

    ``name``: its own name in its cluster, new at each start; empty without clustering. ``started_at``: when it was
    started, by its own clock. ``peers``: the gossip addresses of all peers that it sees, itself included, by their
    names. ``config``: its configuration as YAML, without secrets.
    """

    name: str
    state: Literal["ready", "settling", "disabled"]
    started_at: Millis
    peers: Mapping[str, str]
    version: str
    config: str


class ListedAlert(msgspec.Struct, frozen=True, gc=False):
    """An alert that fires, as one peer lists it.

    ``ends_at``: until when it is valid if its sender does not post it again. ``updated_at``: when the peer last got it.
    ``receivers``: their names by the peer's current routes.
    """

    fingerprint: str
    labels: Labels
    annotations: Labels
    starts_at: Millis
    ends_at: Millis
    updated_at: Millis
    generator_url: str
    receivers: tuple[str, ...]
    is_suppressed: bool

    @property
    def validity(self) -> Millis:
        """For how long its sender's post is valid: four times the interval in which the sender posts it again."""
        return max(self.ends_at - self.updated_at, 0)


class Fingerprints:
    """The fingerprints of label sets, computed once: for 100,000 alerts that takes longer than the rest of a round."""

    def __init__(self) -> None:
        self._hashes: dict[str, int] = {}

    def of(self, claimed: str, labels: Labels) -> str:
        """Return the fingerprint of a label set; ``claimed``: what the peer says that it is."""
        own_hash = hash(frozenset(labels.items()))
        if self._hashes.get(claimed) == own_hash:
            return claimed
        computed = fingerprint(labels)
        self._hashes[computed] = own_hash
        return computed

    def forget_all_but(self, fingerprints: Collection[str]) -> None:
        """Forget the others."""
        self._hashes = {one: own_hash for one, own_hash in self._hashes.items() if one in fingerprints}


class _WirePeer(msgspec.Struct):
    name: str
    address: str = ""


class _WireCluster(msgspec.Struct):
    status: Literal["ready", "settling", "disabled"]
    name: str = ""
    peers: list[_WirePeer] | None = None


class _WireVersion(msgspec.Struct):
    version: str = ""


class _WireConfig(msgspec.Struct):
    original: str = ""


class _WireStatus(msgspec.Struct):
    cluster: _WireCluster
    uptime: datetime
    version_info: _WireVersion = msgspec.field(default_factory=_WireVersion, name="versionInfo")
    config: _WireConfig = msgspec.field(default_factory=_WireConfig)


class _WireReceiver(msgspec.Struct, gc=False):
    name: str


class _WireState(msgspec.Struct, rename="camel", gc=False):
    state: Literal["active", "suppressed", "unprocessed"]
    muted_by: list[str] | None = None


class _WireAlert(msgspec.Struct, rename="camel", gc=False):
    labels: dict[str, str]
    starts_at: datetime
    ends_at: datetime
    updated_at: datetime
    receivers: list[_WireReceiver]
    status: _WireState
    annotations: dict[str, str] = {}
    fingerprint: str = ""
    generator_url: str = msgspec.field(default="", name="generatorURL")


class _WireGroup(msgspec.Struct):
    receiver: _WireReceiver
    labels: dict[str, str]
    alerts: list[_WireAlert]


_status = msgspec.json.Decoder(_WireStatus)
_alerts = msgspec.json.Decoder(list[_WireAlert])
_groups = msgspec.json.Decoder(list[_WireGroup])


def read_status(body: bytes) -> PeerStatus:
    """Read the answer to ``GET /api/v2/status``.

    Raises:
        AnswerError: it is none.
    """
    try:
        wire = _status.decode(body)
        started_at = _millis(wire.uptime)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise _no_answer("status", error, body) from None
    cluster = wire.cluster
    return PeerStatus(
        name=cluster.name,
        state=cluster.status,
        started_at=started_at,
        peers={peer.name: peer.address for peer in cluster.peers or ()},
        version=wire.version_info.version,
        config=wire.config.original,
    )


def read_alerts(body: bytes | bytearray, fingerprints: Fingerprints) -> Iterator[list[ListedAlert]]:
    """Read the answer to ``GET /api/v2/alerts``, some alerts at a time.

    Args:
        body: the answer.
        fingerprints: those that earlier answers have shown; new ones are added.

    Raises:
        AnswerError: it is none; what was returned before must not be used.
    """
    names: dict[tuple[str, ...], tuple[str, ...]] = {}
    for piece in _pieces(body):
        try:
            yield [_listed(wire, names, fingerprints) for wire in _alerts.decode(piece)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise _no_answer("list of alerts", error, body) from None


def read_first_alerts(body: bytes | bytearray, number: int, *, is_whole: bool) -> list[ListedAlert]:
    """Read the first alerts of the answer to ``GET /api/v2/alerts``.

    Args:
        body: the answer, or its beginning.
        number: how many are read at most.
        is_whole: whether it is the whole answer; if not, it is cut after its last whole alert.

    Raises:
        AnswerError: it is none.
    """
    if not is_whole:
        cut = body.rfind(_ALERT_BEGIN)
        body = body[: cut + 1] + b"]" if cut > 0 else b""
    return list(islice(chain.from_iterable(read_alerts(body, Fingerprints())), number))


def read_muting(body: bytes, receivers: Collection[str]) -> dict[str, bool]:
    """Return the alerts that a peer shows in a group of these receivers, each with whether it is muted by time.

    An alert is not in it before the first notification of its group, nor on a peer before 0.28, which does not tell.

    Args:
        body: the answer to ``GET /api/v2/alerts/groups``.
        receivers: their names.

    Raises:
        AnswerError: it is none.
    """
    muting: dict[str, bool] = {}
    for group in _read_groups(body):
        for alert in group.alerts if group.receiver.name in receivers else ():
            if alert.status.muted_by is not None:
                own = fingerprint(alert.labels)
                muting[own] = bool(alert.status.muted_by) and muting.get(own, True)
    return muting


def read_group_labels(body: bytes, fingerprints: Collection[str]) -> dict[tuple[str, str], Labels]:
    """Return the group labels of these alerts, by the name of the receiver and the fingerprint.

    Args:
        body: the answer to ``GET /api/v2/alerts/groups``.
        fingerprints: of the alerts.

    Raises:
        AnswerError: it is none.
    """
    found: dict[tuple[str, str], Labels] = {}
    for group in _read_groups(body):
        own = (fingerprint(alert.labels) for alert in group.alerts)
        found.update({(group.receiver.name, one): group.labels for one in own if one in fingerprints})
    return found


def _read_groups(body: bytes) -> list[_WireGroup]:
    try:
        return _groups.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _no_answer("list of groups", error, body) from None


def _pieces(body: bytes | bytearray) -> Iterator[bytes | bytearray]:
    """Cut a list between alerts, into lists of about `_PIECE_BYTES`; one that cannot be cut stays whole."""
    begin = 0
    while True:
        cut = body.find(_ALERT_BEGIN, begin + _PIECE_BYTES)
        if cut < 0:
            yield b"[" + body[begin:] if begin else body
            return
        yield (b"[" if begin else b"") + body[begin : cut + 1] + b"]"
        begin = cut + 2


def _listed(wire: _WireAlert, names: dict[tuple[str, ...], tuple[str, ...]], fingerprints: Fingerprints) -> ListedAlert:
    if not wire.labels:
        raise ValueError("an alert without labels")
    receivers = tuple([receiver.name for receiver in wire.receivers])
    return ListedAlert(
        fingerprint=fingerprints.of(wire.fingerprint, wire.labels),
        labels=wire.labels,
        annotations=wire.annotations,
        starts_at=_millis(wire.starts_at),
        ends_at=_millis(wire.ends_at),
        updated_at=_millis(wire.updated_at),
        generator_url=wire.generator_url,
        receivers=names.setdefault(receivers, receivers),
        is_suppressed=wire.status.state == "suppressed",
    )


def _millis(moment: datetime) -> Millis:
    if moment.tzinfo is None:
        raise ValueError("a time without a time zone")
    return round((moment - _EPOCH).total_seconds() * 1000)


def _no_answer(what: str, error: Exception, body: bytes | bytearray) -> AnswerError:
    begin = " ".join(body[:_MAX_EXCERPT_CHARACTERS].decode(errors="replace").split())
    return AnswerError(f"this is no {what} of Alertmanager's API v2 ({error}); it begins with {begin!r}")
