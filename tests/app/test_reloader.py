"""The configuration is read again while the bridge runs: all of it or nothing, and no alarm is lost for it."""

import asyncio
import os
import signal
import time

import pytest
from process import serving
from reloading import reloading
from waiting import PATIENCE, until
from webhooks import alert, resolved

from bridge.cli.signals import run_until_stopped

IS_FULL = os.environ.get("AOM_BRIDGE_REHEARSAL") == "full"
FAR = "far: {endpoint: '%s', project_id: p2, auth: {token: {value: emulator-token}}}"
TO_FAR = "mapping: {rules: [{name: far, match: [team=far], target: far}]}"


def naming(name):
    """Give rules that name every event."""
    return f"mapping: {{defaults: {{event_name: {name}}}}}"


async def test_new_rules_count_from_the_next_notification_on(tmp_path):
    """After a reload the new rules map; what is open keeps what it was reported with, and is cleared."""
    async with reloading(tmp_path, more=naming("Old")) as rig:
        one, two = alert("one"), alert("two")
        await rig.send(one)
        await until(lambda: rig.active() == ["Old"])
        rig.write(more=naming("New"))
        assert await rig.reload() == (200, "the configuration was reloaded\n")
        await rig.send(one, two)
        await until(lambda: rig.active() == ["New", "Old"])
        await rig.send(resolved(one), resolved(two))
        await until(lambda: rig.cleared() == ["New", "Old"])


async def test_a_bad_file_keeps_the_old_configuration(tmp_path):
    """Every mistake is told with its place, the metric says so, and the bridge goes on as before."""
    async with reloading(tmp_path, more=naming("Old")) as rig:
        digest = await rig.metric("aom_bridge_config_hash")
        rig.file.write_text("targets: {default: {project_id: p}}\nsorce: x\n")
        status, text = await rig.reload()
        assert status == 500
        assert text.startswith("the configuration was not reloaded:\n")
        assert f"{rig.file}:2:1: sorce: unknown key. Fix: did you mean 'source'?" in text
        assert await rig.metric("aom_bridge_config_last_reload_successful") == 0
        assert await rig.metric("aom_bridge_config_hash") == digest
        await rig.send(alert())
        await until(lambda: rig.active() == ["Old"])
        rig.write(more=naming("New"))
        before = time.time()
        assert (await rig.reload())[0] == 200
        assert await rig.metric("aom_bridge_config_last_reload_successful") == 1
        assert await rig.metric("aom_bridge_config_last_reload_success_timestamp_seconds") >= before - 0.01
        assert await rig.metric("aom_bridge_config_hash") != digest


CANNOT = {
    "store: {max_open: 5}": "store cannot change while the bridge runs. Fix: restart it.",
    "source: other": "source cannot change while the bridge runs. Fix: restart it.",
    "web: {max_body: 8MiB}": "web cannot change while the bridge runs. Fix: restart it.",
}


@pytest.mark.parametrize(("more", "sentence"), CANNOT.items())
async def test_what_needs_a_restart_is_said(tmp_path, more, sentence):
    """Settings that cannot change while the bridge runs are named, and nothing else of the file is taken."""
    async with reloading(tmp_path) as rig:
        rig.write(more=naming("New"))
        text = rig.file.read_text()
        store = f'store: {{url: "sqlite:///{tmp_path}/l.db"}}'
        rig.file.write_text(
            text.replace(store, store[:-1] + ", max_open: 5}") if "store" in more else f"{text}\n{more}"
        )
        assert await rig.reload() == (500, f"the configuration was not reloaded:\n{sentence}\n")
        await rig.send(alert())
        await until(lambda: rig.active() == ["DiskFull"])


async def test_a_target_with_open_alarms_cannot_go(tmp_path):
    """A target is neither removed nor moved while it has alarms; once they are cleared it goes, and others come."""
    async with reloading(tmp_path, others=FAR, more=TO_FAR) as rig:
        one = alert("One", team="far")
        await rig.send(one)
        await until(rig.far)
        for others, what in (("", "be removed"), (FAR.replace("p2", "p3"), "get another endpoint or project")):
            rig.write(others=others.replace("%s", rig.emulator.url), more=TO_FAR if others else "")
            status, text = await rig.reload()
            assert (status, f"target 'far' has 1 alarm(s) that are not finished, and would {what}." in text) == (
                500,
                True,
            )
        await rig.send(resolved(one))
        await until(lambda: rig.count("cleared", "far") == 1)
        rig.write()
        assert (await rig.reload())[0] == 200
        await rig.send(alert("Two", team="far"))
        await until(lambda: rig.active() == ["Two"])
        assert rig.far() == []
        rig.write(others=FAR.replace("%s", rig.emulator.url), more=TO_FAR)
        assert (await rig.reload())[0] == 200
        await rig.send(alert("Three", team="far"))
        await until(lambda: rig.far() == ["Three"])


