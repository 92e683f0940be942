"""The webhook: what is answered to what, over real sockets; a bad request never disturbs the next one."""

import asyncio
import gzip
import io
import json
import zlib

import pytest
from bridge_rig import Rig, running
from paths import DATA
from waiting import until
from webhooks import alert, payload

GOOD = json.dumps(payload(alert())).encode()


@pytest.fixture(autouse=True, params=["one process", pytest.param("with a writer process", marks=pytest.mark.real)])
def processes(request, monkeypatch):
    """Every promise holds wherever a notification is parsed and mapped."""
    monkeypatch.setattr(Rig, "has_writer", request.param != "one process")


def without(key):
    """Give a payload whose alert lacks a key."""
    one = alert()
    del one[key]
    return payload(one)


BAD = [
    (b"", "the body is empty"),
    (b"not json", "not JSON"),
    (b'{"version": "4", "alerts": [', "not JSON"),
    (b"[]", "expected `object`, got `array`"),
    (b"null", "the body"),
    (json.dumps({**payload(alert()), "version": "3"}).encode(), 'version "3"'),
    (json.dumps({"hello": "world"}).encode(), "version"),
    (json.dumps(without("labels")).encode(), "alerts[0]"),
    (json.dumps(payload({**alert(), "labels": {}})).encode(), "alerts[0].labels"),
    (json.dumps(payload({**alert(), "status": "unknown"})).encode(), "alerts[0].status"),
    (json.dumps(payload({**alert(), "startsAt": "yesterday"})).encode(), "alerts[0].startsAt"),
    (json.dumps(payload({**alert(), "labels": {"a": 1}})).encode(), "alerts[0].labels"),
    (GOOD.replace(b"DiskFull", b"Disk\xffFull"), "not UTF-8"),
    (b'{"version": "4", "alerts": [], "more": ' + b"[" * 50_000, "nested too deep"),
]


@pytest.mark.parametrize(("body", "words"), BAD, ids=[words for _, words in BAD])
async def test_a_body_that_is_no_payload_is_answered_400_with_what_and_where(rig, body, words):
    """Bad input gets 400 and one sentence without a traceback; nothing is kept and the next request is served."""
    status, text = await rig.post(body)
    assert status == 400
    assert words in text
    assert text.count("\n") == 1
    assert "Traceback" not in text
    assert sum(rig.app.ledger.counts().values()) == 0
    assert (await rig.post(GOOD))[0] == 200


async def test_forty_megabytes_of_brackets_are_refused(rig):
    """40 MB of nested brackets cost a 400, not the process."""
    status, _ = await rig.post(b"[" * 40_000_000)
    assert status == 400
    assert (await rig.post(GOOD))[0] == 200


async def test_a_body_over_the_limit_is_answered_413(rig):
    """70 MiB are refused with 413 and a sentence, with a Content-Length and chunked; the next request is served."""
    size = 70 << 20
    status, text = await rig.post(b" " * size)
    assert (status, "64" in text or "max_body" in text) == (413, True)

    async def chunks():
        for _ in range(70):
            yield b" " * (1 << 20)

    async with rig.session.post(rig.app.url + "/webhook", data=chunks()) as response:
        assert response.status == 413
    assert (await rig.post(GOOD))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/webhook", 405, "allowed: POST"),
        ("PUT", "/webhook", 405, "allowed: POST"),
        ("POST", "/", 405, "allowed: GET, HEAD; Alertmanager posts to /webhook"),
        ("POST", "/webhooks", 404, "/webhook"),
        ("POST", "/webhook/nobody", 404, "no source is called 'nobody'"),
        ("POST", "/webhook/a/b", 404, "/webhook"),
        ("POST", "/metrics", 405, "allowed: GET, HEAD; Alertmanager posts to /webhook"),
        ("POST", "/webhook//", 404, "/webhook"),
    ],
)
async def test_a_wrong_method_or_path_says_what_is_right(rig, method, path, status, words):
    """A wrong method or path gets the right 4xx with a sentence, and is never a redirect."""
    request = rig.session.request(method, rig.app.url + path, data=GOOD, allow_redirects=False)
    async with request as response:
        assert response.status == status
        assert words in await response.text()


