"""Which hosts serve DHCP, and the ports from which they do."""

from datetime import timedelta

import pytest

from netloom.model.agents import AGENT
from netloom.rules import agents, dhcp_scheduling, reading
from netloom.rules.context import Context
from netloom.rules.dhcp_ports import device_id
from netloom.store.tables.network import AGENTS
from tests.rules.cloud import Cloud, View, admin, dhcp_role, member
from tests.statements import statements


def network(cloud: Cloud, *cidrs: str, context: Context | None = None, **values: object) -> str:
    net: str = cloud.create("network", context)["id"]
    for cidr in cidrs:
        cloud.create("subnet", context, network_id=net, ip_version=6 if ":" in cidr else 4, cidr=cidr, **values)
    return net


def dhcp_ports(cloud: Cloud, network_id: str) -> list[View]:
    return cloud.find("port", cloud.admin, filters={"network_id": [network_id], "device_owner": ["network:dhcp"]})


def ips(port: View) -> list[str]:
    return [place["ip_address"] for place in port["fixed_ips"]]


def kill(cloud: Cloud, host: str) -> None:
    """As if the host had been silent for long."""
    with cloud.store.write() as tx:
        silent = (tx.now - timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S.%f")
        tx.execute(AGENTS.update().where(AGENTS.c.host == host).values(heartbeat_timestamp=silent))


def test_a_dhcp_subnet_has_its_port_with_the_lowest_address(cloud: Cloud) -> None:
    cloud.heartbeat("node.example.org")
    net = network(cloud, "10.0.0.0/24")
    (port,) = dhcp_ports(cloud, net)
    assert ips(port) == ["10.0.0.2"]
    assert port["device_id"] == device_id("node", net)
    assert (port["project_id"], port["name"], port["binding:host_id"]) == ("alpha", "", "node.example.org")
    assert (port["binding:vif_type"], port["port_security_enabled"]) == ("ovs", False)
    assert {f"dhcp/{net}", f"network/{net}", f"port/{port['id']}", "host/node.example.org"} <= cloud.changes()
    assert ips(cloud.create("port", network_id=net)) == ["10.0.0.3"]


def test_the_port_follows_the_subnets(cloud: Cloud) -> None:
    cloud.heartbeat("h1")
    net = network(cloud, "10.0.0.0/24", "10.0.1.0/24", "2001:db8::/64")
    (port,) = dhcp_ports(cloud, net)
    assert sorted(ips(port)) == ["10.0.0.2", "10.0.1.2", "2001:db8::1"]
    by_cidr = {item["cidr"]: item["id"] for item in cloud.find("subnet")}
    cloud.delete("subnet", by_cidr["10.0.0.0/24"])
    cloud.update("subnet", by_cidr["10.0.1.0/24"], enable_dhcp=False)
    (after,) = dhcp_ports(cloud, net)
    assert (after["id"], ips(after)) == (port["id"], ["2001:db8::1"])
    cloud.delete("subnet", by_cidr["2001:db8::/64"])
    assert dhcp_ports(cloud, net) == []
    cloud.update("subnet", by_cidr["10.0.1.0/24"], enable_dhcp=True)
    assert [ips(item) for item in dhcp_ports(cloud, net)] == [["10.0.1.2"]]


def test_an_automatic_subnet_gives_the_port_its_address_too(cloud: Cloud) -> None:
    cloud.heartbeat("h1")
    net = network(cloud, "2001:db8::/64", ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
    (port,) = dhcp_ports(cloud, net)
    assert ips(port)[0].startswith("2001:db8::f816:3eff:fe")
    assert len(ips(port)) == 1


def test_the_least_loaded_living_agent_serves(cloud: Cloud) -> None:
    early = network(cloud, "10.0.0.0/24")
    assert dhcp_ports(cloud, early) == []
    cloud.heartbeat("h1")
    assert [port["binding:host_id"] for port in dhcp_ports(cloud, early)] == ["h1"]
    cloud.heartbeat("h2")
    assert [port["binding:host_id"] for port in dhcp_ports(cloud, network(cloud, "10.0.0.0/24"))] == ["h2"]
    both = admin(dhcp_agents_per_network=2)
    net = network(cloud, "10.0.0.0/24", context=both)
    assert sorted(port["binding:host_id"] for port in dhcp_ports(cloud, net)) == ["h1", "h2"]
    assert sorted(ips(port)[0] for port in dhcp_ports(cloud, net)) == ["10.0.0.2", "10.0.0.3"]


def test_a_dead_agents_networks_go_to_a_living_one_with_their_addresses(cloud: Cloud) -> None:
    cloud.heartbeat("h1")
    net = network(cloud, "10.0.0.0/24")
    cloud.create("port", network_id=net)
    kill(cloud, "h1")
    cloud.heartbeat("h2")
    (port,) = dhcp_ports(cloud, net)
    assert port["binding:host_id"] == "h1"  # it may just not have been heard yet
    with cloud.store.write() as tx:
        dhcp_scheduling.relieve(tx, cloud.admin)
    (port,) = dhcp_ports(cloud, net)
    assert (port["binding:host_id"], ips(port)) == ("h2", ["10.0.0.2"])
    assert port["device_id"] == device_id("h2", net)
    kill(cloud, "h2")
    with cloud.store.write() as tx:
        dhcp_scheduling.relieve(tx, cloud.admin)
    assert [port["binding:host_id"] for port in dhcp_ports(cloud, net)] == ["h2"]  # nobody else is there


def test_who_is_heard_first_after_an_outage_does_not_get_everything(cloud: Cloud) -> None:
    for host in ("h1", "h2", "h3"):
        cloud.heartbeat(host)
    nets = [network(cloud, "10.0.0.0/24") for _ in range(6)]
    before = {net: dhcp_ports(cloud, net) for net in nets}
    kill(cloud, "h1")
    kill(cloud, "h2")
    kill(cloud, "h3")
    cloud.heartbeat("h2")
    assert {net: dhcp_ports(cloud, net) for net in nets} == before


def test_networks_are_put_on_agents_and_taken_off(cloud: Cloud) -> None:
    cloud.heartbeat("h1")
    cloud.heartbeat("h2")
    net = network(cloud, "10.0.0.0/24")
    found = {agent["host"]: agent for agent in cloud.find("agent", cloud.admin, filters={"agent_type": ["DHCP agent"]})}
    (home,) = (port["binding:host_id"] for port in dhcp_ports(cloud, net))
    (other,) = found.keys() - {home}
    with cloud.store.write() as tx:
        dhcp_scheduling.add_to_agent(tx, cloud.admin, found[other], net)
        assert {agent["host"] for agent in dhcp_scheduling.agents_of(tx, cloud.admin, net)} == {"h1", "h2"}
        with pytest.raises(dhcp_scheduling.NetworkHostedByDHCPAgent):
            dhcp_scheduling.add_to_agent(tx, cloud.admin, found[home], net)
    with cloud.store.write() as tx:
        dhcp_scheduling.remove_from_agent(tx, cloud.admin, found[home], net)
        assert dhcp_scheduling.networks_of(tx, cloud.admin, found[home]) == []
        assert [item["id"] for item in dhcp_scheduling.networks_of(tx, cloud.admin, found[other])] == [net]
        with pytest.raises(dhcp_scheduling.NetworkNotHostedByDhcpAgent):
            dhcp_scheduling.remove_from_agent(tx, cloud.admin, found[home], net)
    assert [port["binding:host_id"] for port in dhcp_ports(cloud, net)] == [other]


def test_agents_live_and_die(cloud: Cloud) -> None:
    cloud.heartbeat("h1")
    kinds = {agent["agent_type"]: agent for agent in cloud.find("agent", cloud.admin)}
    assert kinds.keys() == {"Open vSwitch agent", "DHCP agent"}
    agent = kinds["DHCP agent"]
    assert (agent["alive"], agent["admin_state_up"], agent["availability_zone"]) == (True, True, "nova")
    assert agent["binary"] == "neutron-dhcp-agent"
    cloud.heartbeat("h1", dhcp_role("moon"))
    again = cloud.get("agent", agent["id"], cloud.admin)
    assert again is not None
    assert (again["availability_zone"], again["started_at"]) == ("moon", agent["started_at"])
    assert again["heartbeat_timestamp"] > agent["heartbeat_timestamp"]
    kill(cloud, "h1")
    assert cloud.find("agent", cloud.admin, filters={"alive": [True]}) == []
    assert len(cloud.find("agent", cloud.admin, filters={"alive": [False]})) == 2
    with cloud.store.write() as tx:
        agents.delete(tx, cloud.admin, again)
    assert len(cloud.find("agent", cloud.admin)) == 1


def test_a_disabled_agent_gets_no_new_networks(cloud: Cloud) -> None:
    cloud.heartbeat("h1")
    with cloud.store.write() as tx:
        (agent,) = reading.find(tx, cloud.admin, AGENT, reading.Query(filters={"agent_type": ["DHCP agent"]}))
        agents.update(tx, cloud.admin, agent, {"admin_state_up": False})
    net = network(cloud, "10.0.0.0/24")
    assert dhcp_ports(cloud, net) == []
    with cloud.store.write() as tx:
        agents.update(tx, cloud.admin, agent | {"admin_state_up": False}, {"admin_state_up": True})
    assert len(dhcp_ports(cloud, net)) == 1


def test_a_heartbeat_costs_the_same_for_any_number_of_networks(cloud: Cloud) -> None:
    cloud.heartbeat("h1")
    with statements(cloud.store) as quiet:
        cloud.heartbeat("h1")
    for _ in range(3):
        network(cloud, "10.0.0.0/24", context=member("beta"))
    before = cloud.changes()
    with statements(cloud.store) as busy:
        cloud.heartbeat("h1")
    assert len(busy) == len(quiet)
    assert cloud.changes() == before


def test_a_second_look_changes_nothing(cloud: Cloud) -> None:
    cloud.heartbeat("h1")
    net = network(cloud, "10.0.0.0/24", "2001:db8::/64")
    before, log = dhcp_ports(cloud, net), cloud.changes()
    with cloud.store.write() as tx:
        dhcp_scheduling.refresh(tx, cloud.admin, [net])
        dhcp_scheduling.refresh_all(tx, cloud.admin)
    assert dhcp_ports(cloud, net) == before
    assert cloud.changes() == log
