"""Which agents carry which networks and routers: the sub-resources of both sides, and who may use them."""

from dataclasses import replace

import pytest

from netloom.feed.protocol import Role
from netloom.rules import agents, router_ha
from netloom.rules.context import Context
from netloom.settings.network import NetworkSettings
from tests.statements import statements

SYSTEM = Context("", "", frozenset({"admin"}), True)
NOBODY = "11111111-1111-1111-1111-111111111111"


@pytest.fixture
def settings():
    return NetworkSettings(max_l3_agents_per_router=2)


@pytest.fixture
def hosts(store, settings):
    """Three hosts with all roles."""
    context = replace(SYSTEM, settings=settings)
    with store.write() as tx:
        for host in ("h1", "h2", "h3"):
            roles = [
                Role("Open vSwitch agent", "neutron-openvswitch-agent", "N/A", {"tunnel_types": ["vxlan"]}),
                Role("DHCP agent", "neutron-dhcp-agent", "dhcp_agent", {}, "nova"),
                Role("L3 agent", "neutron-l3-agent", "l3_agent", {}, "nova"),
            ]
            agents.heartbeat(tx, context, host, roles)
    return ["h1", "h2", "h3"]


def by_host(admin, agent_type):
    return {item["host"]: item["id"] for item in admin.get("agents", params={"agent_type": agent_type})["agents"]}


def test_dhcp_agents_of_networks_and_back(alice, admin, hosts):
    network = alice.network()["id"]
    alice.subnet(network)
    (first,) = admin.get(f"networks/{network}/dhcp-agents")["agents"]
    assert (first["agent_type"], first["alive"], "ha_state" in first) == ("DHCP agent", True, False)
    assert first == admin.get(f"agents/{first['id']}")["agent"]
    assert [item["id"] for item in admin.get(f"agents/{first['id']}/dhcp-networks")["networks"]] == [network]
    other = next(key for host, key in by_host(admin, "DHCP agent").items() if host != first["host"])
    assert admin.post(f"agents/{other}/dhcp-networks", {"network_id": network}) is None
    admin.fails(409, "NetworkHostedByDHCPAgent", "POST", f"agents/{other}/dhcp-networks", {"network_id": network})
    assert len(admin.get(f"networks/{network}/dhcp-agents.json")["agents"]) == 2
    ports = admin.get("ports", params={"network_id": network, "device_owner": "network:dhcp"})["ports"]
    assert len({port["fixed_ips"][0]["ip_address"] for port in ports}) == 2
    admin.delete(f"agents/{first['id']}/dhcp-networks/{network}.json", body={"network_id": network})
    admin.fails(409, "NetworkNotHostedByDhcpAgent", "DELETE", f"agents/{first['id']}/dhcp-networks/{network}")
    assert [item["id"] for item in admin.get(f"networks/{network}/dhcp-agents")["agents"]] == [other]


def test_a_network_without_subnets_waits_on_its_agent(alice, admin, hosts):
    network = alice.network()["id"]
    agent = by_host(admin, "DHCP agent")["h3"]
    admin.post(f"agents/{agent}/dhcp-networks", {"network_id": network})
    assert [item["id"] for item in admin.get(f"agents/{agent}/dhcp-networks")["networks"]] == [network]
    alice.subnet(network)
    assert [item["host"] for item in admin.get(f"networks/{network}/dhcp-agents")["agents"]] == ["h3"]


def test_l3_agents_of_routers_and_back(alice, admin, hosts):
    router = alice.post("routers", {"router": {}})["router"]["id"]
    assert admin.get(f"routers/{router}/l3-agents") == {"agents": []}
    found = by_host(admin, "L3 agent")
    assert admin.post(f"agents/{found['h2']}/l3-routers", {"router_id": router}) is None
    (agent,) = admin.get(f"routers/{router}/l3-agents")["agents"]
    assert (agent["host"], agent["ha_state"]) == ("h2", None)
    assert [item["id"] for item in admin.get(f"agents/{found['h2']}/l3-routers")["routers"]] == [router]
    admin.post(f"agents/{found['h2']}/l3_routers", {"router_id": router})
    admin.fails(409, "RouterHostedByL3Agent", "POST", f"agents/{found['h1']}/l3-routers", {"router_id": router})
    admin.fails(501, "HTTPNotImplemented", "PUT", f"agents/{found['h2']}/l3-routers/{router}", {})
    admin.delete(f"agents/{found['h2']}/l3-routers/{router}", body={"router_id": router})
    admin.delete(f"agents/{found['h2']}/l3-routers/{router}")
    assert admin.get(f"agents/{found['h2']}/l3-routers") == {"routers": []}


