"""Addresses, regions and projects lead where they say, and what leads elsewhere is told before anything is sent."""

import proxies
import pytest
from aiohttp import web
from aom_client import client
from config_reading import check
from http_server import serving_routes

from bridge.config import load

PASSWORD = "auth: {password: {domain: d, user: u, password: p}}"
TOKEN = "auth: {token: {value: t}}"


def target(text):
    """Give the settings of a target."""
    return load("f", {}, raw=f"targets: {{default: {{project_id: p1, {text}}}}}".encode()).settings.targets["default"]


def doubts(text, more=""):
    """Give what is doubtful about a target, with its path."""
    found = load("f", {}, raw=f"targets: {{default: {{project_id: p1, {text}}}}}\n{more}".encode())
    return [(problem.path.removeprefix("targets.default."), problem.text) for problem in found.doubts]


def test_the_european_site_has_its_own_domain():
    """AOM and IAM of eu-west-101 are found under myhuaweicloud.eu, without a warning."""
    found = target(f"region: eu-west-101, {PASSWORD}")
    assert found.aom_url == "https://aom.eu-west-101.myhuaweicloud.eu"
    assert found.iam_url == "https://iam.eu-west-101.myhuaweicloud.eu"
    assert doubts(f"region: eu-west-101, {PASSWORD}") == []


def test_a_region_that_the_sdk_does_not_list_is_doubted():
    """A new region works; what resembles a known one is named."""
    assert target(f"region: cn-nort-4, {PASSWORD}").aom_url == "https://aom.cn-nort-4.myhuaweicloud.com"
    ((path, text),) = doubts(f"region: cn-nort-4, {PASSWORD}")
    assert (path, "did you mean 'cn-north-4'? Or set endpoint" in text) == ("region", True)
    ((path, text),) = doubts(f"region: xy-far-away-77, {PASSWORD}")
    assert text.endswith("may not exist. Fix: set endpoint to AOM's address there.")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"endpoint: 'https://aom.example', region: cn-north-4, {TOKEN}", "it is not used where endpoint is set."),
        (
            f"endpoint: 'https://aom.cn-east-3.myhuaweicloud.com', region: cn-north-4, {PASSWORD}",
            "endpoint is an address in cn-east-3.",
        ),
        (
            "endpoint: 'https://aom.cn-east-3.myhuaweicloud.com', region: cn-north-4, auth: {sdk: {}}",
            "endpoint is an address in cn-east-3.",
        ),
    ],
)
def test_an_endpoint_beside_a_region_is_doubted(text, sentence):
    """Where an endpoint makes the region void, or they name two places, a warning says so."""
    assert doubts(text) == [("region", f"{sentence} Fix: remove endpoint or region.")]


@pytest.mark.parametrize("auth", [PASSWORD, "auth: {sdk: {}}"])
def test_a_region_beside_an_endpoint_that_is_used_is_not_doubted(auth):
    """IAM and STS are asked in the region, where only AOM has an endpoint."""
    assert doubts(f"endpoint: 'https://aom.example', region: cn-north-4, {auth}") == []


def test_a_name_in_place_of_the_enterprise_projects_id_is_doubted():
    """The enterprise project called default has the id 0."""
    ((path, _),) = doubts(f"region: cn-north-4, enterprise_project_id: default, {TOKEN}")
    assert path == "enterprise_project_id"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alarm_timeout: 1h", []),
        ("alarm_timeout: 59m", ["reassert_after"]),
        ("alarm_timeout: 1m, reassert_after: 0s", []),
        ("reassert_after: 3d", ["reassert_after"]),
    ],
)
def test_alarms_that_end_before_they_are_reported_again_are_doubted(text, expected):
    """A reassert_after over half of the timeout is a warning: AOM clears the alarm while its alert fires."""
    assert [path for path, _ in doubts(f"region: cn-north-4, {text}, {TOKEN}")] == expected