@pytest.mark.parametrize(
    ("path", "fix"),
    [
        ("/webhok", "let Alertmanager post to /webhook or /webhook/SOURCE"),
        ("/metrics", "let Alertmanager post to /webhook or /webhook/SOURCE"),
        ("/webhook/nobody", "let it post to /webhook/SOURCE with one of default; or add it to sources"),
    ],
)
async def test_the_log_line_of_a_wrong_path_has_the_fix(rig, capfd, path, fix):
    """Who reads the log of the bridge does not see the answer, which Alertmanager has got."""
    await rig.post(GOOD, path)
    (line,) = [line for line in capfd.readouterr().out.splitlines() if "[warning" in line]
    assert f"fix='{fix}'" in line


async def test_the_answer_says_what_became_of_the_alerts(rig):
    """200 comes with a count of what the ledger made of the alerts."""
    assert await rig.send(alert("a"), alert("b")) == "2 new"
    assert await rig.send(alert("a"), alert("c")) == "1 repeat, 1 new"


async def test_listed_sources_have_a_path_of_their_own(tmp_path):
    """`/webhook` is the configured source, `/webhook/{source}` a listed one; equal alerts stay apart."""
    async with running(tmp_path / "l.db", more="source: east\nsources: [west]") as rig:
        body = payload(alert())
        for path, status in [("/webhook", 200), ("/webhook/east", 200), ("/webhook/west/", 200), ("/webhook/x", 404)]:
            assert (await rig.post(body, path))[0] == status
        await until(lambda: len(rig.active()) == 2)
        sources = {event["metadata"]["alert_source"] for event in rig.aom()["active"]}
        assert sources == {"east", "west"}


async def test_a_slash_at_the_end_changes_nothing(rig):
    """`/webhook/` is `/webhook`: a slash that slipped into a configuration costs no alert."""
    assert (await rig.post(payload(alert()), "/webhook/"))[0] == 200
    assert (await rig.post(payload(alert()), "/webhook/default/")) == (200, "kept: 1 repeat\n")


@pytest.mark.parametrize("coding", ["lz4", "x-gzip", "gzip, gzip", "br"])
async def test_an_unknown_content_encoding_is_named(rig, coding):
    """A body in an encoding that is not read is refused with the name of it, and nothing of it is kept."""
    async with rig.session.post(
        rig.app.url + "/webhook", data=io.BytesIO(GOOD), headers={"Content-Encoding": coding}
    ) as response:
        text = await response.text()
        assert (response.status, coding in text, "not JSON" in text) == (400, True, False)
    assert sum(rig.app.ledger.counts().values()) == 0
    for known in ("identity", "GZIP", "deflate", ""):
        data = {"GZIP": gzip.compress, "deflate": zlib.compress}.get(known, bytes)(GOOD)
        async with rig.session.post(
            rig.app.url + "/webhook", data=io.BytesIO(data), headers={"Content-Encoding": known}
        ) as response:
            assert response.status == 200


async def test_what_grafana_posts_is_reported(rig):
    """Grafana's own webhook opens and clears alarms, with the links to its panel and picture as annotations."""
    raw = (DATA / "grafana" / "webhook.json").read_bytes()
    assert (await rig.post(raw))[0] == 200
    await until(lambda: rig.active() == ["Basket is slow"])
    annotations = rig.aom()["active"][0]["annotations"]
    assert annotations["panel_url"] == "https://grafana.example/d/shop?orgId=1&viewPanel=4"
    assert annotations["image_url"] == "https://images.example/basket.png"


async def test_unknown_keys_are_accepted(rig):
    """Each version of Alertmanager adds keys: they are no mistake."""
    body = payload({**alert(), "surprise": {"a": [1]}}, notification_reason="first notification", extra=None)
    assert (await rig.post(body))[0] == 200


@pytest.mark.slow
async def test_a_group_of_ten_thousand_alerts_is_kept_whole(rig):
    """One 7.5 MB notification of 10,000 alerts is answered 200, and other webhooks are served meanwhile."""
    alerts = [alert(instance=f"node-{i}", filler="x" * 400) for i in range(10_000)]
    body = json.dumps(payload(*alerts)).encode()
    assert len(body) > 7_000_000
    big = asyncio.create_task(rig.post(body))
    small = await rig.post(payload(alert("Small")))
    assert small[0] == 200
    assert (await big) == (200, "kept: 10000 new\n")


