"""Many requests at once, to a real server: nobody gets what another has, and nobody sees a fault."""

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3
import uvicorn

from netloom.api.app import create_app
from tests.api.client import authenticate

CLIENTS = 12


@pytest.fixture
def server(store, settings, policy):
    """The address of a server."""
    app = create_app(store, settings, authenticate, policy)
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    sockets = [config.bind_socket()]
    sockets[0].listen()  # so that nobody is refused who comes before the thread
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets})
    thread.start()
    yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}/v2.0"
    server.should_exit = True
    thread.join()


def _at_once(server, requests):
    """The answers to requests (method, path, body), sent by many clients at the same time."""
    pool = urllib3.PoolManager(maxsize=CLIENTS, block=True, headers={"X-Auth-Token": "member:alpha"})

    def send(request):
        method, path, body = request
        content = None if body is None else json.dumps(body)
        answer = pool.request(method, f"{server}/{path}", body=content, retries=False)
        return answer.status, answer.json() if answer.data else None

    with ThreadPoolExecutor(CLIENTS) as executor:
        return list(executor.map(send, requests))


def test_every_port_gets_its_own_address(server, alice):
    network = alice.network()
    alice.subnet(network["id"])
    answers = _at_once(server, [("POST", "ports", {"port": {"network_id": network["id"]}})] * 250)
    assert Counter(status for status, _ in answers) == {201: 250}
    assert len({body["port"]["fixed_ips"][0]["ip_address"] for _, body in answers}) == 250
    assert len({body["port"]["mac_address"] for _, body in answers}) == 250


def test_a_quota_is_never_exceeded(server, alice, admin):
    admin.put("quotas/alpha", {"quota": {"network": 5}})
    answers = _at_once(server, [("POST", "networks", {"network": {}})] * 20)
    assert Counter(status for status, _ in answers) == {201: 5, 409: 15}


def test_the_default_group_is_made_once(server, alice):
    answers = _at_once(server, [("GET", "security-groups", None)] * CLIENTS)
    assert Counter(status for status, _ in answers) == {200: CLIENTS}
    assert alice.names("security-groups") == ["default"]


def test_one_of_many_changes_of_a_revision_wins(server, alice):
    path = f"networks/{alice.network()['id']}"
    pool = urllib3.PoolManager(maxsize=CLIENTS, block=True)
    headers = {"X-Auth-Token": "member:alpha", "If-Match": "revision_number=1"}

    def rename(number):
        body = json.dumps({"network": {"name": str(number)}})
        return pool.request("PUT", f"{server}/{path}", body=body, headers=headers, retries=False).status

    with ThreadPoolExecutor(CLIENTS) as executor:
        assert Counter(executor.map(rename, range(12))) == {200: 1, 412: 11}
    assert alice.get(path)["network"]["revision_number"] == 2


def test_a_network_is_deleted_while_ports_come(server, alice):
    """Either the port is there and keeps the network, or the network is gone: never a fault, never half of it."""
    networks = [alice.network()["id"] for _ in range(10)]
    creates = [("POST", "ports", {"port": {"network_id": network}}) for network in networks]
    deletes = [("DELETE", f"networks/{network}", None) for network in networks]
    answers = _at_once(server, [request for pair in zip(creates, deletes, strict=True) for request in pair])
    for (created, _), (deleted, _) in zip(answers[::2], answers[1::2], strict=True):
        assert (created, deleted) in {(201, 409), (404, 204)}
    left = {network["id"] for network in alice.get("networks")["networks"]}
    assert {port["network_id"] for port in alice.get("ports")["ports"]} == left
