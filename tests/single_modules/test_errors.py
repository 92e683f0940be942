"""What the network, TLS, IAM and files refuse is told in the words of the person who mends it, from its real cause."""

import asyncio
import contextlib
import errno
import re
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import proxies
import pytest
import trustme
from aiohttp import web
from aom_client import PASSWORD, client
from http_server import serving_routes
from plain_words import PYTHONS, is_plain
from unprivileged import as_unprivileged, open_to_all

from bridge.config import ConfigError, load
from bridge.errors import BridgeError, of_file, of_listening
from bridge.web import read_policy
from bridge.web.listener import Listener

TOKEN = "{token: {value: emulator-token}}"
FIRST_FREE_PORT = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())


@contextlib.asynccontextmanager
async def tls(folder, *, identity="localhost", asks=False, **certificate):
    """Serve TLS that answers 204 to everything; give its address and the file of its CA."""
    ca = trustme.CA()
    file = folder / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(identity, **certificate).configure_cert(context)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        ca.configure_trust(context)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", _answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://localhost:{runner.addresses[0][1]}", file
    finally:
        await runner.cleanup()


async def _answer(_request):
    return web.Response(status=204)


async def refused(aom, target="rate_limit: 1000"):
    """Push to an address; give the words about it."""
    async with client(auth=TOKEN, aom=aom, target=target) as it:
        outcome = await it.push()
    assert not outcome.accepted
    assert is_plain(outcome.detail), outcome.detail
    return outcome.detail


