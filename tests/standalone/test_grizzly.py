"""The commands of 2013: their recorded requests get the answers that the clients of that time print."""

from typing import Any

import pytest

from tests.standalone import grizzly
from tests.standalone.grizzly import Grizzly
from tests.standalone.world import Host, World


@pytest.fixture(scope="module")
def world(server: World) -> World:
    return server


@pytest.fixture(scope="module")
def host(world: World) -> Host:
    """A host with the agents that the document of that time lists."""
    return Host(world, "ubuntu", roles=("switch", "dhcp", "l3", "loadbalancer", "compute"))


@pytest.fixture(scope="module")
def client(world: World, host: Host) -> Grizzly:
    """The administrator, with a network, its subnet and a router."""
    made = Grizzly(world, "admin")
    for command in grizzly.NETWORKS:
        made.run(command)
    return made


def run(client: Grizzly, commands: tuple[grizzly.Command, ...], line: str) -> Any:
    """Run the command that begins with ``line``."""
    return client.run(next(command for command in commands if command.line.startswith(line)))


def test_003_10_subnets_with_their_pools(client):
    subnet = run(client, grizzly.NETWORKS, "quantum subnet-list")["subnets"][0]
    assert (subnet["name"], subnet["cidr"]) == ("s1", "172.24.17.0/24")
    assert subnet["allocation_pools"] == [{"start": "172.24.17.1", "end": "172.24.17.253"}]


def printed(rule: dict[str, Any]) -> tuple[Any, ...]:
    """A rule's columns as ``nova secgroup-list-rules`` prints them."""
    columns = (rule["ip_protocol"], rule["from_port"], rule["to_port"])
    return tuple(
        "" if cell is None else cell for cell in (*columns, rule["ip_range"].get("cidr"), rule["group"].get("name"))
    )


def test_003_01_02_rules_of_security_groups_are_added_and_listed(client):
    for command in grizzly.RULES:
        client.run(command)
    groups = client.run(grizzly.LIST_RULES)["security_groups"]
    default = next(group for group in groups if group["name"] == "default")
    assert sorted(map(printed, default["rules"]), key=str) == sorted(
        [
            ("", -1, -1, "", "default"),
            ("", -1, -1, "", "default"),
            ("icmp", -1, -1, "0.0.0.0/0", ""),
            ("tcp", 22, 22, "0.0.0.0/0", ""),
            ("tcp", 80, 80, "0.0.0.0/0", ""),
        ],
        key=str,
    )


def test_a_rule_that_cannot_be_is_told_as_nova_tells_it(client):
    with pytest.raises(AssertionError, match="badRequest"):
        client.run(grizzly._rule("tcp", "80", "many"))
    with pytest.raises(AssertionError, match="409"):
        client.run(grizzly.RULES[1])


def test_003_03_04_an_instance_is_booted_and_listed(client, host):
    client.run(grizzly.BOOT)
    [building] = client.run(grizzly.LIST)["servers"]
    assert (building["name"], building["status"]) == ("vm1", "BUILD")
    host.apply()
    [active] = client.run(grizzly.LIST)["servers"]
    assert active["status"] == "ACTIVE"
    # The lowest address is the DHCP server's.
    assert [address["addr"] for address in active["addresses"]["net1"]] == ["172.24.17.2"]
    assert active["image"]["id"] == client.ids["cirros"]


def test_003_26_to_29_the_twelve_commands_of_the_schedulers(client):
    agents = run(client, grizzly.SCHEDULERS, "quantum agent-list")["agents"]
    assert {"id", "agent_type", "host", "alive", "admin_state_up"} <= set(agents[0])
    listed = {agent["agent_type"]: agent for agent in agents}
    assert set(listed) == {"DHCP agent", "L3 agent", "Loadbalancer agent", "Open vSwitch agent"}
    assert all((agent["host"], agent["alive"], agent["admin_state_up"]) == ("ubuntu", True, True) for agent in agents)
    client.ids |= {"dhcp": listed["DHCP agent"]["id"], "l3": listed["L3 agent"]["id"]}

    said = {command.line: client.run(command) for command in grizzly.SCHEDULERS}
    assert said["quantum agent-show {dhcp}"]["agent"]["binary"] == "neutron-dhcp-agent"
    assert said["quantum agent-update {dhcp} --description spare"]["agent"]["description"] == "spare"
    for line, name in (
        ("quantum dhcp-agent-list-hosting-net net1", "dhcp"),
        ("quantum l3-agent-list-hosting-router r1", "l3"),
    ):
        [agent] = said[line]["agents"]
        assert (agent["id"], agent["host"], agent["alive"], agent["admin_state_up"]) == (
            client.ids[name],
            "ubuntu",
            True,
            True,
        )
    assert [each["name"] for each in said["quantum net-list-on-dhcp-agent {dhcp}"]["networks"]] == ["net1"]
    assert [each["name"] for each in said["quantum router-list-on-l3-agent {l3}"]["routers"]] == ["r1"]
    assert said["quantum agent-update {dhcp} --admin_state_up False"]["agent"]["admin_state_up"] is False
    left = {agent["agent_type"] for agent in run(client, grizzly.SCHEDULERS, "quantum agent-list")["agents"]}
    assert left == {"L3 agent", "Loadbalancer agent", "Open vSwitch agent"}


def test_003_11_to_21_pools_members_monitors_and_vips(client, host):
    said = {command.line.split()[1]: client.run(command) for command in grizzly.POOLS}
    pool = said["lb-pool-create"]["pool"]
    assert (pool["status"], pool["vip_id"], pool["members"], pool["health_monitors"]) == (
        "PENDING_CREATE",
        None,
        [],
        [],
    )
    assert said["lb-member-create"]["member"]["protocol_port"] == 80
    monitor = said["lb-healthmonitor-create"]["health_monitor"]
    assert (monitor["delay"], monitor["expected_codes"], monitor["http_method"], monitor["url_path"]) == (
        3,
        "200",
        "GET",
        "/",
    )
    vip = said["lb-vip-create"]["vip"]
    assert (vip["pool_id"], vip["connection_limit"]) == (client.ids["mypool"], -1)
    assert vip["status"] == "PENDING_CREATE"
    assert [each["id"] for each in said["lb-vip-list"]["vips"]] == [client.ids["myvip"]]
    host.apply()
    for line, kind in (("quantum lb-vip-list", "vips"), ("quantum lb-pool-list", "pools")):
        [shown] = run(client, grizzly.POOLS, line)[kind]
        assert shown["status"] == "ACTIVE"
    [monitor] = run(client, grizzly.POOLS, "quantum lb-healthmonitor-list")["health_monitors"]
    [member] = run(client, grizzly.POOLS, "quantum lb-member-list")["members"]
    assert {"id", "type", "admin_state_up"} <= set(monitor)
    assert (member["address"], member["protocol_port"], member["status"]) == ("172.24.17.2", 80, "ACTIVE")