def test_highly_available_routers_show_their_states(store, settings, alice, admin, hosts):
    router = admin.post("routers", {"router": {"ha": True, "project_id": "alpha"}})["router"]
    assert router["ha"] is True
    path = f"routers/{router['id']}/l3-agents"
    first, second = (item["host"] for item in admin.get(path)["agents"])
    for host, state in ((first, "active"), (second, "standby")):
        with store.write() as tx:
            router_ha.report_states(tx, replace(SYSTEM, settings=settings), host, {router["id"]: state})
    shown = admin.get(path, params={"fields": ["host", "ha_state"]})["agents"]
    assert shown == [{"host": first, "ha_state": "active"}, {"host": second, "ha_state": "standby"}]
    (third,) = {"h1", "h2", "h3"} - {first, second}
    found = by_host(admin, "L3 agent")
    admin.post(f"agents/{found[third]}/l3-routers", {"router_id": router["id"]})
    owned = {"device_id": router["id"], "device_owner": "network:router_ha_interface"}
    ports = admin.get("ports", params=owned)["ports"]
    assert {port["binding:host_id"] for port in ports} == {"h1", "h2", "h3"}
    admin.fails(409, "ServicePortInUse", "DELETE", f"ports/{ports[0]['id']}")
    admin.delete(f"agents/{found[first]}/l3-routers/{router['id']}")
    assert {port["binding:host_id"] for port in admin.get("ports", params=owned)["ports"]} == {second, third}
    assert alice.get("ports") == {"ports": []}
    assert alice.get("networks") == {"networks": []}
    assert admin.names("networks") == ["HA network tenant alpha"]
    network = admin.get("networks")["networks"][0]["id"]
    admin.fails(409, "NetworkInUse", "DELETE", f"networks/{network}")
    alice.fails(404, "NetworkNotFound", "GET", f"networks/{network}")
    alice.delete(f"routers/{router['id']}")
    assert admin.names("networks") == []


def test_ha_is_for_administrators_to_say_and_see(alice, admin):
    alice.fails(403, "PolicyNotAuthorized", "POST", "routers", {"router": {"ha": True}})
    alice.fails(403, "PolicyNotAuthorized", "POST", "routers", {"router": {"ha": False}})
    router = alice.post("routers", {"router": {}})["router"]
    assert "ha" not in router
    path = f"routers/{router['id']}"
    assert admin.get(path)["router"]["ha"] is False
    alice.fails(403, "PolicyNotAuthorized", "PUT", path, {"router": {"ha": True}})
    admin.fails(400, "BadRequest", "PUT", path, {"router": {"ha": True}})
    alice.put(path, {"router": {"admin_state_up": False}})
    assert admin.put(path, {"router": {"ha": True}})["router"]["ha"] is True
    assert "ha" not in alice.put(path, {"router": {"name": "x"}})["router"]
    admin.fails(400, "InvalidInput", "PUT", path, {"router": {"distributed": True}})


def test_wrong_names_are_refused(alice, admin, hosts):
    network = alice.network()["id"]
    router = alice.post("routers", {"router": {}})["router"]["id"]
    dhcp, l3 = by_host(admin, "DHCP agent")["h1"], by_host(admin, "l3 AGENT")["h1"]
    for agent, path, key, kind, other in (
        (dhcp, "dhcp-networks", "network_id", "InvalidDHCPAgent", l3),
        (l3, "l3-routers", "router_id", "InvalidL3Agent", dhcp),
    ):
        known = {"network_id": network, "router_id": router}[key]
        missing = {"network_id": "NetworkNotFound", "router_id": "RouterNotFound"}[key]
        admin.fails(404, kind, "POST", f"agents/{other}/{path}", {key: known})
        admin.fails(404, missing, "POST", f"agents/{agent}/{path}", {key: NOBODY})
        admin.fails(404, "AgentNotFound", "POST", f"agents/{NOBODY}/{path}", {key: known})
        admin.fails(404, "AgentNotFound", "GET", f"agents/{NOBODY}/{path}")
        admin.fails(400, "HTTPBadRequest", "POST", f"agents/{agent}/{path}", {})
        admin.fails(400, "HTTPBadRequest", "POST", f"agents/{agent}/{path}", {key: 7})
        admin.fails(405, "HTTPMethodNotAllowed", "PUT", f"agents/{agent}/{path}", {key: known})
        assert not admin.get(f"agents/{other}/{path}").popitem()[1]
        admin.put(f"agents/{agent}", {"agent": {"admin_state_up": False}})
        admin.fails(404, kind, "POST", f"agents/{agent}/{path}", {key: known})
    admin.fails(404, "NetworkNotFound", "GET", f"networks/{NOBODY}/dhcp-agents")
    admin.fails(404, "RouterNotFound", "GET", f"routers/{NOBODY}/l3-agents")
    admin.fails(404, "RouterNotFound", "DELETE", f"agents/{l3}/l3-routers/{NOBODY}")
    admin.fails(404, "HTTPNotFound", "GET", f"networks/{network}/l3-agents")
    admin.fails(404, "HTTPNotFound", "GET", f"agents/{dhcp}/dhcp-networks/{network}/x")
    admin.fails(405, "HTTPMethodNotAllowed", "POST", f"routers/{router}/l3-agents", {})


