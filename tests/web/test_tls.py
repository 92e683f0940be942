"""Over what one comes in: TLS, client certificates, and their change under way."""

import asyncio
import socket
import ssl

import aiohttp
import pytest
from certificates import Authority
from waiting import PATIENCE, until
from web_clients import ADMIN, STATUS, USERS, WEBHOOK, ask, basic, guarded

from bridge.file_watch import stat_files
from bridge.web.listener import Listener

TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key%s}\n"
MTLS = ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem"


async def test_tls_is_spoken_from_version_1_2_on(tmp_path):
    """Clients that trust the CA are served by TLS 1.2 and 1.3; plain HTTP is not."""
    authority = Authority(tmp_path)
    async with guarded(tmp_path, TLS % "") as rig:
        assert rig.app.url.startswith("https://")
        assert await ask(rig, *WEBHOOK, ssl=authority.client()) == 200
        old = authority.client(maximum_version=ssl.TLSVersion.TLSv1_2)
        assert await ask(rig, *WEBHOOK, ssl=old) == 200
        with pytest.raises(aiohttp.ClientError):
            await ask(rig, *WEBHOOK, url=rig.app.url.replace("https", "http"))
    async with guarded(tmp_path, TLS % ", min_version: TLS13") as rig:
        assert await ask(rig, *WEBHOOK, ssl=authority.client()) == 200
        with pytest.raises(aiohttp.ClientError):
            await ask(rig, *WEBHOOK, ssl=old)