async def test_an_alert_that_cannot_be_mapped_never_blocks_its_group(tmp_path):
    """A template that breaks at run time falls back for its field; the whole group is delivered, and it is counted."""
    rule = '{name: broken, match: [job="x"], set: {resource_id: "{{ labels.n | int / 0 }}"}}'
    more = f"mapping: {{rules: [{rule}]}}".replace('[job="x"]', "['job=\"x\"']")
    async with running(tmp_path / "l.db", more=more) as rig:
        assert await rig.send(alert("Good"), alert("Odd", job="x"), alert("Fine")) == "3 new"
        await until(lambda: rig.active() == ["Fine", "Good", "Odd"])
        assert await rig.metric("aom_bridge_mapping_fallbacks_total", rule="broken") >= 1


async def test_cut_off_alerts_are_counted_as_the_loss_they_are(rig):
    """`truncatedAlerts` above 0 is counted."""
    await rig.post(payload(alert(), truncated=7))
    assert await rig.metric("aom_bridge_truncated_alerts_total") == 7


async def test_a_dropped_alert_is_counted_and_not_sent(tmp_path):
    """A drop rule keeps an alert out of AOM, firing and resolved."""
    more = "mapping: {rules: [{name: quiet, match: ['severity=\"none\"'], drop: true}]}"
    async with running(tmp_path / "l.db", more=more) as rig:
        noise = alert("Noise", severity="none")
        assert await rig.send(noise, alert("Real")) == "1 dropped, 1 new"
        await rig.send({**noise, "status": "resolved", "endsAt": "2026-01-01T00:00:00Z"})
        await until(lambda: rig.active() == ["Real"])
        assert await rig.metric("aom_bridge_alerts_total", status="firing", outcome="dropped") == 1
        assert await rig.metric("aom_bridge_mapping_dropped_total", rule="quiet") == 2
        assert await rig.metric("aom_bridge_mapping_rule_matches_total", rule="quiet") == 2


async def test_a_large_notification_is_counted_like_a_small_one(tmp_path):
    """What a rule did is counted once for each alert, also for a resolve that is mapped only after all."""
    more = "mapping: {rules: [{name: quiet, match: ['severity=\"none\"'], drop: true}]}"
    async with running(tmp_path / "l.db", more=more) as rig:
        quiet = {**alert(severity="none"), "status": "resolved", "endsAt": "2026-01-01T00:00:00Z"}
        many = [alert(f"A{number}", note="n" * 400) for number in range(30)]
        assert await rig.send(quiet, *many) == "1 dropped, 30 new"
        assert await rig.metric("aom_bridge_mapping_rule_matches_total", rule="quiet") == 1
        assert await rig.metric("aom_bridge_mapping_dropped_total", rule="quiet") == 1
        assert await rig.metric("aom_bridge_mapping_rule_matches_total", rule="defaults") == 30


async def test_a_very_large_set_of_rules_maps_like_a_small_one(tmp_path):
    """However large the rules are, they map small notifications in the writer process as all others."""
    rules = ", ".join(
        f"{{name: r{number}, match: ['alertname=\"A{number}\"'], set: {{resource_type: {'t' * 500}{number}}}}}"
        for number in range(200)
    )
    async with running(tmp_path / "l.db", more=f"mapping: {{rules: [{rules}]}}") as rig:
        assert await rig.send(alert("A7")) == "1 new"
        await until(rig.active)
        assert rig.aom()["active"][0]["metadata"]["resource_type"] == "t" * 500 + "7"
        assert await rig.metric("aom_bridge_mapping_rule_matches_total", rule="r7") == 1


async def test_a_sender_that_hung_up_is_left_out(rig):
    """A request whose sender has gone before the commit is not kept: Alertmanager will send it again."""
    _, writer = await asyncio.open_connection("127.0.0.1", rig.app.port)
    head = f"POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(GOOD)}\r\n\r\n".encode()
    writer.write(head + GOOD)
    writer.close()
    await writer.wait_closed()
    await until(lambda: _abandoned_or_kept(rig))
    kept = sum(rig.app.ledger.counts().values())
    abandoned = await rig.metric("aom_bridge_abandoned_requests_total")
    assert (kept, abandoned) == (0, 1.0)


