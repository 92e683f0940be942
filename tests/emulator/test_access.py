"""Tokens are issued, honoured and refused as IAM, the gateway and AOM do it."""

import copy
from datetime import UTC, datetime

import msgspec
import pytest
from emulator_client import T0, Clock, alarm, cloud

LOGIN = {
    "auth": {
        "identity": {
            "methods": ["password"],
            "password": {
                "user": {"name": "emulator", "password": "emulator", "domain": {"name": "emulator"}},
            },
        },
        "scope": {"project": {"id": "p1"}},
    }
}


def login(*path, value):
    """Give a token request with one member changed."""
    changed = copy.deepcopy(LOGIN)
    member = changed
    for name in path[:-1]:
        member = member[name]
    member[path[-1]] = value
    return changed


async def issue(it, body=None, headers=None):
    """Ask for a token; give status, token and body."""
    url = f"{it.emulator.url}/v3/auth/tokens?nocatalog=true"
    async with it.session.post(url, json=body or LOGIN, headers=headers) as response:
        return response.status, response.headers.get("X-Subject-Token"), await response.json()


@pytest.mark.parametrize("length", [2_000, 12_000, 40_960])
async def test_a_token_of_any_length_is_issued_and_accepted(length):
    """A token of the ordered length arrives in the header and opens the API, up to IAM's 40,960 characters."""
    async with cloud(token_length=length) as it:
        status, token, body = await issue(it)
        assert (status, len(token)) == (201, length)
        assert body["token"]["issued_at"] == "2027-01-15T08:00:00.000000Z"
        assert await it.report(alarm(), headers={"X-Auth-Token": token}) == 204
        assert it.state()["counts"]["token"] == 1


async def test_a_token_expires():
    """A token is good for its lifetime and then refused as AOM refuses it; a fixed token never is."""
    async with cloud(token_ttl_s=60) as it:
        _, token, body = await issue(it)
        assert body["token"]["expires_at"] == "2027-01-15T08:01:00.000000Z"
        it.clock.advance(59_999)
        assert await it.report(alarm(), headers={"X-Auth-Token": token}) == 204
        it.clock.advance(1)
        headers = {"X-Auth-Token": token}
        status, answer = await it.json("PUT", "/v2/p1/push/events", json={}, headers=headers)
        assert (status, answer["error_code"]) == (401, "AOM.0401")
        assert await it.report(alarm()) == 204


async def test_a_scope_may_name_the_project():
    """A project may be named by id or by name, and a wrong id is refused where one is set."""
    async with cloud(project_id="p1") as it:
        by_name = login("auth", "scope", "project", value={"name": "cn-north-4"})
        assert (await issue(it, by_name))[0] == 201
        assert (await issue(it))[0] == 201
        wrong = login("auth", "scope", "project", value={"id": "p2"})
        assert (await issue(it, wrong))[0] == 400


USER = ("auth", "identity", "password", "user")
WRONG = {
    "user": (*USER, "name"),
    "password": (*USER, "password"),
    "domain": (*USER, "domain", "name"),
}