def test_a_rules_timeout_is_compared_with_its_targets_reassert_after():
    """A rule's own short timeout is doubted like that of its target."""
    rules = "mapping: {rules: [{name: a, match: [a=b], timeout: 30m}, {name: b, timeout: 1h}]}"
    ((path, text),) = doubts(f"region: cn-north-4, {TOKEN}", rules)
    assert path == "mapping.rules[0].timeout"
    assert "Fix: a reassert_after of at most 15m, or a longer timeout." in text


async def test_the_older_header_of_the_enterprise_project_can_be_sent():
    """A target's option names the header that older deployments read, on reports and on lists."""
    seen = []

    async def answer(request):
        seen.append({name: value for name, value in request.headers.items() if "enterprise" in name.lower()})
        return (
            web.json_response({"events": [], "page_info": {}}) if request.method == "POST" else web.Response(status=204)
        )

    routes = (web.put("/v2/{project}/push/events", answer), web.post("/v2/{project}/events", answer))
    async with serving_routes(*routes) as url:
        for header in ("enterprise-project-id", "x-enterprise-prject-id"):
            lines = f"enterprise_project_header: {header}\nenterprise_project_id: '7'"
            async with client(auth="{token: {value: t}}", target=lines, aom=url) as it:
                assert (await it.push()).accepted
                assert (await it.find()).outcome.accepted
    assert seen == [{"enterprise-project-id": "7"}] * 2 + [{"x-enterprise-prject-id": "7"}] * 2


@pytest.mark.parametrize(
    ("where", "host"),
    [
        ("region: ap-southeast-3", "sts.ap-southeast-3.myhuaweicloud.com"),
        ("region: eu-west-101", "sts.eu-west-101.myhuaweicloud.eu"),
    ],
)
async def test_the_sdks_chain_asks_in_the_targets_region(where, host, monkeypatch):
    """STS is asked where the target's region is, not where the SDK's default is."""
    for name, value in {"PROVIDER_URN": "p", "AGENCY_URN": "a", "ID_TOKEN": "t"}.items():
        monkeypatch.setenv(f"HUAWEICLOUD_OIDC_{name}", value)
    for name in ("NO_PROXY", "no_proxy", "HUAWEICLOUD_SDK_STS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    async with proxies.proxy() as proxy:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://wrong:wrong@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", "/nowhere")
        monkeypatch.setattr(
            "huaweicloudsdkcore.auth.internal.MetadataAccessor._METADATA_ENDPOINT", "http://127.0.0.1:1"
        )
        async with client(auth="{sdk: {}}", target=where) as it:
            assert (await it.push()).reason == "unauthorized"
    assert ("CONNECT", f"{host}:443") in proxy.asked


LEDGERS = {
    "no folder": (
        "sqlite:///{0}/none/a.db",
        "the ledger's folder {0}/none: it is not there. Fix: create it, or correct the path",
    ),
    "a file for a folder": ("sqlite:///{0}/file/a.db", "the ledger's folder {0}/file: it is not there. Fix: "),
    "a folder for a file": (
        "sqlite:///{0}/folder",
        "the ledger's file {0}/folder: it is a folder. Fix: name a file in",
    ),
}


@pytest.mark.parametrize(("url", "sentence"), LEDGERS.values(), ids=LEDGERS.keys())
def test_a_ledger_that_has_no_place_is_told(tmp_path, url, sentence):
    """check-config looks for the ledger's folder; where the file is meant for another machine, it is a warning."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    target = f"targets: {{default: {{region: cn-north-4, project_id: p1, {TOKEN}}}}}"
    text = f"{target}\nstore: {{url: '{url.format(tmp_path)}'}}"
    (problem,), _ = check(tmp_path, text)
    assert problem.startswith(f"f:2:14: store.url: {sentence.format(tmp_path)}")
    problems, (warning,) = check(tmp_path, text, allow_unset=True)
    assert (problems, warning) == ([], problem)