PAST = {"not_before": datetime(2020, 1, 1, tzinfo=UTC), "not_after": datetime(2020, 2, 1, tzinfo=UTC)}
FUTURE = {"not_before": datetime.now(UTC) + timedelta(days=9), "not_after": datetime.now(UTC) + timedelta(days=99)}
CERTIFICATES = {
    "of another name": ({"identity": "aom.example"}, "is for another name. Fix: use a name that"),
    "that has expired": (PAST, "has expired. Fix: renew it there"),
    "that is not valid yet": (FUTURE, "is not valid yet. Fix: correct this machine's clock"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("certificate", "words"), CERTIFICATES.values(), ids=CERTIFICATES.keys())
async def test_a_certificate_that_does_not_hold_is_told_with_its_reason(certificate, words, tmp_path):
    """A certificate of another name, of the past or of the future is named as that, with host and port."""
    async with tls(tmp_path, **certificate) as (url, ca):
        text = await refused(url, f"ca_file: {ca}")
    assert f"the certificate of {url.removeprefix('https://')} {words}" in text


async def test_a_certificate_of_an_unknown_authority_is_told_and_ca_file_mends_it(tmp_path):
    """The fix names ca_file, and with it the connection is trusted."""
    async with tls(tmp_path) as (url, ca):
        place = url.removeprefix("https://")
        text = await refused(url)
        assert f"the certificate of {place} is not signed by a trusted CA. Fix: " in text
        assert "ca_file" in text
        async with client(auth=TOKEN, aom=url, target=f"ca_file: {ca}") as it:
            assert (await it.push()).accepted


async def test_a_server_that_speaks_no_tls_is_told():
    """An https:// address of a plain server says so, and http:// mends it."""
    async with serving_routes(web.put("/v2/p1/push/events", _answer)) as url:
        text = await refused(url.replace("http://", "https://"))
        assert f"{url.removeprefix('http://')} does not use TLS. Fix: " in text
        async with client(auth=TOKEN, aom=url) as it:
            assert (await it.push()).accepted


async def test_a_server_that_asks_for_a_clients_certificate_is_told(tmp_path):
    """A server that wants a certificate of ours breaks TLS off, and the message says that TLS failed."""
    async with tls(tmp_path, asks=True) as (url, ca):
        text = await refused(url, f"ca_file: {ca}")
    assert re.search("broken off|closed before|certificate", text)


def free_port():
    """Give a port at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
async def test_a_refused_connection_names_host_and_port():
    """Where nothing listens, the words name host and port."""
    port = free_port()
    assert f"the connection to 127.0.0.1:{port} is refused. Fix: " in await refused(f"http://127.0.0.1:{port}")
    assert f"the connection to localhost:{port} is refused. Fix: " in await refused(f"http://localhost:{port}")


async def test_a_name_that_is_not_known_is_told():
    """A host that no name server knows is told as that."""
    text = await refused("http://no-such-host.invalid")
    assert "no name server knows the address of no-such-host.invalid:80. Fix: " in text


async def broken(reader, writer, answer):
    """Answer so, and break off."""
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "the connection was closed before the answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "the connection was closed within the answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the answer is not valid HTTP"),
    ],
)
async def test_an_answer_that_is_none_is_told(answer, words):
    """A server that closes, breaks off, or speaks another protocol is told as that."""
    server = await asyncio.start_server(lambda r, w: broken(r, w, answer), "127.0.0.1", 0)
    async with server:
        text = await refused(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert words in text


async def test_a_proxy_that_refuses_is_told():
    """A proxy that asks for another password, or is not there, is named as the proxy, without its password."""
    async with proxies.proxy() as proxy:
        wrong = f"proxy_url: 'http://u:hunter2@127.0.0.1:{proxy.port}'"
        text = await refused("https://aom.example", wrong)
    assert "the proxy asks for another user and password (407). Fix: write them into proxy_url" in text
    port = free_port()
    text += await refused("https://aom.example", f"proxy_url: 'http://u:hunter2@127.0.0.1:{port}'")
    assert f"the connection to the proxy 127.0.0.1:{port} is refused. Fix: " in text
    assert "hunter2" not in text


async def test_iam_that_cannot_be_reached_is_told_in_the_same_words(tmp_path):
    """Connection and TLS to IAM are told as those to AOM, with IAM's address."""
    port = free_port()
    async with tls(tmp_path) as (secured, _):
        for iam, words in [
            (f"http://127.0.0.1:{port}", f"the connection to 127.0.0.1:{port} is refused"),
            (secured, f"the certificate of {secured.removeprefix('https://')} is not signed by a trusted CA"),
        ]:
            async with client(auth=PASSWORD.replace("%s", iam)) as it:
                detail = (await it.push()).detail
            assert f"IAM at {iam}: {words}" in detail
            assert is_plain(detail)


IAM = {
    "password": (
        "password: emulator",
        "password: hunter2",
        "user 'emulator' of the account 'emulator' has another pas",
    ),
    "user": ("user: emulator", "user: somebody", "user 'somebody' of the account 'emulator' has another password, or"),
    "domain": ("domain: emulator", "domain: acme", "user 'emulator' of the account 'acme' has another password, or"),
    "path": ("%s", "%s/identity", "/identity/v3/auth/tokens is no address of IAM's. Fix: correct iam_endpoint, or reg"),
}


@pytest.mark.parametrize(("old", "new", "words"), IAM.values(), ids=IAM.keys())
async def test_what_iam_refuses_is_told_with_what_must_be_corrected(old, new, words):
    """Each refusal names the user, the account or the address that it is about, and never the password."""
    async with client(auth=PASSWORD.replace(old, new)) as it:
        outcome = await it.push()
    assert outcome.reason == "unauthorized"
    assert words in outcome.detail
    assert is_plain(outcome.detail)
    assert "hunter2" not in outcome.detail


async def test_a_project_that_iam_does_not_know_is_told():
    """A wrong project_id is named, with the place where the right one stands."""
    async with client(project_id="other") as it:
        detail = (await it.push()).detail
    assert "project_id 'p1' is no project of user 'emulator' of the account 'emulator' at http://127.0.0.1:" in detail
    assert "Fix: take its id from the console's My Credentials page" in detail


ANSWERS = {
    "no permission": (403, "Forbidden", "may not use project_id 'p1'. Fix: let its groups use that project"),
    "a locked user": (401, "The account is locked.", "is locked. Fix: correct the password, and wait for 15 minutes"),
    "trouble": (500, "Oops", "has a fault. Fix: wait; the bridge tries again"),
    "odd form": (400, "The request body is invalid", "IAM cannot read domain, user, password or project_id 'p1'."),
    "a redirect": (302, "", "is not IAM. Fix: correct iam_endpoint, or region"),
}


@pytest.mark.parametrize(("status", "message", "words"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_each_answer_of_iam_has_its_own_fix(status, message, words):
    """No permission, a locked user, another form and trouble are told apart."""
    async with client() as it:
        await it.arm({"on": "token", "status": status, "error_msg": message})
        detail = (await it.push()).detail
    assert words in detail
    assert is_plain(detail)


async def test_what_the_sdks_providers_lack_is_told_in_the_same_words(monkeypatch, capfd):
    """Where the SDK cannot reach STS or the host's metadata, host and port are named, and nothing else is printed."""
    port = free_port()
    for name, value in {"OIDC_PROVIDER_URN": "p", "OIDC_AGENCY_URN": "a", "OIDC_ID_TOKEN": "t"}.items():
        monkeypatch.setenv(f"HUAWEICLOUD_{name}", value)
    monkeypatch.setenv("HUAWEICLOUD_SDK_STS_ENDPOINT", "http://no-such-host.invalid")
    monkeypatch.setattr(
        "huaweicloudsdkcore.auth.internal.MetadataAccessor._METADATA_ENDPOINT", f"http://127.0.0.1:{port}"
    )
    async with client(auth="{sdk: {}}") as it:
        detail = (await it.push()).detail
    assert "OidcSts: no name server knows the address of no-such-host.invalid:80" in detail
    assert f"Metadata: the connection to 127.0.0.1:{port} is refused" in detail
    assert not PYTHONS.search(detail)
    assert "Exception" not in capfd.readouterr().err


async def test_what_sts_refuses_is_told_with_its_status(monkeypatch):
    """An answer of STS that is a refusal is told by its status and words, not as the SDK's own record."""

    async def refuse(_request):
        return web.json_response({"error_code": "STS.0403", "error_msg": "no such agency"}, status=403)

    async with serving_routes(web.post("/v5/agencies/assume-with-oidc", refuse)) as url:
        for name, value in {"OIDC_PROVIDER_URN": "p", "OIDC_AGENCY_URN": "a", "OIDC_ID_TOKEN": "t"}.items():
            monkeypatch.setenv(f"HUAWEICLOUD_{name}", value)
        monkeypatch.setenv("HUAWEICLOUD_SDK_STS_ENDPOINT", url)
        monkeypatch.setattr(
            "huaweicloudsdkcore.auth.internal.MetadataAccessor._METADATA_ENDPOINT", "http://127.0.0.1:1"
        )
        async with client(auth="{sdk: {}}") as it:
            detail = (await it.push()).detail
    assert "OidcSts: 403 no such agency; " in detail
    assert not PYTHONS.search(detail)


def test_a_file_without_permission_is_told_apart_from_one_that_is_missing(tmp_path):
    """check-config says of each secret's file whether it is missing, closed to us, a folder or empty."""
    kinds = {
        "closed": "has no permission for it",
        "missing": "it is not there",
        "folder": "it is a folder",
        "empty": "it is e",
    }
    (tmp_path / "closed").write_text("secret")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").write_text("\n")
    open_to_all(tmp_path)
    for name, words in kinds.items():
        auth = f"{{password: {{domain: d, user: u, password_file: {tmp_path / name}}}}}"
        text = f"targets: {{default: {{region: cn-north-4, project_id: p1, auth: {auth}}}}}"
        with as_unprivileged():
            (problem,) = load("f", {}, raw=text.encode()).missing
        assert problem.path == "targets.default.auth.password.password_file"
        assert problem.text.startswith(f"{tmp_path / name}: ")
        assert words in problem.text
        assert is_plain(problem.text)


def test_a_web_configurations_files_are_told_in_the_same_words(tmp_path):
    """A key that the bridge may not read, and a certificate that is not there, are told by their setting."""
    (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: none.pem, key_file: closed.key}\n")
    (tmp_path / "closed.key").write_text("key")
    (tmp_path / "closed.key").chmod(0)
    open_to_all(tmp_path)
    with as_unprivileged(), pytest.raises(ConfigError) as caught:
        read_policy(str(tmp_path / "web.yml"))
    cert, key = caught.value.lines()
    assert cert.endswith(
        "cert_file: none.pem: it is not there. Fix: create it, or correct the path; in a container, mount it."
    )
    assert "key_file: closed.key: the bridge (user " in key
    assert is_plain(key)


async def test_a_secrets_file_that_goes_away_is_told_with_its_setting(tmp_path):
    """A request without its secret's file says which setting and file, and what to do."""
    async with client(auth=f"{{token: {{file: {tmp_path}/none}}}}") as it:
        detail = (await it.push()).detail
    fix = "create it, or correct the path; in a container, mount it."
    assert detail == f"auth.token: {tmp_path}/none: it is not there. Fix: {fix}"


async def unheard(host, port):
    """Try to listen; give the words about it."""
    with pytest.raises(BridgeError) as caught:
        await Listener(host, port, "--web.listen-address").start(web.Application(), None, 1)
    assert is_plain(str(caught.value))
    return str(caught.value)


async def test_an_address_that_cannot_be_listened_on_says_why():
    """A port in use, an address of another machine and a name that is not known are told apart."""
    with socket.socket() as first:
        first.bind(("127.0.0.1", 0))
        first.listen()
        port = first.getsockname()[1]
        text = f"127.0.0.1:{port} cannot be listened on: another process listens there already. Fix: stop that one, "
        assert await unheard("127.0.0.1", port) == text + "or choose another port by --web.listen-address."
    assert "this machine has no such address. Fix: " in await unheard("192.0.2.1", 0)
    assert "no name server knows that name. Fix: " in await unheard("no-such-host.invalid", 0)


async def test_a_port_of_roots_says_from_where_ports_are_free():
    """A port below 1024 is told as that, where the system keeps such ports for root."""
    if FIRST_FREE_PORT > 1:
        with as_unprivileged():
            text = await unheard("127.0.0.1", 1)
        assert "ports below 1024 are for root. Fix: choose a port from 1024 on by --web.listen-address." in text
    # In a container every port may be free for all; the words are the same.
    assert of_listening(PermissionError(errno.EACCES, ""), 443).what == "ports below 1024 are for root"


def test_what_a_file_refuses_is_told_by_its_number():
    """Each error of a file system that a user meets has its own words."""
    for number in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EISDIR, errno.EROFS, errno.ENOSPC, errno.EIO):
        assert is_plain(str(of_file(OSError(number, "Input/output error"))))
