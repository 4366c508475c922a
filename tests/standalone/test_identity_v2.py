"""Identity v2.0, as clients of 2013 speak to it."""

from typing import Any

import pytest
import structlog

from netloom.standalone.web import Reply
from tests.standalone.embedded_identity import Identity
from tests.standalone.world import PASSWORDS

UNAUTHORIZED = "The request you have made requires authentication."


def sign_in(identity: Identity, user: str = "demo", password: str = "", **tenant: Any) -> Reply:
    credentials = {"username": user, "password": password or PASSWORDS[user]}
    return identity.ask("POST", "/v2.0/tokens", {"auth": {**tenant, "passwordCredentials": credentials}})


def test_versions_are_found_at_the_root(identity):
    versions = identity.ask("GET", "/")
    assert versions.status == 300
    ids = {entry["id"]: entry["links"][0]["href"] for entry in versions.body["versions"]["values"]}
    assert ids["v2.0"] == "http://cloud/identity/v2.0/"
    assert identity.ask("GET", "/v2.0/").body["version"]["id"] == "v2.0"


@pytest.mark.parametrize("by", ["tenantName", "tenantId"])
def test_a_password_gives_a_token_with_tenant_roles_and_catalog(identity, by):
    reply = sign_in(identity, **{by: "demo" if by == "tenantName" else identity.projects["demo"]})
    assert reply.status == 200
    access = reply.body["access"]
    assert access["token"]["tenant"] == {
        "id": identity.projects["demo"],
        "name": "demo",
        "description": "Demo Tenant",
        "enabled": True,
    }
    assert len(access["token"]["expires"]) == len("2013-04-13T00:33:21Z")
    assert {role["name"] for role in access["user"]["roles"]} == {"member", "reader"}
    addresses = {entry["type"]: entry["endpoints"][0]["publicURL"] for entry in access["serviceCatalog"]}
    assert addresses["network"] == "http://cloud/"
    assert addresses["compute"] == f"http://cloud/compute/v2.1/{identity.projects['demo']}"
    assert addresses["identity"] == "http://cloud/identity/v2.0"
    regions = {entry["endpoints"][0]["region"] for entry in access["serviceCatalog"]}
    assert regions == {"RegionOne"}


def test_its_tokens_are_valid_everywhere_and_v3_tokens_here(identity):
    token = sign_in(identity, tenantName="demo").body["access"]["token"]["id"]
    who = identity.authenticate(token)
    assert (who.user_name, who.project_name, who.roles) == ("demo", "demo", frozenset({"member", "reader"}))
    shown = identity.ask("GET", "/v3/auth/tokens", x_auth_token=token, x_subject_token=token)
    assert shown.body["token"]["project"]["name"] == "demo"
    again = {"auth": {"tenantName": "demo", "token": {"id": identity.token("demo", "demo")}}}
    assert identity.ask("POST", "/v2.0/tokens", again).body["access"]["token"]["tenant"]["name"] == "demo"


def test_without_a_tenant_there_is_no_catalog_but_a_list_of_tenants(identity):
    access = sign_in(identity, user="admin").body["access"]
    assert "tenant" not in access["token"]
    assert access["serviceCatalog"] == []
    unscoped = access["token"]["id"]
    tenants = identity.ask("GET", "/v2.0/tenants", x_auth_token=unscoped).body
    assert [tenant["name"] for tenant in tenants["tenants"]] == ["admin", "demo"]
    assert set(tenants["tenants"][0]) == {"id", "name", "description", "enabled"}
    scoped = identity.ask("POST", "/v2.0/tokens", {"auth": {"tenantName": "admin", "token": {"id": unscoped}}})
    assert "admin" in {role["name"] for role in scoped.body["access"]["user"]["roles"]}
    assert identity.ask("GET", "/v2.0/tenants").status == 401


def test_a_wrong_password_an_unknown_user_and_a_foreign_tenant_are_one_answer(identity):
    wrong = [
        sign_in(identity, password="wrong", tenantName="demo"),
        sign_in(identity, user="nobody", password="x", tenantName="demo"),
        sign_in(identity, tenantName="admin"),
        sign_in(identity, tenantName="nowhere"),
        identity.ask("POST", "/v2.0/tokens", {"auth": {"tenantName": "demo", "token": {"id": "gAAAA-nonsense"}}}),
    ]
    assert {(reply.status, reply.body["error"]["message"]) for reply in wrong} == {(401, UNAUTHORIZED)}


@pytest.mark.parametrize(
    "auth",
    [
        {},
        {"passwordCredentials": {}},
        {"passwordCredentials": "admin"},
        {"passwordCredentials": {"username": "admin"}},
        {"passwordCredentials": {"username": ["admin"], "password": "x"}},
        {"passwordCredentials": {"username": "admin", "password": 5}},
        {"token": {}},
        {"token": {"id": {}}},
        {"passwordCredentials": {"username": "demo", "password": PASSWORDS["demo"]}, "tenantName": {"name": "demo"}},
        {"passwordCredentials": {"username": "demo", "password": PASSWORDS["demo"]}, "tenantId": 7},
    ],
)
def test_a_malformed_request_is_400(identity, auth):
    assert identity.ask("POST", "/v2.0/tokens", {"auth": auth}).status == 400


def test_disabled_users_and_tenants_do_not_sign_in(identity):
    admin = identity.token()
    user = identity.authenticate(identity.token("demo", "demo")).user_id
    for path, name, own in (("users", "user", user), ("projects", "project", identity.projects["demo"])):
        for enabled, status in ((False, 401), (True, 200)):
            change = {name: {"enabled": enabled}}
            assert identity.ask("PATCH", f"/v3/{path}/{own}", change, x_auth_token=admin).status == 200
            assert sign_in(identity, tenantName="demo").status == status


def test_nothing_secret_is_logged(identity, capsys):
    with structlog.testing.capture_logs() as logged:
        token = sign_in(identity, tenantName="demo").body["access"]["token"]["id"]
        sign_in(identity, password="not-this-one", tenantName="demo")
        identity.ask("POST", "/v2.0/tokens", {"auth": {"passwordCredentials": {"username": 1, "password": "nor-this"}}})
        identity.ask("GET", "/v2.0/tenants", x_auth_token=token)
    printed = capsys.readouterr()
    said = f"{logged}{printed.out}{printed.err}"
    for secret in (token, PASSWORDS["demo"], "not-this-one", "nor-this"):
        assert secret not in said
