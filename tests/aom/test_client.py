"""The client of AOM and IAM against the emulator: tokens, their renewal, outcomes, and secrets that stay secret."""

import asyncio
import logging

import pytest
from aom_client import EVENT, PASSWORD, T0, client
from bridge_rig import running
from waiting import until
from webhooks import alert

from bridge.aom import AomClient, Outcome
from bridge.aom.outcome import read_outcome
from bridge.clock import HOUR, SECOND
from bridge.emulator import Emulator, Options
from bridge.event import report


@pytest.mark.parametrize("length", [100, 12_000, 40_960])
async def test_tokens_of_any_length_are_taken(length):
    """IAM's tokens of 12,000 characters and more arrive in a header and are sent in one."""
    async with client(token_length=length) as it:
        assert (await it.push()).accepted
        assert len((await it.client.credentials.get()).token.reveal()) == length


async def test_a_token_is_fetched_once_for_many_requests():
    """However many requests need the first token at the same time, IAM is asked once."""
    async with client() as it:
        outcomes = await asyncio.gather(*(it.push() for _ in range(20)))
        assert all(outcome.accepted for outcome in outcomes)
        assert it.tokens() == 1


async def test_a_refused_token_is_renewed_once_and_the_request_repeated():
    """A token that dies early costs one renewal, however many requests fail by it, and none of them fails."""
    async with client() as it:
        await it.push()
        async with it.client._connection.session.post(
            f"{it.emulator.url}/emulator/faults", json={"expire_tokens": True}
        ):
            pass
        outcomes = await asyncio.gather(*(it.push() for _ in range(10)))
        assert all(outcome.accepted for outcome in outcomes)
        assert it.tokens() == 2


async def test_a_token_is_renewed_early():
    """After 80 % of its life a token is renewed before AOM refuses it."""
    async with client(token_ttl_s=1_000) as it:
        await it.push()
        it.now += 799 * SECOND
        await it.push()
        assert it.tokens() == 1
        it.now += 2 * SECOND
        assert (await it.push()).accepted
        await until(lambda: it.tokens() == 2)


async def test_an_old_token_serves_while_iam_is_down():
    """When IAM does not answer an early renewal, the token is used for as long as it lives."""
    async with client(token_ttl_s=1_000) as it:
        await it.push()
        async with it.client._connection.session.post(
            f"{it.emulator.url}/emulator/faults", json={"on": "token", "status": 503}
        ):
            pass
        it.now += 900 * SECOND
        assert (await it.push()).accepted
        it.now += 200 * SECOND
        assert (await it.push()).reason == "unavailable"


async def test_a_wrong_password_is_an_operators_fault_and_stays_secret(caplog):
    """A wrong password pauses the target with IAM's words; the password is in no outcome and no log."""
    wrong = "{password: {domain: emulator, user: emulator, password: hunter2, iam_endpoint: '%s'}}"
    with caplog.at_level(logging.DEBUG):
        async with client(auth=wrong) as it:
            outcome = await it.push()
    assert outcome.reason == "unauthorized"
    assert "IAM gave no token" in outcome.detail
    assert "hunter2" not in outcome.detail + repr(outcome) + repr(it.client._settings) + caplog.text


async def test_a_token_file_is_read_anew(tmp_path):
    """A token in a file is read again for each request, so that somebody else can renew it."""
    file = tmp_path / "token"
    file.write_text("old\n")
    async with client(auth=f"{{token: {{file: {file}}}}}") as it:
        assert (await it.push()).reason == "unauthorized"
        file.write_text("emulator-token\n")
        assert (await it.push()).accepted
        file.unlink()
        assert (await it.push()).reason == "unauthorized"


async def test_a_deadline_that_is_too_near_sends_nothing():
    """No attempt begins that could outlive the lease."""
    async with client() as it:
        entry = it.client.encode(report(EVENT, alarm_id="x", starts_at=T0, now=T0))
        assert (await it.client.push([entry], "report", T0 + SECOND)).reason == "not_sent"
        assert it.emulator.snapshot()["counts"]["report"] == 0


