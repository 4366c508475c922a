"""The embedded identity service, as clients speak to it."""

import pytest

from netloom.api.errors import Unauthorized
from netloom.standalone.identity import directory
from tests.standalone.world import PASSWORDS


def test_a_password_gives_a_token_with_roles_and_catalog(identity):
    reply = identity.sign_in("admin", "admin")
    token = reply.body["token"]
    assert reply.status == 201
    assert {role["name"] for role in token["roles"]} == {"admin", "manager", "member", "reader"}
    assert token["project"] == {"id": identity.projects["admin"], "name": "admin", "domain": directory.DOMAIN}
    public = {entry["type"]: entry["endpoints"][0]["url"] for entry in token["catalog"]}
    assert public["network"] == "http://cloud/"
    assert public["compute"] == f"http://cloud/compute/v2.1/{identity.projects['admin']}"


def test_a_wrong_password_an_unknown_user_and_a_foreign_project_are_one_answer(identity):
    for reply in (
        identity.sign_in("admin", "admin", "wrong"),
        identity.sign_in("nobody", "admin", "x"),
        identity.sign_in("demo", "admin"),
    ):
        assert reply.status == 401
        assert reply.body["error"]["message"] == "The request you have made requires authentication."


def test_a_malformed_request_is_400(identity):
    assert identity.ask("POST", "/v3/auth/tokens", {"auth": {}}).status == 400
    assert identity.ask("POST", "/v3/auth/tokens", {"auth": {"identity": {"methods": ["password"]}}}).status == 400
    assert identity.ask("POST", "/v3/auth/tokens").status == 400


def test_another_service_validates_tokens(identity):
    who = identity.authenticate(identity.token("demo", "demo"))
    assert (who.user_name, who.project_name, who.roles) == ("demo", "demo", frozenset({"member", "reader"}))
    with pytest.raises(Unauthorized):
        identity.authenticate("gAAAA-nonsense")


def test_a_revoked_token_and_those_before_a_new_password_end(identity):
    token, other = identity.token("demo", "demo"), identity.token("demo", "demo")
    identity.authenticate(token)
    assert identity.ask("DELETE", "/v3/auth/tokens", x_auth_token=token, x_subject_token=token).status == 204
    with pytest.raises(Unauthorized):
        identity.authenticate(token)
    user = identity.authenticate(other).user_id
    change = {"user": {"original_password": PASSWORDS["demo"], "password": "new-one"}}
    assert identity.ask("POST", f"/v3/users/{user}/password", change, x_auth_token=other).status == 204
    with pytest.raises(Unauthorized):
        identity.authenticate(other)
    assert identity.sign_in("demo", "demo", "new-one").status == 201


def test_tempest_makes_a_project_a_user_and_a_grant(identity):
    admin = identity.token()
    project = identity.ask("POST", "/v3/projects", {"project": {"name": "t1"}}, x_auth_token=admin).body["project"]
    user = identity.ask("POST", "/v3/users", {"user": {"name": "u1", "password": "pw"}}, x_auth_token=admin).body[
        "user"
    ]
    assert identity.sign_in("u1", "t1", "pw").status == 401
    roles = identity.ask("GET", "/v3/roles?name=member", x_auth_token=admin).body["roles"]
    path = f"/v3/projects/{project['id']}/users/{user['id']}/roles/{roles[0]['id']}"
    assert identity.ask("PUT", path, x_auth_token=admin).status == 204
    assert identity.sign_in("u1", "t1", "pw").status == 201
    assert identity.ask("DELETE", f"/v3/users/{user['id']}", x_auth_token=admin).status == 204
    assert identity.ask("DELETE", f"/v3/projects/{project['id']}", x_auth_token=admin).status == 204
    assert identity.sign_in("u1", "t1", "pw").status == 401


def test_members_may_look_but_not_change(identity):
    demo = identity.token("demo", "demo")
    assert identity.ask("GET", "/v3/projects", x_auth_token=demo).status == 200
    for method, path, body in (
        ("POST", "/v3/projects", {"project": {"name": "mine"}}),
        ("DELETE", f"/v3/projects/{identity.projects['admin']}", None),
        ("POST", "/v3/users", {"user": {"name": "x"}}),
        ("GET", "/v3/role_assignments", None),
    ):
        assert identity.ask(method, path, body, x_auth_token=demo).status == 403
    assert identity.ask("GET", "/v3/projects").status == 401


def test_an_application_credential_signs_in_with_its_roles_only_and_is_its_owners(identity):
    demo = identity.token("demo", "demo")
    user = identity.authenticate(demo).user_id
    wish = {"application_credential": {"name": "app", "roles": [{"name": "reader"}]}}
    made = identity.ask("POST", f"/v3/users/{user}/application_credentials", wish, x_auth_token=demo)
    credential = made.body["application_credential"]
    method = {"id": credential["id"], "secret": credential["secret"]}
    auth = {"auth": {"identity": {"methods": ["application_credential"], "application_credential": method}}}
    token = identity.ask("POST", "/v3/auth/tokens", auth).headers["X-Subject-Token"]
    assert identity.authenticate(token).roles == frozenset({"reader"})
    own = f"/v3/users/{user}/application_credentials/{credential['id']}"
    assert "secret" not in identity.ask("GET", own, x_auth_token=demo).body["application_credential"]
    admin = identity.token()
    other = f"/v3/users/{identity.authenticate(admin).user_id}/application_credentials/{credential['id']}"
    assert identity.ask("GET", other, x_auth_token=admin).status == 404
    assert identity.ask("DELETE", own, x_auth_token=demo).status == 204
    assert identity.ask("POST", "/v3/auth/tokens", auth).status == 401
