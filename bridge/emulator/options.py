"""The options of an emulator: its address, its credentials and its switches.

In: keyword arguments. Out: one frozen value that the other modules read. It does no I/O and knows no
route. Each switch answers a question that AOM's documentation leaves open; the first value is the default,
and a client must work with every one of them:

- `ids`: [seed] says AOM makes an id, [cn] and [sdk] that a report needs none; none says what becomes of a
  supplied one.
- `same_alarm`: [um] says identical alarms are deduplicated, not what makes them identical.
- `timeout_from`, `repeat_restarts_timeout`: [seed] and [cn] give a length, not its beginning.
- `unknown_id`: the answer to a clear with an id that is not held is documented nowhere.
- `relation_values`: [sdk] types `value` as a list and does not say how several values combine.
- `list_lag_ms`: how long the list and the statistic stay behind a report is documented nowhere.
- `statistic_summary`: [sdk] has a summary in the statistic, [otc] has none.
- `statistic_scope`: no page and no model of the statistic names the header of the enterprise project, which the list
  takes; so it may count the header's, or those of the whole project.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

CHOICES: Final[dict[str, tuple[object, ...]]] = {
    "ids": ("assigned", "supplied"),
    "same_alarm": ("metadata", "id"),
    "timeout_from": ("arrival", "starts_at"),
    "repeat_restarts_timeout": (True, False),
    "unknown_id": (204, 400),
    "relation_values": ("any", "one"),
}
"""The switches of reports, clears and lists that take one of several values, the default first."""

STATISTIC_CHOICES: Final[dict[str, tuple[object, ...]]] = {
    "statistic_summary": (True, False),
    "statistic_scope": ("header", "project"),
}
"""Those of the statistic, which only some clients ask."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How one emulator behaves; every field has a default and credentials never show in `repr`.

    `host` and `port` say where it listens (port 0: any free one). `project_id` None accepts every project.
    `tokens` are always valid; `user`, `password` and `domain` buy tokens of `token_length` characters that
    live `token_ttl_s` seconds; `access_key` and `secret_key` verify signatures, with `security_token` where
    they are temporary. `list_lag_ms` is in milliseconds; the other fields are the switches that the module's
    docstring explains.

    Raises:
        ValueError: a switch has a value that is none of its choices.
    """

    host: str = "127.0.0.1"
    port: int = 9877

    ids: Literal["assigned", "supplied"] = "assigned"
    same_alarm: Literal["metadata", "id"] = "metadata"
    timeout_from: Literal["arrival", "starts_at"] = "arrival"
    repeat_restarts_timeout: bool = True
    unknown_id: Literal[204, 400] = 204
    relation_values: Literal["any", "one"] = "any"
    list_lag_ms: int = 0
    statistic_summary: bool = True
    statistic_scope: Literal["header", "project"] = "header"

    project_id: str | None = None
    tokens: tuple[str, ...] = field(default=("emulator-token",), repr=False)
    user: str = "emulator"
    password: str = field(default="emulator", repr=False)
    domain: str = "emulator"
    access_key: str = "emulator-ak"
    secret_key: str = field(default="emulator-sk", repr=False)
    security_token: str = field(default="", repr=False)
    token_length: int = 2000
    token_ttl_s: int = 86_400

    def __post_init__(self) -> None:
        """Refuse a misspelt switch, which would otherwise quietly act as its default."""
        for name, choices in (CHOICES | STATISTIC_CHOICES).items():
            if getattr(self, name) not in choices:
                listed = " or ".join(repr(choice) for choice in choices)
                raise ValueError(f"{name} must be {listed}, not {getattr(self, name)!r}")

    def switches(self) -> dict[str, object]:
        """Return the switches alone, name to value: they hold no credentials."""
        return {name: getattr(self, name) for name in (*CHOICES, *STATISTIC_CHOICES, "list_lag_ms")}