async def test_cipher_suites_are_those_of_the_file(tmp_path):
    """With TLS 1.2 only the listed suite is spoken, by Go's name for it."""
    authority = Authority(tmp_path)
    suite = "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384], curve_preferences: [CurveP256]"
    async with guarded(tmp_path, TLS % f", max_version: TLS12, {suite}") as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.app.port, ssl=authority.client())
        assert writer.get_extra_info("cipher")[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"
        writer.close()
        assert reader is not None
        other = authority.client(maximum_version=ssl.TLSVersion.TLSv1_2)
        other.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        with pytest.raises(aiohttp.ClientError):
            await ask(rig, *STATUS, ssl=other)


async def test_only_clients_with_a_certificate_of_the_ca_come_in(tmp_path):
    """With mTLS no certificate, or one of another CA, ends at the handshake; SANs can be required besides."""
    authority = Authority(tmp_path)
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other")
    async with guarded(tmp_path, TLS % MTLS) as rig:
        assert await ask(rig, *WEBHOOK, ssl=authority.client("alertmanager")) == 200
        for context in (authority.client(), authority.client("alertmanager", ca=stranger.ca)):
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await ask(rig, *WEBHOOK, ssl=context)
    async with guarded(tmp_path, TLS % f"{MTLS}, client_allowed_sans: [alertmanager]") as rig:
        assert await ask(rig, *WEBHOOK, ssl=authority.client("alertmanager")) == 200
        assert await ask(rig, *WEBHOOK, ssl=authority.client("prometheus")) == 403


async def test_a_certificate_has_rights_of_its_own(tmp_path):
    """Where no password is needed, rights are granted by the name in the verified certificate."""
    authority = Authority(tmp_path)
    text = TLS % MTLS + "rights: {alertmanager: [webhook], oncall: [status, admin]}\n"
    async with guarded(tmp_path, text) as rig:
        for name, expected in (("alertmanager", [200, 403, 403]), ("oncall", [403, 200, 200])):
            context = authority.client(name)
            assert [await ask(rig, *route, ssl=context) for route in (WEBHOOK, STATUS, ADMIN)] == expected


async def test_a_certificate_does_not_stand_for_a_password(tmp_path):
    """With users and mTLS both are needed, as with every Prometheus component."""
    authority = Authority(tmp_path)
    async with guarded(tmp_path, TLS % MTLS + USERS) as rig:
        context = authority.client("alertmanager")
        assert await ask(rig, *WEBHOOK, ssl=context) == 401
        assert await ask(rig, *WEBHOOK, ssl=context, headers=basic("alertmanager", "am")) == 200


def served(rig, context):
    """Give the certificate that a new connection is shown."""
    with (
        socket.create_connection(("127.0.0.1", rig.app.port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        return connection.getpeercert(binary_form=True)


@pytest.mark.slow
async def test_a_certificate_is_changed_without_dropping_a_connection(tmp_path):
    """New connections get the new certificate, open ones go on; half a change and a wrong key keep the old."""
    authority = Authority(tmp_path)
    async with guarded(tmp_path, TLS % "") as rig:
        rig.scraping = {"ssl": authority.client()}
        context = authority.client()
        first = await asyncio.to_thread(served, rig, context)
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.app.port, ssl=context)

        async def is_alive():
            writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"Healthy.\n")

        await is_alive()
        old_key = (tmp_path / "server.key").read_bytes()
        authority.issue()
        new_key = (tmp_path / "server.key").read_bytes()
        (tmp_path / "server.key").write_bytes(old_key)

        async def successful(value):
            return await rig.metric("aom_bridge_web_config_last_reload_successful") == value

        await until(lambda: successful(0))
        assert await asyncio.to_thread(served, rig, context) == first
        (tmp_path / "server.key").write_bytes(new_key)
        await until(lambda: successful(1))
        assert await asyncio.to_thread(served, rig, context) != first
        await is_alive()
        writer.close()


@pytest.mark.slow
async def test_a_client_whose_ca_is_trusted_no_longer_ends_with_its_next_answer(tmp_path):
    """After a change of the client CA, open connections are answered once more and closed; new ones are refused."""
    authority = Authority(tmp_path)
    async with guarded(tmp_path, TLS % MTLS) as rig:
        context = authority.client("alertmanager")
        address = ("127.0.0.1", rig.app.port)
        reader, writer = await asyncio.open_connection(*address, ssl=context, limit=1 << 20)
        accept = "Accept: application/openmetrics-text"  # its last line is a mark
        request = f"GET /metrics HTTP/1.1\r\nHost: localhost\r\n{accept}\r\n\r\n".encode()
        writer.write(request)
        assert b"Connection: close" not in await reader.readuntil(b"\r\n\r\n")
        (tmp_path / "new").mkdir()
        Authority(tmp_path / "new")
        (tmp_path / "ca.pem").write_bytes((tmp_path / "new" / "ca.pem").read_bytes())
        await until(lambda: asyncio.to_thread(is_refused, rig, context))
        await reader.readuntil(b"\n# EOF\n")
        writer.write(request)
        rest = await reader.read(-1)
        assert b"200 OK" in rest
        assert b"connection: close" in rest.lower()
        writer.close()


def is_refused(rig, context):
    """Say whether a new connection gets no answer: with TLS 1.3 a refused certificate shows at the first read only."""
    try:
        with (
            socket.create_connection(("127.0.0.1", rig.app.port), timeout=PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            connection.sendall(b"GET /-/healthy HTTP/1.0\r\n\r\n")
            return not connection.recv(100)
    except (ssl.SSLError, ConnectionError):
        return True


async def test_allowed_names_count_beside_passwords_too(tmp_path):
    """With users and `client_allowed_sans` the certificate must have an allowed name, whatever password comes along."""
    authority = Authority(tmp_path)
    text = TLS % f"{MTLS}, client_allowed_sans: [alertmanager, '2001:db8::1']" + USERS
    async with guarded(tmp_path, text) as rig:
        headers = basic("alertmanager", "am")
        assert await ask(rig, *WEBHOOK, ssl=authority.client("alertmanager"), headers=headers) == 200
        assert await ask(rig, *WEBHOOK, ssl=authority.client("2001:db8::1"), headers=headers) == 200
        assert await ask(rig, *WEBHOOK, ssl=authority.client("evil"), headers=headers) == 403


async def test_rights_that_name_certificates_leave_changes_to_nobody_else(tmp_path):
    """Where rights are granted to certificates, one that is not listed changes nothing, not even from loopback."""
    authority = Authority(tmp_path)
    async with guarded(tmp_path, TLS % MTLS + "rights: {oncall: [status, admin]}\n") as rig:
        assert await ask(rig, *ADMIN, ssl=authority.client("other")) == 403
        assert await ask(rig, *ADMIN, ssl=authority.client("oncall")) == 200


@pytest.mark.slow
@pytest.mark.parametrize("more", ["", MTLS], ids=["TLS", "mTLS"])
async def test_a_plain_connection_does_not_outlive_the_change_to_tls(tmp_path, more):
    """After TLS was turned on, an open plain connection is answered once at most, and never changes anything."""
    authority = Authority(tmp_path)
    async with guarded(tmp_path, "http_server_config: {http2: false}\n") as rig:
        plain = rig.app.url
        assert [await ask(rig, *route) for route in (WEBHOOK, ADMIN)] == [200, 200]
        (tmp_path / "web.yml").write_text(TLS % more)
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(connector=connector) as rig.session:
            assert await ask(rig, *STATUS) == 200
            await until(lambda: rig.app.url.startswith("https"))
            assert await ask(rig, *ADMIN, url=plain) == 503
            with pytest.raises(aiohttp.ClientError):
                await ask(rig, *ADMIN, url=plain)
        async with aiohttp.ClientSession() as rig.session:
            context = authority.client("alertmanager") if more else authority.client()
            assert await ask(rig, *WEBHOOK, ssl=context) == 200


@pytest.mark.slow
async def test_no_broken_file_ends_the_watch(tmp_path):
    """After an empty CA and a link in a circle the old policy stays; once they are mended, the next file counts."""
    authority = Authority(tmp_path)
    ca = (tmp_path / "ca.pem").read_bytes()
    async with guarded(tmp_path, TLS % MTLS) as rig:
        rig.scraping = {"ssl": authority.client("prometheus")}

        async def successful(value):
            return await rig.metric("aom_bridge_web_config_last_reload_successful") == value

        (tmp_path / "ca.pem").write_bytes(b"")
        await until(lambda: successful(0))
        (tmp_path / "ca.pem").write_bytes(ca)
        await until(lambda: successful(1))
        (tmp_path / "server.key").rename(tmp_path / "kept.key")
        (tmp_path / "server.key").symlink_to("server.key")
        await until(lambda: successful(0))
        (tmp_path / "server.key").unlink()
        (tmp_path / "kept.key").rename(tmp_path / "server.key")
        await until(lambda: successful(1))


@pytest.mark.slow
async def test_a_failed_change_of_the_listeners_changes_none_and_is_tried_again(tmp_path, monkeypatch):
    """When one of two listeners cannot go over, both stay as they were; once it can, both do by themselves."""
    authority = Authority(tmp_path)
    prepare = Listener.prepare
    broken = True

    async def stumbling(listener, tls):
        if broken and listener._flag == "--web.admin-listen-address":
            raise OSError(24, "Too many open files")
        return await prepare(listener, tls)

    monkeypatch.setattr(Listener, "prepare", stumbling)
    async with guarded(tmp_path, "http_server_config: {http2: false}\n", admin=True) as rig:
        (tmp_path / "web.yml").write_text(TLS % "")

        async def has_failed():
            return await rig.metric("aom_bridge_web_config_last_reload_successful") == 0

        await until(has_failed)
        assert rig.app.url.startswith("http:")
        assert await ask(rig, *WEBHOOK, url=rig.app.url) == 200
        broken = False
        await until(lambda: rig.app.url.startswith("https:"))
        context = authority.client()
        assert await ask(rig, *WEBHOOK, url=rig.app.url, ssl=context) == 200
        assert await ask(rig, *STATUS, ssl=context) == 200


async def test_a_file_that_becomes_readable_is_read(tmp_path):
    """A change of permissions is a change: the fix that the message names is enough."""
    first = stat_files([str(tmp_path)])
    tmp_path.chmod(0o711)
    assert stat_files([str(tmp_path)]) != first


def distrusting(port):
    """Connect without trust in the bridge's CA; a blocking client says why, as Go's do."""
    context = ssl.create_default_context()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


async def told(capsys, words):
    """Wait until a log line holds these words."""
    output = []

    def is_told():
        output.append(capsys.readouterr().out)
        return words in "".join(output)

    await until(is_told)


async def test_a_handshake_that_fails_leaves_a_line_with_the_fix(tmp_path, capsys):
    """Plain HTTP on the port of TLS, a client that does not trust the certificate, and one without a certificate."""
    authority = Authority(tmp_path)
    async with guarded(tmp_path, TLS % MTLS) as rig:
        with pytest.raises(aiohttp.ClientError):
            await ask(rig, *WEBHOOK, url=rig.app.url.replace("https", "http"))
        await told(capsys, "speaks plain HTTP on the port of TLS. Fix: https://")
        await asyncio.to_thread(distrusting, rig.app.port)
        await told(capsys, "does not trust the bridge's certificate. Fix: ca_file")
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await ask(rig, *WEBHOOK, ssl=authority.client())
        await told(capsys, "has no certificate. Fix: cert_file and key_file")
