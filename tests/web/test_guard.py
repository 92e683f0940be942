"""Who may come in, and what they may do there: users, tokens, rights, browsers, and their change under way."""

import asyncio
import threading

import aiohttp
import bcrypt
import pytest
import sqlalchemy as sa
from bridge_rig import running
from waiting import PATIENCE, until
from web_clients import (
    ADMIN,
    OTHER,
    RIGHTS,
    STATUS,
    TOKEN,
    USERS,
    WEBHOOK,
    ask,
    basic,
    bearer,
    guarded,
    hashed,
    own_address,
)

from bridge.typed_yaml.secret import Secret
from bridge.web.accounts import Accounts, TooManyGuessesError
from bridge.web.policy import Policy


@pytest.mark.parametrize(
    ("headers", "webhook", "status", "admin"),
    [
        ({}, 401, 401, 401),
        (basic("alertmanager", "am"), 200, 403, 403),
        (basic("prometheus", "prom"), 403, 200, 403),
        (basic("oncall", "night"), 403, 200, 200),
        (basic("oncall", "day"), 401, 401, 401),
        (basic("nobody", "night"), 401, 401, 401),
        (basic("", ""), 401, 401, 401),
        (bearer(TOKEN), 200, 200, 403),
        (bearer(OTHER), 403, 200, 200),
        (bearer("wrong"), 401, 401, 401),
        (bearer(""), 401, 401, 401),
        ({"Authorization": "Basic %%%"}, 401, 401, 401),
        ({"Authorization": "Digest x"}, 401, 401, 401),
        ({"Authorization": "Basic"}, 401, 401, 401),
    ],
)
async def test_each_right_is_granted_by_user_or_token(tmp_path, headers, webhook, status, admin):
    """Posting, reading and changing are three rights; who is known and not listed may post and read."""
    tokens = f"unlisted: {TOKEN}\nrobot: {OTHER}\n"
    async with guarded(tmp_path, USERS + RIGHTS + "  robot: [status, admin]\n", tokens=tokens) as rig:
        got = [await ask(rig, *route, headers=headers) for route in (WEBHOOK, STATUS, ADMIN)]
        assert got == [webhook, status, admin]


async def test_every_route_asks_for_its_right(tmp_path):
    """Without credentials nothing but the probes answers, whatever the route; and nothing is kept."""
    async with guarded(tmp_path, USERS) as rig:
        for method, path in (
            WEBHOOK,
            ("POST", "/webhook/default"),
            STATUS,
            ("HEAD", "/metrics"),
            ("GET", "/"),
            ("GET", "/api/v1/alarms"),
            ("GET", "/api/v1/alarms/x"),
            ("POST", "/api/v1/playground"),
            ADMIN,
            ("POST", "/api/v1/alarms/x/retry"),
            ("POST", "/api/v1/alarms/x/clear"),
            ("POST", "/api/v1/alarms/x/discard"),
            ("POST", "/-/reload"),
        ):
            assert await ask(rig, method, path) == 401, path
        assert [await ask(rig, "GET", path) for path in ("/-/healthy", "/-/ready")] == [200, 200]
        assert sum(rig.app.ledger.counts().values()) == 0


async def test_a_401_says_how_to_come_in(tmp_path):
    """The challenge names Basic where there are users, and Bearer where there are tokens only; it is counted."""
    async with guarded(tmp_path, USERS) as rig, rig.session.get(rig.app.url + "/") as response:
        assert response.headers["WWW-Authenticate"] == 'Basic realm="aom-bridge"'
        assert "a user and password or a bearer token is required" in (await response.json())["error"]
    async with guarded(tmp_path, tokens=f"one: {TOKEN}\n") as rig:
        async with rig.session.get(rig.app.url + "/") as response:
            assert response.headers["WWW-Authenticate"] == "Bearer"
        rig.scraping = {"headers": bearer(TOKEN)}
        assert await ask(rig, *WEBHOOK) == 401
        assert await rig.metric("aom_bridge_web_refusals_total", reason="no_credentials") == 2
        assert await rig.metric("aom_bridge_webhook_requests_total", code="401") == 1


