"""What the acts act on, and how they wait for what they promise.

In: the running parts of the demo. Out: a `Scene`, and `PromiseError` where a promise is not kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bridge.demo.alerts import DemoAlert, in_groups
from bridge.demo.bridge_api import BridgeApi
from bridge.demo.bridge_process import BridgeProcess
from bridge.demo.emulated_aom import EmulatedAom
from bridge.demo.pace import Pace
from bridge.demo.stand_in_alertmanager import StandInAlertmanager
from bridge.errors import BridgeError
from bridge.notification import HEARTBEAT_MISSING, HEARTBEATS

SOURCE = "demo"
"""The source of the demo's alerts; those of a person's own Alertmanager have another one."""

_PATIENCE_SECONDS = 45.0
"""On a busy machine: a bridge whose rounds take half a second makes one in five seconds."""

_POLL_SECONDS = 0.05


class PromiseError(BridgeError):
    """A promise of an act is not kept; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The parts of a running demo.

    ``waves``: the alerts of each wave. ``say``: sets the caption. ``patience``: for how many seconds a promise is
    waited for.
    """

    aom: EmulatedAom
    bridge: BridgeProcess
    api: BridgeApi
    alertmanager: StandInAlertmanager
    pace: Pace
    waves: Mapping[str, Sequence[DemoAlert]]
    say: Callable[[str], None]
    patience: float = _PATIENCE_SECONDS

    async def tell(self, caption: str, seconds: float) -> None:
        """Show a caption, and let people read it."""
        self.say(caption)
        await self.pace.pause(seconds)

    async def fire(self, alerts: Sequence[DemoAlert], seconds: float = 0) -> None:
        """Let alerts fire, group by group, so many seconds apart."""
        for group in in_groups(alerts):
            await self.alertmanager.fire(group)
            await self.pace.pause(seconds)

    async def resolve(self, alerts: Iterable[DemoAlert], seconds: float = 0) -> None:
        """Let alerts resolve, group by group, so many seconds apart."""
        for group in in_groups(alerts):
            await self.alertmanager.resolve(group)
            await self.pace.pause(seconds)

    def is_in_step(self, missing: Iterable[DemoAlert] = ()) -> bool:
        """Say whether AOM holds what fires, each alert once; without the ``missing`` ones and the Watchdog."""
        hidden = {alert.fingerprint for alert in (*missing, *self.waves["watchdog"])}
        return self.aom.fingerprints(SOURCE) == sorted(self.alertmanager.firing() - hidden)

    async def until_in_step(self) -> None:
        """Wait until AOM holds what fires."""
        await self.promised(self.is_in_step, "AOM does not hold exactly what fires")

    async def promised(self, condition: Callable[[], bool | Awaitable[bool]], otherwise: str) -> None:
        """Wait until a condition holds.

        Raises:
            PromiseError: it does not in time; ``otherwise``: what is wrong then.
        """
        try:
            async with asyncio.timeout(self.patience):
                while not await _value(condition()):  # noqa: ASYNC110 - AOM and the bridge tell no one of their states
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise PromiseError(f"{otherwise} after {self.patience:g} s") from None


async def ended_right(scene: Scene) -> str:
    """Return what is true at the end of all acts: AOM holds what fires and nothing else.

    Raises:
        PromiseError: it does not.
    """
    await scene.until_in_step()
    await scene.promised(lambda: not scene.aom.fingerprints(HEARTBEATS), f"AOM still shows {HEARTBEAT_MISSING}")
    kept(scene.aom.violations == 0, f"{scene.aom.violations} events did not keep AOM's limits")
    return f"{len(scene.aom.fingerprints(SOURCE))} alerts fire. AOM's open alarms equal the firing alerts."


def kept(is_kept: bool, otherwise: str) -> None:  # noqa: FBT001 - a condition is the only thing that it can be
    """Raise `PromiseError` with a text if a promise is not kept."""
    if not is_kept:
        raise PromiseError(otherwise)


async def _value(value: bool | Awaitable[bool]) -> bool:  # noqa: FBT001 - what a condition returns
    return value if isinstance(value, bool) else await value
