"""Discovery, authentication, paths, bodies and errors: what holds for every resource."""

import re

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from netloom.api.app import create_app
from tests.api.client import TestClient, authenticate

REQUEST_ID = re.compile(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def test_versions_need_no_token_and_name_the_address_that_was_asked(alice):
    headers = {"Host": "cloud.example:9696", "X-Forwarded-Proto": "https", "Accept": "text/plain"}
    answer = alice.client.get("/", headers=headers)
    assert answer.json() == {
        "versions": [
            {
                "id": "v2.0",
                "status": "CURRENT",
                "links": [{"rel": "self", "href": "https://cloud.example:9696/v2.0/"}],
            }
        ]
    }
    assert alice.client.post("/").status_code == 405


@pytest.mark.parametrize("path", ["/v2.0", "/v2.0/"])
def test_entry_document(alice, path):
    resources = alice.get(path)["resources"]
    assert [item["name"] for item in resources] == ["network", "subnet", "subnetpool", "port"]
    assert resources[0]["links"] == [{"rel": "self", "href": "http://testserver/v2.0/networks"}]


def test_mounted_below_a_prefix(store, settings, policy, alice):
    app = Starlette(routes=[Mount("/network", app=create_app(store, settings, authenticate, policy))])
    client = TestClient(app, headers=alice.headers)
    href = client.get("/network/").json()["versions"][0]["links"][0]["href"]
    assert href == "http://testserver/network/v2.0/"
    network = client.post("/network/v2.0/networks.json", json={"network": {}}).json()["network"]
    assert client.get(f"/network/v2.0/networks/{network['id']}").json()["network"] == network
    links = client.get("/network/v2.0/networks?limit=1").json()["networks_links"]
    assert links[0]["href"].startswith("http://testserver/network/v2.0/networks?limit=1&marker=")


def test_healthcheck_needs_no_token(alice):
    answer = alice.client.get("/healthcheck")
    assert (answer.status_code, answer.text) == (200, "OK")


@pytest.mark.parametrize("headers", [{}, {"X-Auth-Token": ""}, {"X-Auth-Token": "made-up"}])
@pytest.mark.parametrize("path", ["/v2.0/networks", "/v2.0/no-such-thing", "/v2.0/"])
def test_without_a_valid_token_there_is_nothing_to_learn(alice, path, headers):
    answer = alice.client.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("text/plain")


def test_an_invalid_service_token_is_refused(alice):
    assert alice.ask("GET", "networks", headers={"X-Service-Token": "made-up"}).status_code == 401


def test_without_authentication_everybody_is_believed(store, settings, policy):
    client = TestClient(create_app(store, settings, None, policy))
    made = client.post("/v2.0/networks", json={"network": {"shared": True}}, headers={"X-Project-Id": "alpha"})
    assert (made.status_code, made.json()["network"]["project_id"]) == (201, "alpha")
    headers = {"X-Project-Id": "beta", "X-Roles": "Member, reader"}
    assert client.post("/v2.0/networks", json={"network": {"shared": True}}, headers=headers).status_code == 403


@pytest.mark.parametrize("path", ["nothing", "networks.xml", "networks/x/y/z", "v3/networks", "/v3/networks"])
def test_unknown_paths(alice, path):
    alice.fails(404, "HTTPNotFound", "GET", path)


@pytest.mark.parametrize("path", ["security-groups", "security_groups", "security-groups.json", "security_groups//"])
def test_spellings_of_a_collection(alice, path):
    assert [item["name"] for item in alice.get(path)["security_groups"]] == ["default"]


def test_a_json_suffix_and_slashes_behind_an_id(alice):
    network = alice.network()
    assert alice.get(f"networks/{network['id']}.json/")["network"] == network


@pytest.mark.parametrize(
    ("method", "path"), [("PATCH", "networks"), ("PUT", "networks"), ("DELETE", "networks"), ("POST", "networks/x")]
)
def test_verbs_that_a_path_does_not_have(alice, method, path):
    alice.fails(405, "HTTPMethodNotAllowed", method, path)


def test_only_json_is_to_be_had(alice):
    alice.fails(406, "HTTPNotAcceptable", "GET", "networks", headers={"Accept": "text/html"})
    for accept in ("application/json", "text/html, */*;q=0.1", "application/*"):
        assert alice.ask("GET", "networks", headers={"Accept": accept}).status_code == 200


def test_every_answer_has_its_own_request_id(alice):
    sent = "req-11111111-2222-3333-4444-555555555555"
    seen = {
        alice.ask(method, path, headers={"X-Openstack-Request-Id": sent}).headers["x-openstack-request-id"]
        for method, path in (("GET", "networks"), ("GET", "networks/none"), ("DELETE", "networks/none"))
    }
    assert len(seen) == 3
    assert sent not in seen
    assert all(REQUEST_ID.fullmatch(text) for text in seen)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Body contains invalid data"),
        (b"{", "Body contains invalid data"),
        (b"[]", "Body contains invalid data"),
        (b'{"port": {}}', "Unable to find 'network' in request body"),
        (b'{"networks": []}', "Resources required"),
        (b'{"network": []}', "Object 'network' contains invalid data"),
        (b'{"networks": [7]}', "Object 'network' contains invalid data"),
        (b'{"network": {"colour": 1}}', "Unrecognized attribute(s) 'colour'"),
        (b'{"network": {"status": "ACTIVE"}}', "Attribute 'status' not allowed in POST"),
        (b'{"network": {"name": 7}}', "Invalid input for name. Reason: '7' is not a valid string."),
        (b'{"network": {"name": "' + b"x" * 256 + b'"}}', None),
        (b'{"network": {"name": "a\\u0000b"}}', None),
        (b'{"network": {"admin_state_up": "maybe"}}', None),
        (b'{"network": {"project_id": "alpha", "tenant_id": "beta"}}', "'project_id' and 'tenant_id' do not match"),
        (
            b'{"network": {"tenant_id": "beta"}}',
            "Specifying 'project_id' other than the authenticated project in request is not allowed for the current "
            "user.",
        ),
    ],
)
def test_bodies_that_make_no_sense(alice, body, message):
    answer = alice.client.post("/v2.0/networks", headers=alice.headers, content=body)
    error = answer.json()["NeutronError"]
    assert (answer.status_code, error["type"]) == (400, "HTTPBadRequest")
    assert message in (None, error["message"])
    assert alice.get("networks") == {"networks": []}