async def test_a_target_that_cannot_start_changes_nothing(tmp_path):
    """A CA file that is none is told; the old target goes on, and the next reload repairs it."""
    bad = tmp_path / "bad.pem"
    bad.write_text("garbage")
    async with reloading(tmp_path, others=FAR, more=TO_FAR) as rig:
        far = FAR.replace("%s", rig.emulator.url)
        rig.write(others=far, more=naming("New"), target=f"rate_limit: 1000\nca_file: {bad}")
        status, text = await rig.reload()
        assert (status, f"target 'default': ca_file {bad}: " in text) == (500, True)
        assert await rig.metric("aom_bridge_config_last_reload_successful") == 0
        await rig.send(alert("One"), alert("Two", team="far"))
        await until(lambda: rig.active() == ["One", "Two"])
        rig.write(others=far, more=naming("New"), target="rate_limit: 999")
        assert (await rig.reload())[0] == 200
        await rig.send(alert("Three"))
        await until(lambda: "New" in rig.active())


async def test_a_rejected_alarm_holds_its_target(tmp_path):
    """A rejected alarm may still need a clear when its alert resolves: its target does not go before."""
    async with reloading(tmp_path, others=FAR, more=TO_FAR) as rig:
        await rig.arm({"on": "report", "status": 400, "count": 1})
        await rig.send(alert("Bad", team="far"))
        await until(lambda: rig.count("rejected", "far") == 1)
        rig.write()
        status, text = await rig.reload()
        assert (status, "'far' has 1 alarm(s) that are not finished" in text) == (500, True)


@pytest.mark.parametrize("change", ["enterprise_project_id: '7'", "sources"])
async def test_what_would_orphan_open_alarms_is_refused(tmp_path, change):
    """Another enterprise project would look in vain, and a source that is gone would take no resolve."""
    async with reloading(tmp_path, more="sources: [eu]") as rig:
        await rig.send(alert())
        await until(rig.active)
        rig.write(target=change) if change != "sources" else rig.write(more="")
        assert (await rig.reload())[0] == 500


async def test_a_target_that_has_gone_leaves_no_gauge(tmp_path):
    """No gauge of a removed target keeps its last value for ever."""
    async with reloading(tmp_path, others=FAR, more=TO_FAR) as rig:
        assert await rig.metric("aom_bridge_alarms", target="far", state="reported") == 0
        rig.write()
        assert (await rig.reload())[0] == 200
        for name in ("alarms", "oldest_due_age_seconds", "token_expiry_timestamp_seconds"):
            assert await rig.metric(f"aom_bridge_{name}", target="far") is None


async def test_new_credentials_are_taken_at_once(tmp_path):
    """A target that was refused delivers what waited as soon as a reload brings the right credentials."""
    async with reloading(tmp_path, auth="{token: {value: wrong}}") as rig:
        await rig.send(alert())
        await until(lambda: rig.aom()["counts"]["report"] >= 1)
        rig.write()
        assert (await rig.reload())[0] == 200
        await until(lambda: rig.active() == ["DiskFull"])


async def test_what_a_wrong_token_kept_waiting_is_sent_at_once_after_the_reload(tmp_path):
    """The wait that follows a failed try, up to retry_max, does not outlive the settings that failed."""
    patient = "delivery: {retry_min: 10m, retry_max: 10m, batch_wait: 20ms, shutdown_timeout: 2s}"
    async with reloading(tmp_path, auth="{token: {value: wrong}}", delivery=patient) as rig:
        await rig.send(alert())
        await until(lambda: rig.aom()["counts"]["report"] >= 1)
        await until(lambda: _is_waiting(rig))
        rig.write(delivery=patient)
        assert (await rig.reload())[0] == 200
        await until(lambda: rig.active() == ["DiskFull"])


async def _is_waiting(rig):
    async with rig.session.get(rig.app.url + "/api/v1/alarms?state=waiting") as response:
        return bool((await response.json())["data"])