async def test_two_authorization_headers_are_none(tmp_path):
    """A request with two credentials is not let in by one of them: a proxy may have looked at the other."""
    async with guarded(tmp_path, tokens=f"one: {TOKEN}\n") as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.app.port)
        one = f"Authorization: Bearer {TOKEN}\r\n"
        writer.write(f"GET /metrics HTTP/1.1\r\nHost: localhost\r\n{one}{one}\r\n".encode())
        assert b" 401 " in await reader.readline()
        writer.close()


async def test_a_password_is_hashed_once(tmp_path, monkeypatch):
    """However many requests come at once and later, each right password costs one bcrypt."""
    asked = []
    check = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *args: asked.append(1) or check(*args))
    async with guarded(tmp_path, USERS) as rig:
        headers = basic("alertmanager", "am")
        assert set(await asyncio.gather(*(ask(rig, *STATUS, headers=headers) for _ in range(50)))) == {200}
        assert {await ask(rig, *STATUS, headers=headers) for _ in range(20)} == {200}
        assert len(asked) == 1
        assert await ask(rig, *STATUS, headers=basic("alertmanager", "am" + "x" * 100)) == 401
        assert len(asked) == 2


async def test_a_wrong_user_costs_what_a_wrong_password_costs(tmp_path, monkeypatch):
    """For an unknown user one bcrypt of the same cost is done, so that the time shows no names."""
    asked = []
    check = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda p, h: asked.append(h[:7]) or check(p, h))
    async with guarded(tmp_path, USERS) as rig:
        assert await ask(rig, *STATUS, headers=basic("alertmanager", "wrong")) == 401
        assert await ask(rig, *STATUS, headers=basic("nobody", "am")) == 401
        assert asked == [b"$2b$04$"] * 2


async def test_guesses_are_limited_for_each_peer(tmp_path):
    """After ten wrong passwords a peer's further ones are not looked at; known ones and tokens still pass."""
    async with guarded(tmp_path, USERS, tokens=f"one: {TOKEN}\n") as rig:
        known = basic("alertmanager", "am")
        assert await ask(rig, *STATUS, headers=known) == 200
        guesses = [await ask(rig, *STATUS, headers=basic("oncall", str(number))) for number in range(12)]
        assert guesses == [401] * 10 + [503] * 2
        assert await ask(rig, *STATUS, headers=basic("oncall", "night")) == 503
        assert [await ask(rig, *STATUS, headers=one) for one in (known, bearer(TOKEN))] == [200, 200]
        connector = aiohttp.TCPConnector(local_addr=(own_address(), 0))
        async with (
            aiohttp.ClientSession(connector=connector) as elsewhere,
            elsewhere.get(rig.app.url + "/metrics", headers=basic("oncall", "night")) as response,
        ):
            assert response.status == 200


class LoopBudget:
    """Accounts whose bcrypt waits for a word."""

    def __init__(self, monkeypatch, **users):
        self.go_on = threading.Event()
        check = bcrypt.checkpw
        monkeypatch.setattr(bcrypt, "checkpw", lambda *args: self.go_on.wait(PATIENCE) and check(*args))
        self.accounts = Accounts(policy(**users), lambda: 0.0)

    def begin(self, user, password, peer="192.0.2.1"):
        return asyncio.create_task(self.accounts.verify(basic(user, password)["Authorization"], peer))


def policy(**users):
    """Give a policy with these users and passwords."""
    return Policy(users={user: Secret(hashed(word)) for user, word in users.items()})


async def test_a_right_password_stays_right_while_its_hash_is_changed(monkeypatch):
    """A new hash of the same password that comes in the midst of the check does not make it wrong."""
    turns = LoopBudget(monkeypatch, am="pw")
    asked = turns.begin("am", "pw")
    await asyncio.sleep(0)
    turns.accounts.reconfigure(policy(am="pw"))
    turns.go_on.set()
    assert await asked == "am"
    turns.accounts.stop()


