"""Each kind of credentials carries requests to the emulator, through expiry, rotation and wrong secrets."""

import asyncio
import json
import os
import re
from dataclasses import fields
from datetime import UTC, datetime
from typing import get_type_hints

import pytest
from aiohttp import web
from aom_client import PASSWORD, client
from bridge_rig import running
from http_server import serving_routes
from waiting import until
from webhooks import alert

from bridge.aom.auth import METHODS, AuthSettings, kind_of
from bridge.aom.auth.kind import CredentialContext
from bridge.aom.regions import REGIONS
from bridge.clock import MINUTE, SECOND, system_clock
from bridge.emulator import Emulator, Options

KEYS = "{aksk: {access_key: emulator-ak, secret_key: emulator-sk}}"


def iso(at):
    """Give a time as the SDK's metadata answers write it."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.fixture(autouse=True)
def _no_credentials_around_us(monkeypatch, tmp_path):
    """The SDK looks into the environment and the home folder: neither may help a test."""
    for name in os.environ:
        if name.startswith(("HUAWEICLOUD_", "HC_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("name", [field.name for field in fields(AuthSettings)])
def test_every_method_has_settings_a_source_and_a_hint(name):
    """A method of the registry brings all three: settings of the type that is read, a source for them, and a hint."""
    kind = kind_of(name)
    assert get_type_hints(AuthSettings)[name] == kind.settings | None
    settings, context = (parameter for key, parameter in get_type_hints(kind.source).items() if key != "return")
    assert (settings, context) == (kind.settings, CredentialContext)
    assert kind.hint
    assert not kind.hint.endswith(".")


async def real_clock(it):
    """Signatures made by the SDK's own helpers carry the real time."""
    it.now = system_clock()


# Access keys


@pytest.mark.parametrize("action", ["report", "list"])
async def test_access_keys_sign_each_request(action):
    """Permanent keys sign reports and look-ups so that AOM's own check of the signature passes."""
    async with client(auth=KEYS) as it:
        if action == "report":
            outcome = await it.push()
        else:
            outcome = (await it.find()).outcome
        assert outcome.accepted, outcome.detail


async def test_wrong_keys_are_an_operators_fault():
    """A wrong secret key pauses the target with the gateway's words, and nothing shows the key."""
    async with client(auth="{aksk: {access_key: emulator-ak, secret_key: hunter2}}") as it:
        outcome = await it.push()
    assert (outcome.reason, outcome.code) == ("unauthorized", "APIGW.0301")
    assert "hunter2" not in outcome.detail + repr(outcome) + repr(it.client._settings)


async def test_temporary_keys_in_files_are_rotated(tmp_path):
    """Temporary keys with a security token are read anew from their files, so that somebody else can rotate them."""
    files = {name: tmp_path / name for name in ("access_key", "secret_key", "security_token")}

    def write(number):
        for name, file in files.items():
            file.write_text(f"{name}-{number}\n")

    write(1)
    auth = ", ".join(f"{name}_file: {file}" for name, file in files.items())
    async with client(auth=f"{{aksk: {{{auth}}}}}", security_token="security_token-1") as it:
        it.emulator.use_keys("access_key-1", "secret_key-1", "security_token-1")
        assert (await it.push()).accepted
        it.emulator.use_keys("access_key-2", "secret_key-2", "security_token-2")
        outcome = await it.push()
        assert outcome.reason == "unauthorized"
        assert "security_token-1" not in outcome.detail
        write(2)
        assert (await it.push()).accepted
        files["secret_key"].unlink()
        assert "it is not there" in (await it.push()).detail


@pytest.mark.parametrize(("minutes", "word"), [(20, "ahead of"), (-20, "behind")])
async def test_a_clock_that_is_off_is_named(minutes, word):
    """Where our clock is over 15 minutes off, the error says so, by how much, and what to do."""
    async with client(auth=KEYS) as it:
        await real_clock(it)
        it.ahead = minutes * MINUTE
        outcome = await it.push()
    assert outcome.reason == "unauthorized"
    assert re.search(rf"our clock is (19|20)m {word} AOM's", outcome.detail)
    assert "Fix: synchronize the clock" in outcome.detail


# The SDK's chain


async def test_keys_from_the_environment(monkeypatch):
    """`sdk` takes the keys that the SDK's variables hold."""
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "emulator-ak")
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "emulator-sk")
    async with client(auth="{sdk: {}}") as it:
        assert (await it.push()).accepted


