"""Forms that look like variables and are none are told, and what a variable holds is used as a person meant it."""

import pytest
from config_reading import check
from process import bridge_command, run, serving
from waiting import until

from bridge.config import load

TARGET = "targets: {{default: {{region: cn-north-4, project_id: p1, auth: {{token: {{value: {}}}}}{}}}}}\n"


def doubts(value, more=""):
    """Give what is doubtful about a file whose token is written so."""
    found = load("f", {"A": "a"}, raw=TARGET.format(value, more).encode())
    return [problem.text for problem in found.doubts]


SECRETS = {
    "two dollars": ("'Pa$$w0rd'", "$$ means a single $ here. Fix: write $$$$ for two, or keep it in a file"),
    "a shell's variable": ("$AOM_TOKEN", "it looks like a variable, and only ${NAME}"),
    "a variable of Kubernetes": ("$(AOM_TOKEN)", "it looks like a variable, and only ${NAME}"),
    "a variable of Windows": ("'%AOM_TOKEN%'", "it looks like a variable, and only ${NAME}"),
    "a template": ("'{{ .Values.token }}'", "templates are not supported in this value"),
    "a no-break space": ("'hunter2\u00a0'", "U+00A0 (no-break space) is here"),
    "typographic quotes": ("\u201chunter2\u201d", "its typographic quotes are part of the value. Fix: write"),
    "a zero width space": ("'\u200bhunter2'", "U+200B (zero width space) is here"),
}


@pytest.mark.parametrize(("value", "sentence"), SECRETS.values(), ids=SECRETS.keys())
def test_a_secret_that_looks_like_something_else_is_doubted(value, sentence):
    """A secret may look like anything, so it is taken as it stands, with a warning that does not repeat it."""
    (text,) = doubts(value)
    assert text.startswith(sentence)
    assert not [word for word in ("AOM_TOKEN", "hunter2", "w0rd") if word in text]


@pytest.mark.parametrize("value", ["'Pa$w0rd'", "'a$'", "'50%'", "'a%b%c'", "'{a}'", "'${A}'", "'${NO:-a}'", "'a{{b'"])
def test_a_secret_that_looks_like_nothing_else_is_not_doubted(value):
    """A dollar, a percent or a brace within a password is the password's own."""
    assert doubts(value) == []


@pytest.mark.parametrize("value", ["/run/$HOST/ca.pem", "'/run/%HOST%/ca.pem'", "/run/$(HOST)/ca.pem"])
def test_a_part_of_a_value_that_looks_like_a_variable_is_doubted(value):
    """A shell's variable within a longer text is not replaced, and a warning says so."""
    (text,) = doubts("t", f", ca_file: {value}")
    assert text.startswith("a part of it looks like a variable")


def test_a_line_break_at_the_end_of_a_value_is_taken_off(tmp_path):
    """A Secret made with echo ends with a line break: in a variable, in a file and in a block it is not part of it."""
    (tmp_path / "password").write_text("secret\r\n")
    text = (
        "targets:\n  default:\n    region: ${REGION}\n    project_id: |\n      p1\n    auth:\n      password:\n"
        f"        domain: ${{DOMAIN}}\n        user: ${{USER}}\n        password_file: {tmp_path}/password\n"
        "store: {lease: '${LEASE}'}\nmapping: {annotations: {a: 'x${USER}', b: \"{{ labels.a }}${USER}\"}}\n"
    )
    env = {"REGION": "cn-north-4\n", "DOMAIN": "d\n", "USER": "u\r\n", "LEASE": "90s\n"}
    found = load("f", env, raw=text.encode()).settings
    target = found.targets["default"]
    assert (target.region, target.project_id) == ("cn-north-4", "p1")
    password = target.auth.password
    assert (password.domain, password.user, password.secret().reveal()) == ("d", "u", "secret")
    scope = {"labels": {"a": "1"}}
    assert [found.mapping.annotations[key].render(scope) for key in ("a", "b")] == ["xu", "1u"]


def test_warnings_do_not_fail_the_check(tmp_path):
    """A doubtful secret is a warning of check-config, with its place."""
    problems, (warning,) = check(tmp_path, TARGET.format("'Pa$$w0rd'", ""))
    assert problems == []
    assert warning.startswith("f:1:79: targets.default.auth.token.value: $$ means a single $ here.")


@pytest.mark.real
async def test_serve_says_at_its_start_what_is_doubtful(tmp_path):
    """What check-config warns of stands in serve's log as well, once it starts and at each reload."""
    auth = "{token: {value: 'emulator-t$$ken'}}"
    async with serving(tmp_path, "http://127.0.0.1:1", auth=auth, arguments=["--config.watch"]) as (process, _):
        (line,) = [line for line in process.output.splitlines() if "doubtful configuration" in line]
        assert "$$ means a single $ here. Fix: " in line
        assert "t$ken" not in process.output
        with (tmp_path / "bridge.yaml").open("a") as file:
            file.write("# changed\n")
        await until(lambda: process.output.count("doubtful configuration") == 2)


@pytest.mark.real
async def test_serve_without_its_ledgers_folder_names_it(tmp_path):
    """A ledger without a folder ends the start with the folder and the fix."""
    file = tmp_path / "bridge.yaml"
    file.write_text(TARGET.format("t", "") + f"store: {{url: 'sqlite:///{tmp_path}/none/a.db'}}\n")
    code, _, err = await run(*bridge_command("serve", f"--config.file={file}", "--web.listen-address=127.0.0.1:0"))
    assert code == 2
    assert f"the ledger's folder {tmp_path}/none cannot be written: it is not there. Fix: create it, or correct" in err


def test_a_group_of_a_regular_expression_is_no_broken_variable():
    """In a replacement ${1} is a group, as in Prometheus."""
    text = "mapping: {annotations: {a: \"{{ labels.a | reReplaceAll('(.*):.*', '${1}x') }}\"}}"
    found = load("f", {}, raw=(TARGET.format("t", "") + text).encode()).settings
    assert found.mapping.annotations["a"].render({"labels": {"a": "host:9100"}}) == "hostx"


@pytest.mark.timeout(10)
@pytest.mark.parametrize("piece", ["{{", "{%", "%a", "$(a", "${{", "$$"])
def test_a_value_of_200_kb_of_signs_is_looked_at_fast(piece):
    """No form that looks like a variable or a template takes longer than its text is long."""
    load("f", {}, raw=TARGET.format("'" + piece * (200_000 // len(piece)) + "'", "").encode())


def test_a_dollar_before_a_template_is_a_dollar():
    """A currency's sign before a template is no broken variable."""
    text = TARGET.format("t", "") + "mapping: {annotations: {a: 'costs ${{ labels.a }}'}}"
    assert (
        load("f", {}, raw=text.encode()).settings.mapping.annotations["a"].render({"labels": {"a": "5"}}) == "costs $5"
    )