async def test_who_is_right_uses_up_no_guesses(monkeypatch):
    """A full queue of others' guesses, and requests that are given up, cost a peer with the right password nothing."""
    turns = LoopBudget(monkeypatch, am="pw")
    guesses = [turns.begin("am", str(number), f"10.0.0.{number}") for number in range(64)]
    await asyncio.sleep(0)
    for _ in range(12):
        with pytest.raises(TooManyGuessesError):
            await turns.begin("am", "pw")
    turns.go_on.set()
    assert set(await asyncio.gather(*guesses)) == {None}
    for _ in range(12):
        given_up = turns.begin("am", "pw")
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
    assert await turns.begin("am", "pw") == "am"
    turns.accounts.stop()


async def test_guesses_at_tokens_are_limited_whatever_else_is_looked_at(monkeypatch):
    """Wrong tokens use up the allowance, also while a header that is no Basic at all is looked at."""
    turns = LoopBudget(monkeypatch, am="pw")
    outcomes = []
    for number in range(12):
        try:
            outcomes.append(await turns.accounts.verify(f"Bearer {number}", "192.0.2.1"))
        except TooManyGuessesError:
            outcomes.append("limited")
    assert outcomes == [None] * 10 + ["limited"] * 2
    turns.accounts.stop()


async def test_long_passwords_are_cut_as_htpasswd_cuts_them(tmp_path):
    """Bcrypt reads 72 bytes; a longer password is right when those are, as everywhere else."""
    text = f"basic_auth_users: {{a: '{hashed('x' * 72)}'}}\n"
    async with guarded(tmp_path, text) as rig:
        assert await ask(rig, *STATUS, headers=basic("a", "x" * 100)) == 200
        assert await ask(rig, *STATUS, headers=basic("a", "x" * 71)) == 401


