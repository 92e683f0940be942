"""The file of `--web.config.file`: what is read, and how each mistake is told."""

import json

import pytest
from certificates import Authority
from paths import DATA, ROOT
from process import bridge_command, run
from web_clients import TOKEN, hashed

from bridge.config import ConfigError
from bridge.web import read_policy

HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key, %s}"
MTLS = "client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, "


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a CA, a server's certificate and key, and some files that are none."""
    made = tmp_path_factory.mktemp("web")
    Authority(made)
    (made / "other").mkdir()
    Authority(made / "other")
    (made / "text.pem").write_text("hello\n")
    return made


def mistakes(folder, text, tokens=None):
    """Give the lines that a file's mistakes are told by, without the folder."""
    (folder / "web.yml").write_text(text)
    (folder / "tokens.yml").write_text(tokens or f"one: {TOKEN}\n")
    with pytest.raises(ConfigError) as caught:
        read_policy(str(folder / "web.yml"))
    return [line.replace(f"{folder}/", "") for line in caught.value.lines()]


def test_the_format_of_every_prometheus_component_is_read(folder):
    """All keys of exporter-toolkit's file that mean something here are taken, and ours beside them."""
    text = (DATA / "web" / "full.yml").read_text()
    (folder / "full.yml").write_text(text)
    (folder / "tokens.yml").write_text(f"robot: {TOKEN}\nhashed: sha256:{'0' * 64}\n")
    policy = read_policy(str(folder / "full.yml"))
    assert policy.summary == "TLS with client certificates, 2 user(s), 2 token(s)"
    assert policy.rights_of("oncall") == {"status", "admin"}
    assert policy.rights_of("alertmanager") == {"webhook", "status"}
    assert policy.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert policy.doubts == ()


def test_certificates_may_stand_in_the_file(folder):
    """Certificate, key and CA as text in the file are as good as files."""
    pem, key, ca = ((folder / name).read_text() for name in ("server.pem", "server.key", "ca.pem"))
    tls = {"cert": pem, "key": key, "client_ca": ca, "client_auth_type": "VerifyClientCertIfGiven"}
    (folder / "inline.yml").write_text(json.dumps({"tls_server_config": tls}))
    assert read_policy(str(folder / "inline.yml")).summary.startswith("TLS with client certificates")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "1:1: the file is empty. Fix: configure users, tokens or TLS, or leave --web.config.file out."),
        ("[]", "1:1: keys and values are expected here, not a list. Fix: write 'key: value'."),
        ("tls_config: {}", "1:1: tls_config: unknown key. Fix: did you mean 'tls_server_config'?"),
        ("rate_limit: {burst: 1}", "1:1: rate_limit: unknown key. Fix: use one of "),
        ("tls_server_config: {}", "1:20: tls_server_config.cert_file: it is missing. Fix: add it."),
        (TLS % "cert: x", "1:72: tls_server_config.cert: cert and cert_file are mutually exclusive. Fix: remove one."),
        (TLS % "client_auth_type: RequireAnyClientCert", "asks for a certificate and does not verify it. Fix: Req"),
        (TLS % "client_auth_type: Never", "'Never' is not known here. Fix: use one of NoClientCert, "),
        (TLS % "client_auth_type: VerifyClientCertIfGiven", "there is no CA to verify with. Fix: add client_ca_file."),
        (TLS % "client_ca_file: ca.pem", "clients are not asked for certificates. Fix: client_auth_type: Require"),
        (
            TLS % (MTLS + "client_ca: x"),
            "client_ca: client_ca and client_ca_file are mutually exclusive. Fix: remove one.",
        ),
        (TLS % "client_allowed_sans: [a]", "a client may come without a certificate. Fix: client_auth_type: Requi"),
        (
            TLS % "min_version: TLS10",
            "min_version: TLS10 has known weaknesses (RFC 8996) and is not supported. Fix: use TLS",
        ),
        (TLS % "min_version: 1.2", "min_version: '1.2' is not a version of TLS. Fix: use TLS12 or TLS13."),
        (TLS % "min_version: TLS13, max_version: TLS12", "min_version: it is above max_version. Fix: lower it."),
        (TLS % "cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]", "cipher_suites[0]: 'TLS_RSA_WITH_RC4_128_SHA' is not "),
        (
            TLS % "max_version: TLS12, cipher_suites: [TLS_AES_128_GCM_SHA256]",
            "cipher_suites: none of them belongs to TLS 1.2. Fix: add one that does, or allow TLS13.",
        ),
        (TLS % "curve_preferences: [CurveP256, X25519]", "curve_preferences: Python's TLS supports one curve. Fix: "),
        (
            "tls_server_config: {cert_file: none.pem, key_file: server.key}",
            "cert_file: none.pem: it is not there. Fix: create it, or correct the path; in a container, mount it.",
        ),
        (
            "tls_server_config: {cert_file: text.pem, key_file: server.key}",
            "1:32: tls_server_config.cert_file: it cannot be used (it is not PEM). Fix: a certificate in PEM form.",
        ),
        (
            "tls_server_config: {cert_file: server.pem, key_file: text.pem}",
            "tls_server_config.key_file: it cannot be used (it is not PEM). Fix: a key in PEM form.",
        ),
        (
            "tls_server_config: {cert_file: server.pem, key_file: other/server.key}",
            "key_file: it does not belong to the certificate. Fix: use the key that the certificate was made for.",
        ),
        (
            TLS % "client_auth_type: RequireAndVerifyClientCert, client_ca_file: text.pem",
            "client_ca_file: it holds no certificate. Fix: the CA's certificate in PEM form.",
        ),
        ("basic_auth_users: {a: secret}", "1:23: basic_auth_users.a: it is not a bcrypt hash. Fix: make one with  ht"),
        (f"basic_auth_users: {{a: {HASH.replace('10', '31')}}}", "basic_auth_users.a: its cost is not 4 to 16. Fix: "),
        (
            f"basic_auth_users: {{a: {HASH.replace('zou', 'zov')}}}",
            "basic_auth_users.a: it is not a bcrypt hash. Fix: ",
        ),
        (f"basic_auth_users: {{a: {HASH.replace('$2y', '$2')}}}", "basic_auth_users.a: it is not a bcrypt hash. Fix: "),
        ("basic_auth_users:", "there is no user. Fix: add one, or remove the key to allow access without a password."),
        (f"basic_auth_users: {{'a:b': {HASH}}}", "a user's name holds no colon (RFC 7617). Fix: another name."),
        (f"basic_auth_users: {{a: {HASH}, a: {HASH}}}", "the key is at line 1 already. Fix: remove one."),
        (f"basic_auth_users: {{alice: {HASH}}}\nrights: {{alcie: [admin]}}", "2:17: rights.alcie: no user and no tok"),
        (f"basic_auth_users: {{a: {HASH}}}\nrights: {{a: [amdin]}}", "rights.a[0]: 'amdin' is not known here. Fix: "),
        ("bearer_tokens_file: none.yml", "bearer_tokens_file: none.yml:1:1: the file cannot be read: it is not "),
        (
            "http_server_config: {headers: {X-Frame-Options: never}}",
            "'never' is not a valid value for X-Frame-Options. Fix: us",
        ),
        (
            'http_server_config: {headers: {X-XSS-Protection: "a\\r\\nb"}}',
            "it holds characters that an HTTP header cannot. Fix: pr",
        ),
    ],
)
def test_each_mistake_is_told_with_its_place_and_its_fix(folder, text, line):
    """One sentence says where, what and what to do; nothing that is worth nothing is taken silently."""
    lines = mistakes(folder, text)
    assert any(line in one for one in lines), lines
    assert len(lines) <= 2