async def test_a_changed_profile_file_is_noticed(monkeypatch, tmp_path):
    """Keys from a profile file are taken; when it changes, the next refusal or five minutes bring the new ones."""
    profile = tmp_path / "credentials"
    monkeypatch.setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", str(profile))
    profile.write_text("[basic]\nak = emulator-ak\nsk = emulator-sk\n")
    async with client(auth="{sdk: {}}") as it:
        assert (await it.push()).accepted
        it.emulator.use_keys("new-ak", "new-sk")
        profile.write_text("[basic]\nak = new-ak\nsk = new-sk\n")
        assert (await it.push()).accepted


async def test_keys_of_the_hosts_agency_are_refreshed_before_they_end(monkeypatch):
    """Keys from a metadata endpoint are temporary: the next ones are fetched before they end, and carry their token."""
    from huaweicloudsdkcore.auth.internal import MetadataAccessor  # noqa: PLC0415 - as costly as in the bridge

    asked = 0

    async def keys(_request):
        nonlocal asked
        asked += 1
        credential = {"access": f"ak-{asked}", "secret": f"sk-{asked}", "securitytoken": f"st-{asked}"}
        return web.json_response({"credential": {**credential, "expires_at": iso(it.now + 100 * MINUTE)}})

    async def token(_request):
        return web.Response(text="metadata-token")

    routes = (web.get("/openstack/latest/securitykey", keys), web.put("/meta-data/latest/api/token", token))
    async with serving_routes(*routes) as url, client(auth="{sdk: {}}") as it:
        monkeypatch.setattr(MetadataAccessor, "_METADATA_ENDPOINT", url)
        await real_clock(it)
        it.emulator.use_keys("ak-1", "sk-1", "st-1")
        assert (await it.push()).accepted
        assert it.client.credentials.expires_at == pytest.approx(it.now + 100 * MINUTE, abs=SECOND)
        it.now += 79 * MINUTE
        assert (await it.push()).accepted
        assert asked == 1
        it.now += 2 * MINUTE
        assert (await it.push()).accepted
        await until(lambda: asked == 2)
        await until(lambda: it.client.credentials.expires_at > it.now + 90 * MINUTE)
        it.emulator.use_keys("ak-2", "sk-2", "st-2")
        assert (await it.push()).accepted


