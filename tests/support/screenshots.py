"""Takes the screenshots of the documentation: every page, on a desk and on a phone, in light and dark.

    PYTHONPATH=tests/support python tests/support/screenshots.py --folder=docs/images

In: a folder. Out: `PAGE-WIDTH-SCHEME.webp` for each of `PAGES`, of a bridge with alarms as a team has them.
"""

import argparse
import asyncio
import base64
import tempfile
from itertools import product
from pathlib import Path

import aiohttp
from browser import SCHEMES, WIDTHS, chromium
from pages_world import FAR, PAGES, POISON, empty_world
from waiting import until
from webhooks import alert, resolved

from bridge.clock import system_clock

QUALITY = 80
MINUTE = 60_000


def _alert(name, minutes, summary, description="", **labels):
    annotations = {"summary": summary, "runbook_url": f"https://runbooks.example/{name}"}
    annotations |= {"description": description} if description else {}
    return alert(name, starts_at=system_clock() - minutes * MINUTE, annotations=annotations, **labels)


def _production():
    """Give what fires: at AOM, to be cleared soon, refused by AOM."""
    shop = {"namespace": "shop", "cluster": "prod-1"}
    disk = _alert("DiskFull", 190, "/var/lib is 94 % full", instance="db-1:9100", job="node", team="databases")
    return disk, [
        _alert("NodeDown", 4, "node-7 has not been scraped for 3 minutes", instance="node-7:9100", job="node"),
        _alert(
            "PodCrashLooping", 26, "cart-6f9c restarts again and again", severity="warning", pod="cart-6f9c", **shop
        ),
        _alert("CertificateExpiring", 1_300, "shop.example expires in 6 days", severity="info", host="shop.example"),
        _alert(
            "磁盘空间不足", 47, "数据库主机的磁盘将在 4 小时内写满", severity="严重", instance="db-2:9100", job="node"
        ),
        _alert("LatencyHigh", 12, "p99 is 2.4 s", "The limit is 0.5 s for 10 minutes.", service=POISON, **shop),
    ]


async def fill(world):
    """Bring about the alarms of the screenshots, in each state."""
    disk, others = _production()
    queue = _alert("QueueGrows", 9, "orders waits for 12,000 messages", severity="warning", queue="orders", **FAR)
    replica = _alert("ReplicaLags", 17, "The replica is 40 s behind", instance="db-9:9187", job="postgres", **FAR)
    await world.post(disk, *others)
    await world.post(queue, replica)
    await world.post(_alert("TargetDown", 33, "1 of 3 targets of api is down", job="api"), source="staging")
    await world.id_of("DiskFull", "reported")
    await world.post(resolved(disk))
    world.ids |= {
        "reported": await world.id_of("NodeDown", "reported"),
        "cleared": await world.id_of("DiskFull", "cleared"),
        "rejected": await world.id_of("LatencyHigh", "rejected"),
        "waiting": await world.id_of("QueueGrows", "report_due", "unavailable"),
    }


async def _has_plots(world):
    """Wait until the last hour has points: the first comes a minute after the start."""

    async def has_points():
        async with aiohttp.ClientSession() as session, session.get(f"{world.url}/api/v1/status") as response:
            return len((await response.json())["data"]["replica"]["points"]) > 1

    await until(has_points, limit=180)


async def _take(page, file):
    """Write what a reader sees first; Chromium itself makes the small file, which Playwright does not ask it for."""
    devtools = await page.page.context.new_cdp_session(page.page)
    shot = await devtools.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    file.write_bytes(base64.b64decode(shot["data"]))


async def take_all(folder):
    """Take all screenshots."""
    with tempfile.TemporaryDirectory() as place:
        async with empty_world(Path(place)) as world, chromium() as browser:
            await fill(world)
            await _has_plots(world)
            for name, template in PAGES.items():
                async with browser.open(world.address(template)) as page:
                    await page.hold()
                    for width, scheme in product(WIDTHS, SCHEMES):
                        await page.look(width, scheme)
                        await _take(page, folder / f"{name}-{width}-{scheme}.webp")


def main():
    """Take them, as the command line says."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--folder", type=Path, required=True)
    folder = options.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(take_all(folder))


if __name__ == "__main__":
    main()