@pytest.mark.parametrize("path", WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_login_is_refused_in_iams_shape(path):
    """A wrong user, password or domain is a 401 with IAM's error body."""
    async with cloud() as it:
        status, token, body = await issue(it, login(*path, value="wrong"))
        assert (status, token) == (401, None)
        assert (body["error"]["code"], body["error"]["title"]) == (401, "Unauthorized")


MALFORMED = {
    "a list": [1],
    "no user": login("auth", "identity", "password", value={}),
    "no password": login(*USER, "password", value=None),
    "no methods": login("auth", "identity", "methods", value=[]),
    "no scope": login("auth", "scope", value={}),
    "scope without project": login("auth", "scope", "project", value={}),
    "number as project": login("auth", "scope", "project", value={"id": 1}),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_login_is_a_400(body):
    """A token request of another form is a 400 with IAM's error body."""
    async with cloud() as it:
        status, _, answer = await issue(it, body)
        assert (status, answer["error"]["code"]) == (400, 400)
        status, _ = await it.send("POST", "/v3/auth/tokens", data=b"{")
        assert status == 400


async def test_without_credentials_the_gateway_refuses():
    """A request without any credentials is the gateway's 401, with a wrong token AOM's."""
    async with cloud() as it:
        for token, code in (("", "APIGW.0301"), ("wrong", "AOM.0401")):
            for path in ("/v2/p1/push/events", "/v2/p1/events"):
                status, answer = await it.json("POST", path, json={}, headers={"X-Auth-Token": token})
                assert (status, answer["error_code"]) == (401, code)
        assert it.state()["violations_total"] == 0


def signed(it, at_ms, *, method="PUT", path="/v2/p1/push/events", ak="emulator-ak", sk="emulator-sk"):
    """Sign a report of one alarm by hand, with the SDK's signer alone."""
    from huaweicloudsdkcore.auth.credentials import BasicCredentials  # noqa: PLC0415 - slow to import
    from huaweicloudsdkcore.sdk_request import SdkRequest  # noqa: PLC0415
    from huaweicloudsdkcore.signer.signer import Signer  # noqa: PLC0415

    body = msgspec.json.encode({"events": [alarm()]})
    headers = {
        "Content-Type": "application/json",
        "X-Sdk-Date": datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y%m%dT%H%M%SZ"),
    }
    host = it.emulator.url.removeprefix("http://")
    request = SdkRequest("PUT", "http", host, path, path, [], headers, body)
    Signer(BasicCredentials(ak, sk)).sign(request)
    return {"method": method, "path": path, "data": body, "headers": request.header_params}


async def test_a_signature_opens_the_api_instead_of_a_token():
    """A request signed with the right keys passes."""
    async with cloud() as it:
        assert (await it.send(**signed(it, T0)))[0] == 204


@pytest.mark.parametrize("minutes", [-16, 16])
async def test_a_signature_of_another_time_is_refused(minutes):
    """A date more than 15 minutes off is a 401, although the signature is right."""
    async with cloud() as it:
        assert (await it.send(**signed(it, T0 + minutes * 60_000)))[0] == 401
        assert (await it.send(**signed(it, T0 + minutes // 2 * 60_000)))[0] == 204


async def test_a_signature_covers_the_whole_request():
    """Another body, method, query, date, header or key than the signed one is a 401 of the gateway."""
    async with cloud() as it:
        other_query = signed(it, T0) | {"path": "/v2/p1/push/events?action=clear"}
        other_date = signed(it, T0)
        other_date["headers"]["X-Sdk-Date"] = "20270115T080001Z"
        no_header = signed(it, T0)
        no_header["headers"].pop("X-Sdk-Date")
        unreadable = signed(it, T0)
        unreadable["headers"]["Authorization"] = "SDK-HMAC-SHA256 nonsense"
        unsigned_date = signed(it, T0)
        unsigned_date["headers"]["Authorization"] = (
            "SDK-HMAC-SHA256 Access=emulator-ak, SignedHeaders=host, Signature=0"
        )
        for request in (
            signed(it, T0) | {"data": b"{}"},
            signed(it, T0, method="POST"),
            other_query,
            other_date,
            no_header,
            unreadable,
            unsigned_date,
            signed(it, T0, sk="wrong"),
            signed(it, T0, ak="wrong"),
        ):
            status, answer = await it.json(**request)
            assert (status, answer["error_code"]) == (401, "APIGW.0301")


async def test_tokens_can_be_expired_by_order():
    """The order expire_tokens ends every issued token at once, keeps the fixed ones and stays not armed."""
    async with cloud(clock=Clock()) as it:
        _, token, _ = await issue(it)
        assert await it.arm({"expire_tokens": True}) == []
        assert await it.report(alarm(), headers={"X-Auth-Token": token}) == 401
        assert await it.report(alarm()) == 204