def test_only_administrators_may(alice, admin, hosts):
    network = alice.network()["id"]
    router = alice.post("routers", {"router": {}})["router"]["id"]
    agent = by_host(admin, "L3 agent")["h1"]
    for method, path, body in (
        ("GET", f"networks/{network}/dhcp-agents", None),
        ("GET", f"routers/{router}/l3-agents", None),
        ("GET", f"agents/{agent}/l3-routers", None),
        ("GET", f"agents/{agent}/dhcp-networks", None),
        ("POST", f"agents/{agent}/l3-routers", {"router_id": router}),
        ("POST", f"agents/{agent}/dhcp-networks", {"network_id": network}),
        ("DELETE", f"agents/{agent}/l3-routers/{router}", None),
        ("DELETE", f"agents/{agent}/dhcp-networks/{network}", None),
    ):
        alice.fails(403, "PolicyNotAuthorized", method, path, body)


def test_agents_are_listed_and_shown_but_not_made(admin, alice, hosts):
    assert len(admin.get("agents")["agents"]) == 9
    assert alice.get("agents") == {"agents": []}
    assert len(admin.get("agents", params={"agent_type": "dhcp Agent", "alive": "true"})["agents"]) == 3
    admin.fails(400, "HTTPBadRequest", "POST", "agents", {"agent": {"host": "x"}})
    agent = by_host(admin, "L3 agent")["h1"]
    alice.fails(404, "AgentNotFound", "GET", f"agents/{agent}")
    shown = admin.put(f"agents/{agent}", {"agent": {"admin_state_up": False, "description": "broken"}})["agent"]
    assert (shown["admin_state_up"], shown["description"], shown["binary"]) == (False, "broken", "neutron-l3-agent")
    admin.delete(f"agents/{agent}")
    admin.fails(404, "AgentNotFound", "GET", f"agents/{agent}")


def test_two_dhcp_agents_have_different_addresses(store, policy, hosts):
    from netloom.api.app import create_app
    from tests.api.client import Api, TestClient, authenticate

    app = create_app(store, NetworkSettings(dhcp_agents_per_network=2), authenticate, policy)
    admin = Api(TestClient(app), "admin", "alpha")
    network = admin.network()["id"]
    admin.subnet(network)
    ports = admin.get("ports", params={"network_id": network})["ports"]
    assert sorted(port["fixed_ips"][0]["ip_address"] for port in ports) == ["10.0.0.2", "10.0.0.3"]
    assert len({port["binding:host_id"] for port in ports}) == 2


@pytest.mark.parametrize("count", [1, 6])
def test_lists_cost_the_same_for_any_number(store, alice, admin, hosts, count):
    agent, other = by_host(admin, "L3 agent")["h1"], by_host(admin, "DHCP agent")["h1"]
    for _ in range(count):
        router = alice.post("routers", {"router": {}})["router"]["id"]
        admin.post(f"agents/{agent}/l3-routers", {"router_id": router})
        network = alice.network()["id"]
        admin.post(f"agents/{other}/dhcp-networks", {"network_id": network})
    for path, most in (
        (f"agents/{agent}/l3-routers", 7), (f"agents/{other}/dhcp-networks", 7),
        (f"routers/{router}/l3-agents", 5), (f"networks/{network}/dhcp-agents", 3),
    ):  # fmt: skip
        with statements(store) as seen:
            admin.get(path)
        assert len(seen) <= most