@pytest.mark.parametrize(
    ("tokens", "line"),
    [
        ("one: short", "tokens.yml:1:6: a token is 16 to 4096 of A-Z a-z 0-9 . _ ~ + / = and -. Fix: make one "),
        ("one: sha256:zz", "tokens.yml:1:6: after sha256: 64 hexadecimal digits are expected. Fix: printf %s TO"),
        (
            f"one: {TOKEN}\ntwo: {TOKEN}",
            "tokens.yml: two has the same token as one. Fix: use a different token for each.",
        ),
        (f"a: {TOKEN}", "there is also a user 'a'. Fix: give the token another name."),
        ("- x", "tokens.yml:1:1: keys and values are expected here, not a list. Fix: write 'key: value'."),
        ("{}", "tokens.yml holds no token. Fix: add one, or leave bearer_tokens_file out."),
        (" ", "tokens.yml:1:1: the file is empty. Fix: write lines of NAME: TOKEN."),
    ],
)
def test_each_mistake_in_the_tokens_file_is_told(folder, tokens, line):
    """The tokens' own file and line are named, and no token is shown."""
    lines = mistakes(folder, f"basic_auth_users: {{a: {HASH}}}\nbearer_tokens_file: tokens.yml", tokens)
    assert any(line in one for one in lines), lines
    assert not any(TOKEN in one for one in lines)


def test_a_token_that_stands_in_the_place_of_its_name_is_not_shown(folder):
    """Who swaps name and token finds the place, and no token in the log."""
    (line,) = mistakes(folder, "bearer_tokens_file: tokens.yml", f"{TOKEN}: one")
    assert "tokens.yml:1:27: a token is 16 to 4096" in line
    assert TOKEN not in line


