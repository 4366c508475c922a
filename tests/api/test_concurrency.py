"""Many requests at once, to a real server: nobody gets what another has, and nobody sees a fault."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3

from netloom.api.app import create_app
from netloom.feed.protocol import Role
from netloom.rules import agents
from netloom.rules.context import Context
from tests.api.client import authenticate
from tests.api.served import CLIENTS, at_once, served


@pytest.fixture
def server(store, settings, policy):
    """The address of a server."""
    with served(create_app(store, settings, authenticate, policy)) as address:
        yield address


def test_every_port_gets_its_own_address(server, alice):
    network = alice.network()
    alice.subnet(network["id"])
    answers = at_once(server, [("POST", "ports", {"port": {"network_id": network["id"]}})] * 250)
    assert Counter(status for status, _ in answers) == {201: 250}
    assert len({body["port"]["fixed_ips"][0]["ip_address"] for _, body in answers}) == 250
    assert len({body["port"]["mac_address"] for _, body in answers}) == 250


def test_a_quota_is_never_exceeded(server, alice, admin):
    admin.put("quotas/alpha", {"quota": {"network": 5}})
    answers = at_once(server, [("POST", "networks", {"network": {}})] * 20)
    assert Counter(status for status, _ in answers) == {201: 5, 409: 15}


def test_the_default_group_is_made_once(server, alice):
    answers = at_once(server, [("GET", "security-groups", None)] * CLIENTS)
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
    answers = at_once(server, [request for pair in zip(creates, deletes, strict=True) for request in pair])
    for (created, _), (deleted, _) in zip(answers[::2], answers[1::2], strict=True):
        assert (created, deleted) in {(201, 409), (404, 204)}
    left = {network["id"] for network in alice.get("networks")["networks"]}
    assert {port["network_id"] for port in alice.get("ports")["ports"]} == left


def _sub_ports(port, tag=1):
    return {"sub_ports": [{"port_id": port, "segmentation_type": "vlan", "segmentation_id": tag}]}


@pytest.fixture
def hosts(store, settings):
    """Names of hosts that can plug ports."""
    system = Context("", "", frozenset({"admin"}), True, settings=settings)
    role = Role("Open vSwitch agent", "neutron-openvswitch-agent", "N/A", {"tunnel_types": ["vxlan"]})
    names = [f"h{number}" for number in range(4)]
    with store.write() as tx:
        agents.heartbeats(tx, system, {name: ([role], True) for name in names})
    return names


def test_sub_ports_are_where_their_parent_is_whoever_was_first(server, alice, admin, hosts):
    network = alice.network()["id"]
    trunks = [alice.post("trunks", {"trunk": {"port_id": alice.port(network)["id"]}})["trunk"] for _ in range(5)]
    requests = []
    for tag, host in enumerate(hosts, start=1):
        for trunk in trunks:
            added = _sub_ports(alice.port(network)["id"], tag)
            requests.append(("PUT", f"trunks/{trunk['id']}/add_subports", added))
            requests.append(("PUT", f"ports/{trunk['port_id']}", {"port": {"binding:host_id": host}}))
    answers = at_once(server, requests, "admin:alpha")
    assert {status for status, _ in answers} == {200}
    places = {port["id"]: port["binding:host_id"] for port in admin.get("ports")["ports"]}
    for trunk in alice.get("trunks")["trunks"]:
        assert len(trunk["sub_ports"]) == len(hosts)
        assert {places[sub["port_id"]] for sub in trunk["sub_ports"]} == {places[trunk["port_id"]]}


def test_a_port_joins_one_trunk(server, alice):
    network = alice.network()["id"]
    wanted = alice.port(network)["id"]
    trunks = [alice.post("trunks", {"trunk": {"port_id": alice.port(network)["id"]}})["trunk"]["id"] for _ in range(6)]
    requests = [("PUT", f"trunks/{trunk}/add_subports", _sub_ports(wanted)) for trunk in trunks]
    requests += [("POST", "trunks", {"trunk": {"port_id": wanted}})] * 4
    requests += [("DELETE", f"ports/{wanted}", None)]
    answers = at_once(server, requests)
    assert sum(status < 300 for status, _ in answers) == 1
    assert {status for status, _ in answers} <= {200, 201, 204, 404, 409}