def test_a_required_attribute(alice):
    message = alice.fails(400, "HTTPBadRequest", "POST", "ports", {"port": {}})
    assert message == "Failed to parse request. Required attribute 'network_id' not specified"


def test_updates_that_make_no_sense(alice):
    network = alice.network(name="net")
    path = f"networks/{network['id']}"
    message = alice.fails(400, "HTTPBadRequest", "PUT", path, {"network": {"status": "DOWN"}})
    assert message == "Cannot update read-only attribute status"
    alice.fails(400, "HTTPBadRequest", "PUT", path, {"networks": [{"name": "x"}]})
    alice.fails(400, "HTTPBadRequest", "PUT", path, {"network": {"name": None}})
    alice.fails(400, "HTTPBadRequest", "DELETE", path, {"network": {}})
    assert alice.get(path)["network"] == network


def test_the_content_type_of_a_request_does_not_matter(alice):
    headers = alice.headers | {"Content-Type": "text/plain"}
    answer = alice.client.post("/v2.0/networks", headers=headers, content=b'{"network": {}, "ignored": 1}')
    assert answer.status_code == 201


def test_old_clients_send_words_for_booleans(admin):
    network = admin.network(**{"router:external": "True", "admin_state_up": "0", "shared": "no"})
    assert (network["router:external"], network["admin_state_up"], network["shared"]) == (True, False, False)


def test_both_names_of_the_project(alice, admin):
    assert alice.network()["tenant_id"] == alice.network(tenant_id="alpha")["project_id"] == "alpha"
    assert admin.network(tenant_id="gamma", project_id="gamma")["project_id"] == "gamma"


def test_a_body_that_is_too_long(alice):
    answer = alice.client.post("/v2.0/networks", headers=alice.headers, content=b" " * (8 * 1024 * 1024 + 1))
    assert answer.status_code == 413


def test_a_fault_of_ours_tells_no_details(alice, store):
    real = store.engine
    try:
        store.engine = None
        message = alice.fails(500, "HTTPInternalServerError", "GET", "networks")
    finally:
        store.engine = real
    assert message == "Request Failed: internal server error while processing your request."