def test_a_ca_file_may_have_comments(folder):
    """Text around the certificates, in any language, is no mistake; an empty file is."""
    ca = (folder / "ca.pem").read_bytes()
    (folder / "commented.pem").write_bytes("# Autoridad de Certificación\n".encode() + ca)
    (folder / "empty.pem").write_bytes(b"")
    mtls = "client_auth_type: RequireAndVerifyClientCert, client_ca_file: "
    (folder / "web.yml").write_text(TLS % (mtls + "commented.pem"))
    assert read_policy(str(folder / "web.yml")).summary.startswith("TLS with client")
    (line,) = mistakes(folder, TLS % (mtls + "empty.pem"))
    assert "client_ca_file: it holds no certificate" in line


def test_an_encrypted_key_is_refused_and_no_terminal_is_asked(folder):
    """A key with a password is named with the command that takes the password away."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - trustme brings it

    key = serialization.load_pem_private_key((folder / "server.key").read_bytes(), None)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x"))
    (folder / "locked.key").write_bytes(key.private_bytes(*form))
    (line,) = mistakes(folder, "tls_server_config: {cert_file: server.pem, key_file: locked.key}")
    assert line.endswith("key_file: the key has a password. Fix: openssl pkey -in KEY -out PLAIN_KEY.")


def test_what_is_right_and_unwise_is_a_warning(folder):
    """Passwords without TLS, and hashes that tell names by their time, are warned of."""
    text = f"basic_auth_users: {{a: {HASH}, b: '{hashed('x')}', c: {HASH.replace('$10$', '$14$')}}}"
    (folder / "web.yml").write_text(text)
    told = [problem.text for problem in read_policy(str(folder / "web.yml")).doubts]
    assert len(told) == 3
    assert any("clear text" in one for one in told)
    assert any("different costs" in one for one in told)
    assert any("14 takes seconds" in one for one in told)


def test_nothing_secret_shows_in_a_policy(folder):
    """Neither hashes nor tokens nor keys show where a policy is printed."""
    (folder / "full.yml").write_text((DATA / "web" / "full.yml").read_text())
    (folder / "tokens.yml").write_text(f"robot: {TOKEN}\n")
    shown = repr(read_policy(str(folder / "full.yml")))
    assert "$2y$" not in shown
    assert TOKEN not in shown
    assert "alertmanager" in shown


@pytest.mark.real
async def test_check_web_config_answers_by_its_exit_code(folder):
    """0 for a good file, 1 with every mistake for a wrong one, 2 for one that cannot be read; JSON for programs."""
    (folder / "good.yml").write_text(TLS % "")
    (folder / "bad.yml").write_text("basic_auth_users: {a: hunter2}\nrights: {b: [x]}\n")
    command = bridge_command("check-web-config")
    code, out, err = await run(*command, str(folder / "good.yml"))
    assert (code, out) == (0, f"{folder}/good.yml: SUCCESS: TLS, 0 user(s), 0 token(s)\n")
    assert err.startswith(f"warning: {folder}/good.yml:1:1: no authentication is configured")
    code, out, err = await run(*command, str(folder / "bad.yml"))
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == f"{folder}/bad.yml: FAILED: 2 problem(s)"
    assert "hunter2" not in err
    code, out, _ = await run(*command, "--format=json", str(folder / "bad.yml"))
    assert (code, [problem["line"] for problem in json.loads(out)[0]["problems"]]) == (1, [1, 2])
    assert (await run(*command, str(folder / "none.yml")))[0] == 2


@pytest.mark.real
async def test_serve_does_not_start_with_a_broken_web_configuration(folder, tmp_path):
    """The bridge ends at once with the mistakes, before it touches anything."""
    (folder / "bad.yml").write_text("basic_auth_users: {a: hunter2}\n")
    (tmp_path / "bridge.yaml").write_text("targets: {default: {project_id: p, region: cn-north-4, auth: {sdk: {}}}}\n")
    arguments = (f"--config.file={tmp_path}/bridge.yaml", f"--web.config.file={folder}/bad.yml")
    code, _, err = await run(*bridge_command("serve", *arguments))
    assert code == 1
    assert "basic_auth_users.a: it is not a bcrypt hash" in err
    assert not list(tmp_path.glob("*.db"))


def test_the_shipped_example_is_right(folder):
    """config/web.yml loads with the files that it names, without a warning."""
    for mine, theirs in (("tls.crt", "server.pem"), ("tls.key", "server.key")):
        (folder / mine).write_bytes((folder / theirs).read_bytes())
    (folder / "tokens.yml").write_text(f"prometheus: {TOKEN}\n")
    (folder / "web.yml").write_text((ROOT / "config" / "web.yml").read_text())
    policy = read_policy(str(folder / "web.yml"))
    assert (policy.summary, policy.doubts) == ("TLS, 2 user(s), 1 token(s)", ())
    assert policy.rights_of("oncall") == {"status", "admin"}