async def test_without_a_web_configuration_changes_come_from_loopback(tmp_path):
    """Anybody may post and read, and only this machine may change something, unless --web.enable-admin says so."""
    connector = {"local_addr": (own_address(), 0)}
    for is_open, expected in ((False, 403), (True, 200)):
        async with (
            guarded(tmp_path, is_admin_open=is_open) as rig,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(**connector)) as elsewhere,
        ):
            assert [await ask(rig, *route) for route in (WEBHOOK, STATUS, ADMIN)] == [200] * 3
            rig.session, near = elsewhere, rig.session
            assert [await ask(rig, *route) for route in (WEBHOOK, STATUS, ADMIN)] == [200, 200, expected]
            rig.session = near
            for name in ("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via", "X-Real-IP"):
                assert await ask(rig, *ADMIN, headers={name: "203.0.113.7"}) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example:{port}", "Host": "evil.example:{port}"}, 403),
        ({"Origin": "http://localhost:{port}", "Host": "localhost:{port}"}, 200),
        ({"Origin": "http://[::1]:{port}", "Host": "[::1]:{port}"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
async def test_no_page_of_another_site_changes_anything(rig, headers, expected):
    """Neither a foreign page nor one whose name was turned to our address makes a browser clear alarms."""
    headers = {name: value.format(port=rig.app.port) for name, value in headers.items()}
    assert await ask(rig, *ADMIN, headers=headers) == expected


async def test_no_page_of_another_site_raises_an_alarm(rig):
    """A page cannot make a browser in the cluster post alerts: neither with an origin of its own nor by its site."""
    assert await ask(rig, *WEBHOOK, headers={"Origin": "https://evil.example"}) == 403
    assert await ask(rig, *WEBHOOK, headers={"Sec-Fetch-Site": "cross-site"}) == 403
    assert await ask(rig, *WEBHOOK) == 200


async def test_no_page_of_another_site_starts_a_trial(rig):
    """What is posted and only reads costs time, so it is refused from foreign pages, too."""
    trial = ("POST", "/api/v1/playground")
    assert await ask(rig, *trial, headers={"Origin": "https://evil.example"}) == 403
    assert await ask(rig, *trial, headers={"Sec-Fetch-Site": "cross-site"}) == 403
    assert await ask(rig, *trial, headers={"Origin": f"http://127.0.0.1:{rig.app.port}"}) == 400


async def test_a_trial_is_asked_for_at_any_name_of_an_open_bridge(tmp_path):
    """Where everybody may read at any name, a page at that name may try rules; a page of another site may not."""
    async with running(tmp_path / "open.db", address="0.0.0.0") as rig:  # noqa: S104 - as a bridge in a container
        for origin, expected in (("http://bridge.example", 400), ("http://evil.example", 403)):
            headers = {"Host": "bridge.example", "Origin": origin}
            url = f"http://127.0.0.1:{rig.app.port}"
            assert await ask(rig, "POST", "/api/v1/playground", headers=headers, url=url) == expected


HOSTS = [
    ("evil.example", 403),
    ("evil.example:9876", 403),
    ("localhost.evil.example", 403),
    ("127.0.0.1.evil.example:80", 403),
    ("", 403),
    ("localhost", 200),
    ("LocalHost:9876", 200),
    ("127.0.0.1", 200),
    ("127.0.0.1:9876", 200),
    ("192.0.2.1:80", 200),
    ("[::1]", 200),
    ("[::1]:9876", 200),
]


@pytest.mark.slow
@pytest.mark.parametrize(("host", "expected"), HOSTS)
@pytest.mark.parametrize("route", [WEBHOOK, STATUS, ADMIN])
async def test_a_page_whose_name_was_turned_to_loopback_gets_nothing(rig, route, host, expected):
    """A bridge on loopback that asks for no credentials answers only to a Host that no name server can give."""
    assert await ask(rig, *route, headers={"Host": host}) == expected
    if expected == 403:
        assert await rig.metric("aom_bridge_web_refusals_total", reason="foreign_host") == 1


async def test_a_host_is_asked_for_only_where_it_alone_keeps_others_out(tmp_path):
    """Where credentials are asked for, or the network is listened to, any Host is served; the probes serve any, too."""
    foreign = {"Host": "bridge.example"}
    async with guarded(tmp_path, USERS) as rig:
        assert await ask(rig, *WEBHOOK, headers={**basic("alertmanager", "am"), **foreign}) == 200
    async with running(tmp_path / "open.db", address="0.0.0.0") as rig:  # noqa: S104 - as a bridge in a container
        assert await ask(rig, *WEBHOOK, headers=foreign, url=f"http://127.0.0.1:{rig.app.port}") == 200
    async with guarded(tmp_path, admin=True) as rig:
        assert await ask(rig, "GET", "/-/ready", headers=foreign, url=rig.app.url) == 200
        assert await ask(rig, *STATUS, headers=foreign) == 403


async def test_a_foreign_page_cannot_use_a_password_that_the_browser_keeps(tmp_path):
    """With the right credentials too, a change that another site's page asks for is refused."""
    async with guarded(tmp_path, USERS + RIGHTS) as rig:
        headers = basic("oncall", "night")
        assert await ask(rig, *ADMIN, headers={**headers, "Origin": "https://evil.example"}) == 403
        named = {"Origin": "https://bridge.example", "Host": "bridge.example"}
        assert await ask(rig, *ADMIN, headers={**headers, **named}) == 200


async def test_the_admin_address_takes_status_and_changes_away(tmp_path):
    """With an admin address webhooks and probes are at one port, and everything else only at the other."""
    async with guarded(tmp_path, admin=True) as rig:
        web, admin = rig.app.url, rig.app.admin_url
        assert web != admin
        routes = (WEBHOOK, STATUS, ADMIN, ("GET", "/"), ("GET", "/-/ready"), ("POST", "/-/reload"))
        assert [await ask(rig, *route, url=web) for route in routes] == [200, 404, 404, 404, 200, 404]
        assert [await ask(rig, *route, url=admin) for route in routes[:5]] == [404, 200, 200, 200, 200]


async def test_pages_are_safe_in_a_browser(tmp_path):
    """No script, no frame, no guessing of types, on every answer; the file's own headers take the place of ours."""
    async with guarded(tmp_path) as rig:
        for path in ("/", "/api/v1/alarms", "/metrics", "/nothing"):
            async with rig.session.get(rig.app.url + path) as response:
                policy = response.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'")
                assert "frame-ancestors 'none'" in policy
                assert "unsafe-inline" not in policy
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["X-Frame-Options"] == "deny"
    chosen = "X-Frame-Options: sameorigin, Strict-Transport-Security: max-age=1, X-XSS-Protection: ''"
    headers = f"http_server_config: {{headers: {{{chosen}}}}}"
    async with guarded(tmp_path, headers) as rig, rig.session.get(rig.app.url) as response:
        assert response.headers["X-Frame-Options"] == "sameorigin"
        assert response.headers["Strict-Transport-Security"] == "max-age=1"
        assert "X-XSS-Protection" not in response.headers


@pytest.mark.slow
async def test_users_and_tokens_change_while_the_bridge_runs(tmp_path):
    """A new file counts within seconds, a broken one keeps the old and says so; open connections stay."""
    async with guarded(tmp_path, USERS, tokens=f"one: {TOKEN}\n") as rig:
        rig.scraping = {"headers": basic("prometheus", "prom")}

        async def loaded(value):
            return await rig.metric("aom_bridge_web_config_last_reload_successful") == value

        reader, writer = await asyncio.open_connection("127.0.0.1", rig.app.port)

        async def same_connection(token):
            writer.write(f"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            return int(head.split()[1])

        assert await same_connection(TOKEN) == 200
        (tmp_path / "tokens.yml").write_text("one: short\n")
        await until(lambda: loaded(0))
        assert await same_connection(TOKEN) == 200
        (tmp_path / "tokens.yml").write_text(f"one: {OTHER}\n")
        await until(lambda: loaded(1))
        assert [await same_connection(TOKEN), await same_connection(OTHER)] == [401, 200]
        writer.close()
        (tmp_path / "web.yml").write_text(USERS.replace(USERS.splitlines()[1], f"  alertmanager: {hashed('new')}"))

        async def is_changed():
            return await ask(rig, *STATUS, headers=bearer(OTHER)) == 401

        await until(is_changed)
        got = [await ask(rig, *STATUS, headers=basic("alertmanager", word)) for word in ("am", "new")]
        assert got == [401, 200]


async def test_a_reload_reads_the_web_configuration_too(tmp_path):
    """`/-/reload` says what is wrong with the web configuration, line by line, and the old one stays."""
    async with guarded(tmp_path, USERS + RIGHTS) as rig:
        (tmp_path / "web.yml").write_text("basic_auth_user: {}\n")
        async with rig.session.post(rig.app.url + "/-/reload", headers=basic("oncall", "night")) as response:
            text = await response.text()
        assert response.status == 500
        assert (
            f"{tmp_path / 'web.yml'}:1:1: basic_auth_user: unknown key. Fix: did you mean 'basic_auth_users'?" in text
        )
        assert await ask(rig, *STATUS, headers=basic("oncall", "night")) == 200


async def test_every_change_is_logged_with_who_and_from_where(tmp_path, capsys):
    """A change by hand leaves a line with the user, the peer and what was done; a refused one leaves one, too."""
    async with guarded(tmp_path, USERS + RIGHTS) as rig:
        headers = basic("oncall", "night")
        await ask(rig, *WEBHOOK, headers=basic("alertmanager", "am"))
        (own_id,) = [row[0] for row in await rig.app.ledger._core.read(ids)]
        for path in (f"/api/v1/alarms/{own_id}/discard", "/api/v1/alarms/retry", "/-/reload"):
            await ask(rig, "POST", path, headers=headers)
            (line,) = [one for one in capsys.readouterr().out.splitlines() if "who=oncall" in one]
            assert "peer=127.0.0.1" in line
            assert any(word in line for word in ("discard", "retried", "reload"))
        await ask(rig, *ADMIN, headers=basic("prometheus", "prom"))
        (line,) = [one for one in capsys.readouterr().out.splitlines() if "refused" in one]
        assert "reason=no_right" in line
        assert "peer=127.0.0.1" in line


def ids(connection):
    """Give the ids of all alarms."""
    return connection.execute(sa.text("SELECT id FROM alarms")).all()