@pytest.mark.slow
async def test_a_gateway_error_is_tried_again_at_once():
    """502 and 504 are retried within the request; 503 and anything with Retry-After are not."""
    async with client() as it:
        for fault, reason, requests in [
            ({"status": 502, "count": 1}, "accepted", 2),
            ({"status": 504, "count": 2}, "accepted", 3),
            ({"status": 503, "count": 1}, "unavailable", 1),
            ({"status": 502, "count": 1, "headers": {"Retry-After": "9"}}, "unavailable", 1),
        ]:
            before = it.emulator.snapshot()["counts"]["report"]
            async with it.client._connection.session.post(
                f"{it.emulator.url}/emulator/faults", json={"on": "report", **fault}
            ):
                pass
            assert (await it.push()).reason == reason
            assert it.emulator.snapshot()["counts"]["report"] - before == requests


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, b"", "accepted"),
        (204, b"", "accepted"),
        (400, b'{"error_code": "AOM.0400", "error_msg": "bad"}', "refused"),
        (400, b'{"error_msg": "The token must be updated"}', "unauthorized"),
        (401, b"<html>", "unauthorized"),
        (403, b'{"error_code": "APIGW.0302"}', "forbidden"),
        (404, b'{"error_code": "APIGW.0101"}', "not_found"),
        (413, b'{"error_code": "APIGW.0201"}', "too_large"),
        (200, b" ", "accepted"),
        (200, b'{"events": []}', "accepted"),
        (200, b'{"error_code": null}', "accepted"),
        (200, b"[]", "accepted"),
        (200, b"<html>Please log in</html>", "foreign"),
        (200, b'{"error_code": "AOM.0500"}', "unavailable"),
        (200, b'{"error_code": 17}', "foreign"),
        (206, b"", "foreign"),
        (201, b"", "foreign"),
        (400, b"<html>Bad Request</html>", "foreign"),
        (400, b'{"error_msg": "bad"}', "foreign"),
        (413, b"", "foreign"),
        (429, b'{"error_code": "APIGW.0308"}', "rate_limited"),
        (302, b"", "unavailable"),
        (500, b"\xff\xfe", "unavailable"),
        (503, b"[" * 5000, "unavailable"),
    ],
)
def test_each_answer_has_its_reason(status, body, reason):
    """Every answer of AOM and its gateway is one of a closed set of reasons."""
    assert read_outcome(status, body, None, T0).reason == reason


def test_aoms_words_are_kept_in_one_line_and_capped():
    """Code, message and trace are kept; both spellings of the message are read; no line break gets through."""
    body = b'{"error_code": "AOM.0400", "error_message": "parse\\nevent' + b"x" * 9_000 + b'", "trace_id": "t1"}'
    detail = read_outcome(400, body, None, T0).detail
    assert detail.startswith("400 AOM.0400 parse eventxxx")
    assert detail.endswith("(trace t1)")
    assert len(detail) < 600
    assert "\n" not in detail


@pytest.mark.parametrize(
    ("header", "wait"),
    [("7", 7_000), ("Fri, 15 Jan 2027 09:00:00 GMT", HOUR), ("soon", None), ("-1", None), (None, None)],
)
def test_retry_after_is_read_as_seconds_or_date(header, wait):
    """Retry-After comes as seconds or as an HTTP date; anything else counts as none."""
    assert read_outcome(429, b"", header, T0).retry_after == wait


def test_every_reason_knows_what_it_means():
    """Refused events, an operator's faults and doubtful outcomes never overlap."""
    for reason in ("refused", "forbidden", "timeout", "rate_limited", "accepted"):
        one = Outcome(reason)
        assert [one.refuses_events, one.needs_operator, one.in_doubt, one.accepted].count(True) <= 1


async def test_the_password_carries_fire_and_clear_through_expiry(tmp_path):
    """A target with user and password reports and clears, also when every token dies in between."""
    emulator = Emulator(Options(port=0))
    await emulator.start()
    auth = PASSWORD.replace("%s", emulator.url)
    async with running(tmp_path / "l.db", emulator=emulator, auth=auth) as rig:
        one = alert()
        await rig.send(one)
        await until(lambda: rig.active() == ["DiskFull"])
        await rig.arm({"expire_tokens": True})
        await rig.send({**one, "status": "resolved", "endsAt": alert(ends_at=T0)["endsAt"]})
        await until(lambda: rig.cleared() == ["DiskFull"])
        assert await rig.metric("aom_bridge_token_expiry_timestamp_seconds", target="default") > 0
    await emulator.stop()


async def test_a_stop_before_the_start_does_nothing():
    """A client that was never started is stopped without an error, and has no credentials yet."""
    async with client() as it:
        made = AomClient("t", it.client._settings, it.clients_clock, 10_000)
    await made.stop()
    with pytest.raises(RuntimeError, match="not started"):
        _ = made.credentials