async def _abandoned_or_kept(rig):
    answers = [await rig.metric("aom_bridge_webhook_requests_total", code=code) for code in ("200", "503")]
    return sum(answers) > 0


async def half_sent(rig, sent, length):
    """Begin a webhook and send only a part of its body."""
    _, writer = await asyncio.open_connection("127.0.0.1", rig.app.port)
    writer.write(
        f"POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode() + b"x" * sent
    )
    await writer.drain()
    return writer


@pytest.mark.slow
async def test_bodies_in_flight_share_a_budget(tmp_path):
    """A body without room within `max_body_in_flight` is answered 503, and served once there is room."""
    async with running(tmp_path / "l.db", more="web: {max_body: 1MiB, max_body_in_flight: 1MiB}") as rig:
        writer = await half_sent(rig, (1 << 20) - 1, 1 << 20)

        async def is_refused():
            status, text = await rig.post(GOOD)
            return status == 503 and "max_body_in_flight" in text

        await until(is_refused)
        writer.write(b"x")

        async def is_served():
            return (await rig.post(GOOD))[0] == 200

        await until(is_served)
        writer.close()


async def test_announcing_a_body_takes_no_room(tmp_path):
    """A client that announces a large body and sends nothing delays no other client."""
    async with running(tmp_path / "l.db", more="web: {max_body: 1MiB, max_body_in_flight: 1MiB}") as rig:
        writers = [await half_sent(rig, 10, 1 << 20) for _ in range(20)]
        assert (await rig.post(GOOD))[0] == 200
        for writer in writers:
            writer.close()


async def test_large_bodies_at_once_end_one_after_the_other(tmp_path):
    """Bodies that together are far over the budget do not wait for each other for ever: each gets its answer."""
    large = json.dumps(payload(alert(annotations={"text": "x" * 900_000}))).encode()
    async with running(tmp_path / "l.db", more="web: {max_body: 1MiB, max_body_in_flight: 1MiB}") as rig:
        answers = await asyncio.gather(*(rig.post(large) for _ in range(8)))
        assert {status for status, _ in answers} == {200}


async def test_a_slow_body_is_answered_408(tmp_path, monkeypatch):
    """A body that does not come within its time ends with 408 and a closed connection; nothing is kept."""
    monkeypatch.setattr("bridge.receiving.request_body.MAX_SECONDS", 0.2)
    async with running(tmp_path / "l.db") as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.app.port)
        writer.write(b"POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 408 " in head
        assert b"connection: close" in head.lower()
        assert await rig.metric("aom_bridge_webhook_requests_total", code="408") == 1
        writer.close()


async def test_every_webhook_is_counted_by_its_code(rig):
    """The counters of answers are there from the start at 0, and count each answer."""
    for code in ("200", "400", "404", "413", "500", "503"):
        assert await rig.metric("aom_bridge_webhook_requests_total", code=code) == 0
    await rig.post(GOOD)
    await rig.post(b"x")
    await rig.post(GOOD, "/webhook/x")
    for code in ("200", "400", "404"):
        assert await rig.metric("aom_bridge_webhook_requests_total", code=code) == 1


async def test_every_captured_webhook_is_accepted_and_reaches_aom(rig):
    """All captured webhooks, one after the other: 200 each, no violation of AOM's limits, AOM right at the end."""
    firing = {}
    for file in sorted((DATA / "webhook").glob("*.json")):
        body = file.read_bytes()
        status, text = await rig.post(body)
        assert status == 200, f"{file.name}: {text}"
        for one in json.loads(body)["alerts"]:
            firing[one["fingerprint"]] = one["status"] == "firing"
    want = {fingerprint for fingerprint, fires in firing.items() if fires}
    await until(lambda: _fingerprints(rig) == want or None)
    assert rig.aom()["violations"] == []
    assert rig.count("rejected") == 0


def _fingerprints(rig):
    return {event["metadata"]["alert_fingerprint"] for event in rig.aom()["active"]}


async def test_a_body_may_come_in_pieces(rig):
    """A chunked body is read like any other."""
    async with rig.session.post(rig.app.url + "/webhook", data=io.BytesIO(GOOD), chunked=True) as response:
        assert response.status == 200