@pytest.mark.slow
async def test_a_file_that_changes_is_noticed(tmp_path):
    """With --config.watch a swapped link, as Kubernetes makes it, reloads; a bad file is told once and kept out."""
    async with reloading(tmp_path, watch=True, more=naming("Old")) as rig:
        for name in ("v1", "v2"):
            (tmp_path / name).mkdir()
        text = rig.file.read_text()
        (tmp_path / "v2" / "bridge.yaml").write_text(text.replace("Old", "New"))
        link = tmp_path / "link"
        link.symlink_to(tmp_path / "v2" / "bridge.yaml")
        link.replace(rig.file)
        await until(lambda: _mapped(rig, "New"), limit=PATIENCE)
        rig.file.unlink()
        rig.file.write_text("nonsense")
        await until(lambda: _unsuccessful(rig), limit=PATIENCE)
        assert await _mapped(rig, "New")


async def _mapped(rig, name):
    await rig.send(alert(f"a{time.monotonic_ns()}"))
    await asyncio.sleep(0.1)
    return name in rig.active()


async def _unsuccessful(rig):
    return await rig.metric("aom_bridge_config_last_reload_successful") == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_storm_of_reloads_loses_nothing(tmp_path):
    """Good and bad files in turn while alerts flow: each alert is reported and cleared all the same."""
    count = 1_000 if IS_FULL else 60
    async with reloading(tmp_path) as rig:
        fired, is_over = [], asyncio.Event()

        async def flow():
            while not is_over.is_set():
                some = [alert(f"N{len(fired)}", instance=f"i{index}") for index in range(3)]
                fired.extend(some)
                await rig.send(*some)
                if len(fired) % 9 == 0:
                    await rig.send(*(resolved(one) for one in some))
                await asyncio.sleep(0.005)

        flowing = asyncio.create_task(flow())
        for turn in range(count):
            if turn % 3 == 2:
                rig.file.write_text("broken: [")
            else:
                delivery = f"delivery: {{retry_min: 50ms, batch_wait: {10 + turn % 7}ms, shutdown_timeout: 2s}}"
                rig.write(more=naming("'{{ labels.alertname }}'"), delivery=delivery if turn % 2 else "")
            status, text = await rig.reload()
            assert status == (500 if turn % 3 == 2 else 200), text
        is_over.set()  # not cancelled: an alert whose webhook broke off is kept or not
        await flowing
        rig.write()
        assert (await rig.reload())[0] == 200
        await rig.send(*fired[: len(fired) // 2])
        await rig.send(*(resolved(one) for one in fired))
        await until(
            lambda: rig.aom()["active"] == [] and rig.count("clear_due") + rig.count("report_due") == 0, limit=60
        )
        history = {event["metadata"]["alert_fingerprint"] for event in rig.aom()["history"]}
        assert history == {one["fingerprint"] for one in fired}
        assert rig.count("rejected") == 0


@pytest.mark.real
async def test_a_late_sighup_is_no_crash(tmp_path):
    """A reload that is asked for while the bridge stops does not change how it ends."""
    async with serving(tmp_path, "http://127.0.0.1:9") as (process, _):
        process.process.send_signal(signal.SIGTERM)
        while process.process.poll() is None:
            process.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.001)
        assert process.process.returncode == 0


async def test_many_sighups_are_one_reload():
    """Signals that come while a reload runs are answered by one more; a stop does not wait for hundreds."""
    began, go_on = [], asyncio.Event()

    async def reload():
        began.append(1)
        await go_on.wait()

    async def nothing():
        """Neither start nor stop anything."""

    before = signal.getsignal(signal.SIGHUP)
    running = asyncio.create_task(run_until_stopped(nothing, nothing, reload))
    try:
        await until(lambda: signal.getsignal(signal.SIGHUP) != before)
        await until(lambda: os.kill(os.getpid(), signal.SIGHUP) or began)
        for _ in range(100):
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0)
        go_on.set()
        await until(lambda: len(began) == 2)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == 0
        assert len(began) == 2
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.real
async def test_sighup_reloads(tmp_path):
    """SIGHUP does what it does in every Prometheus component."""
    from emulated_aom import cloud  # noqa: PLC0415 - as above
    from process import serving  # noqa: PLC0415 - only this test needs a process of its own
    from webhooks import post  # noqa: PLC0415 - as above

    async with cloud() as aom, serving(tmp_path, aom.url) as (bridge, url):
        file = tmp_path / "bridge.yaml"
        file.write_text(file.read_text() + "\n" + naming("New"))
        bridge.process.send_signal(signal.SIGHUP)
        await until(lambda: "configuration reloaded" in bridge.output)
        assert await post(url, alert()) == 200
        await until(lambda: [e["metadata"]["event_name"] for e in aom.snapshot()["active"]] == ["New"])
        file.write_text("nonsense")
        bridge.process.send_signal(signal.SIGHUP)
        await until(lambda: "configuration not reloaded; the old one stays" in bridge.output)