async def test_keys_of_a_pods_identity(monkeypatch, tmp_path):
    """Pod identity gives keys although the host's metadata endpoint cannot be reached."""
    token = tmp_path / "token"
    token.write_text("pod-token")
    seen = []

    async def keys(request):
        seen.append(request.headers["Authorization"])
        credential = {"access_key_id": "emulator-ak", "secret_access_key": "emulator-sk", "security_token": "st"}
        return web.json_response({"credentials": {**credential, "expiration": iso(system_clock() + 60 * MINUTE)}})

    async with serving_routes(web.post("/keys", keys)) as url, client(auth="{sdk: {}}", security_token="st") as it:
        monkeypatch.setenv("HC_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/keys")
        monkeypatch.setenv("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
        await real_clock(it)
        assert (await it.push()).accepted
    assert seen == ["pod-token"]


async def test_keys_of_an_agency_by_oidc(monkeypatch, tmp_path):
    """A projected service account's token buys temporary keys from STS; the file is read anew for the next ones."""
    token = tmp_path / "token"
    token.write_text("jwt-1")
    seen = []

    async def assume(request):
        body = await request.json()
        seen.append((body["id_token"], body["agency_urn"]))
        keys = {"access_key_id": f"ak-{len(seen)}", "secret_access_key": f"sk-{len(seen)}", "security_token": "st"}
        return web.json_response({"credentials": {**keys, "expiration": iso(it.now + 100 * MINUTE)}})

    async with serving_routes(web.post("/v5/agencies/assume-with-oidc", assume)) as url, client(auth="{sdk: {}}") as it:
        monkeypatch.setenv("HUAWEICLOUD_OIDC_PROVIDER_URN", "provider")
        monkeypatch.setenv("HUAWEICLOUD_OIDC_AGENCY_URN", "agency")
        monkeypatch.setenv("HUAWEICLOUD_OIDC_TOKEN_FILE", str(token))
        monkeypatch.setenv("HUAWEICLOUD_SDK_STS_ENDPOINT", url)
        await real_clock(it)
        it.emulator.use_keys("ak-1", "sk-1", "st")
        assert (await it.push()).accepted
        token.write_text("jwt-2")
        it.now += 81 * MINUTE
        assert (await it.push()).accepted
        await until(lambda: len(seen) == 2)
        await until(lambda: it.client.credentials.expires_at > it.now + 90 * MINUTE)
        it.emulator.use_keys("ak-2", "sk-2", "st")
        assert (await it.push()).accepted
    assert seen == [("jwt-1", "agency"), ("jwt-2", "agency")]


async def test_without_any_keys_each_provider_says_what_it_lacks(monkeypatch):
    """Where no provider has keys, the error names each and what it looked for; and nothing is in doubt."""
    from huaweicloudsdkcore.auth.internal import MetadataAccessor  # noqa: PLC0415 - as above

    monkeypatch.setattr(MetadataAccessor, "_METADATA_ENDPOINT", "http://127.0.0.1:1")
    async with client(auth="{sdk: {}}") as it:
        outcome = await it.push()
        again = await it.push()
    for word in ("OidcSts", "Env", "Profile", "PodIdentity", "Metadata", "HC_CONTAINER_CREDENTIALS_FULL_URI"):
        assert word in outcome.detail
    assert outcome.needs_operator
    assert not outcome.in_doubt
    assert again == outcome


# IAM


async def test_a_token_for_a_project_by_its_name():
    """IAM is asked for the project by name where the configuration gives one."""
    asked = []

    async def token(request):
        asked.append((await request.json())["auth"]["scope"])
        body = {"token": {"expires_at": iso(it.now + 60 * MINUTE)}}
        return web.json_response(body, status=201, headers={"X-Subject-Token": "emulator-token"})

    async with serving_routes(web.post("/v3/auth/tokens", token)) as iam:
        auth = f"{{password: {{domain: d, user: u, password: p, project_name: cn-north-4, iam_endpoint: '{iam}'}}}}"
        async with client(auth=auth) as it:
            assert (await it.push()).accepted
    assert asked == [{"project": {"name": "cn-north-4"}}]


async def test_a_wrong_password_is_not_tried_again_at_once(tmp_path):
    """IAM locks accounts: a refused password is tried again after minutes, a changed one at once."""
    file = tmp_path / "password"
    file.write_text("wrong\n")
    auth = PASSWORD.replace("password: emulator,", f"password_file: {file},")
    async with client(auth=auth) as it:
        for _ in range(50):
            assert (await it.push()).reason == "unauthorized"
        assert it.tokens() == 1
        it.now += 4 * MINUTE
        await it.push()
        assert it.tokens() == 1
        it.now += 2 * MINUTE
        await it.push()
        assert it.tokens() == 2
        file.write_text("emulator\n")
        assert (await it.push()).accepted


async def test_a_password_that_stays_wrong_is_tried_every_half_hour():
    """However long a wrong password stays, IAM sees it twice an hour at most, which locks no account."""
    async with client(auth=PASSWORD.replace("password: emulator,", "password: wrong,")) as it:
        for _ in range(24 * 60):
            it.now += MINUTE
            await it.push()
        assert 40 <= it.tokens() <= 52


async def test_iam_is_asked_seldom_while_it_is_down():
    """While IAM is down, a living token serves without waiting for it, and IAM sees a try a minute at most."""
    async with client(token_ttl_s=10_000) as it:
        await it.push()
        await it.arm({"on": "token", "status": 503})
        it.now += 8_100 * SECOND
        for _ in range(600):
            it.now += SECOND
            assert (await it.push()).accepted
        assert 10 <= it.tokens() <= 40
        await it.disarm()
        it.now += 2 * MINUTE
        assert (await it.push()).accepted
        await until(lambda: it.client.credentials.expires_at > it.now + 9_000 * SECOND)


async def test_an_iam_that_hangs_holds_up_nobody_while_the_token_lives():
    """Requests go on with the present token while IAM does not answer its renewal."""
    async with client(token_ttl_s=1_000) as it:
        await it.push()
        await it.arm({"on": "token", "hang": True})
        it.now += 900 * SECOND
        async with asyncio.timeout(8):  # a request to IAM that hangs takes 10 s
            for _ in range(20):
                assert (await it.push()).accepted


async def test_an_aom_that_refuses_every_token_is_no_storm_on_iam():
    """Where AOM refuses new tokens as well, they are not bought by the hundred."""
    async with client() as it:
        await it.arm({"on": "report", "status": 401})
        for _ in range(100):
            assert (await it.push()).reason == "unauthorized"
        assert it.tokens() <= 2


async def test_one_refusal_while_iam_is_down_costs_no_living_token():
    """A stray 401 while no new token can be had does not discard the old one."""
    async with client() as it:
        await it.push()
        await it.arm({"on": "token", "status": 503}, {"on": "report", "status": 401, "count": 1})
        assert (await it.push()).reason == "unauthorized"
        assert (await it.push()).accepted


async def test_a_token_that_has_ended_on_arrival_is_not_asked_for_again_and_again():
    """Where our clock is far ahead, IAM is not asked with every request; AOM's own word counts."""
    async with client(token_ttl_s=600) as it:
        it.ahead = 60 * MINUTE
        for _ in range(20):
            assert (await it.push()).accepted
        assert it.tokens() == 1


async def test_iam_without_an_answer_leaves_nothing_in_doubt():
    """What never had a token was never sent: no alarm is looked up again for it."""
    async with client(auth=PASSWORD.replace("'%s'", "'http://127.0.0.1:1'")) as it:
        outcome = await it.push()
    assert (outcome.reason, outcome.in_doubt) == ("unavailable", False)
    assert "IAM at http://127.0.0.1:1" in outcome.detail


# All kinds, end to end

KINDS = {
    "token": "{token: {file: %(folder)s/token}}",
    "password": (
        "{password: {domain: emulator, user: emulator, password_file: %(folder)s/password, iam_endpoint: '%(url)s'}}"
    ),
    "aksk": (
        "{aksk: {access_key_file: %(folder)s/ak, secret_key_file: %(folder)s/sk, security_token_file: %(folder)s/st}}"
    ),
    "sdk": "{sdk: {}}",
}


class Secrets:
    """The secrets of one kind, in files: wrong at first, then right, then others."""

    def __init__(self, folder, emulator):
        self.folder = folder
        self.emulator = emulator
        self.used = set()

    def write(self, number, *, right):
        words = {name: f"{name}-{number}-hunter2" for name in ("sk", "st")}
        self.used |= {f"wrong-{number}-hunter2", *words.values()}
        token = "emulator-token" if right else f"wrong-{number}-hunter2"
        password = "emulator" if right else f"wrong-{number}-hunter2"
        for name, text in {"token": token, "password": password, "ak": f"ak-{number}", **words}.items():
            (self.folder / name).write_text(text)
        lines = {"ak": f"ak-{number}", "sk": words["sk"], "security_token": words["st"]}
        (self.folder / "profile").write_text("[basic]\n" + "".join(f"{k} = {v}\n" for k, v in lines.items()))
        if right:
            self.emulator.use_keys(f"ak-{number}", words["sk"], words["st"])


@pytest.mark.parametrize("kind", METHODS)
async def test_fire_and_clear_through_wrong_secrets_expiry_and_rotation(kind, tmp_path, monkeypatch, capfd):
    """Wrong credentials lose nothing, expired and rotated ones are renewed, and no place shows one."""
    monkeypatch.setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", str(tmp_path / "profile"))
    monkeypatch.setattr("bridge.aom.auth.renewing._BETWEEN_REFUSED", 0)
    monkeypatch.setattr("bridge.aom.auth.renewing._AFTER_REFUSAL", 100)
    emulator = Emulator(Options(port=0))
    await emulator.start()
    secrets = Secrets(tmp_path, emulator)
    secrets.write(1, right=False)
    auth = KINDS[kind] % {"folder": tmp_path, "url": emulator.url}
    pages = []
    async with running(tmp_path / "l.db", emulator=emulator, auth=auth) as rig:
        one = alert()
        await rig.send(one)
        await until(lambda: sum(emulator.snapshot()["counts"][name] for name in ("report", "token")) >= 1)
        pages.append(await rig.get("/api/v1/alarms"))
        secrets.write(2, right=True)
        await until(lambda: rig.active() == ["DiskFull"])
        await rig.arm({"expire_tokens": True})
        secrets.write(3, right=True)
        await rig.send({**one, "status": "resolved", "endsAt": alert(ends_at=system_clock())["endsAt"]})
        await until(lambda: rig.cleared() == ["DiskFull"])
        pages += [await rig.get(path) for path in ("/metrics", "/api/v1/alarms", "/")]
        shown = json.dumps(pages) + repr(rig.app._reloader.settings)
    await emulator.stop()
    said = capfd.readouterr()
    for secret in secrets.used:
        assert secret not in shown + said.out + said.err
    assert "unauthorized" in shown + said.out + said.err


def test_the_regions_are_the_sdks():
    """Every region that the official SDK knows resolves to the address that it knows."""
    from huaweicloudsdkaom.v2.region.aom_region import AomRegion  # noqa: PLC0415 - it takes a second

    known = {name: region.endpoints for name, region in AomRegion.static_fields.items()}
    assert known == {name: [f"https://aom.{name}.myhuaweicloud.com"] for name in REGIONS}
