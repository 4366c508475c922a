"""Networks and routers are put on hosts of choice: what is there leaves the one host and comes up on the other.

The commands are those of 2015, which have the names and the columns that there were in 2013, and those of today.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.legacy import Legacy
from tests.e2e.world import Guest
from tests.lab.cloud import LabCloud
from tests.lab.world import LabWorld
from tests.sandbox import eventually

HOSTS = ["network1", "network2"]
ASK = ("udhcpc", "-n", "-q", "-f", "-i", "eth0", "-s", "/bin/true")
"""Whether there is DHCP: a lease is offered and acknowledged."""


@dataclass
class Site:
    """A network with an instance, and a router on one host at a time that leads it out."""

    world: LabWorld
    client: Legacy
    guest: Guest
    network: str
    router: str
    gateway: str

    def agents(self, kind: str) -> dict[str, str]:
        """The ids of the agents of a kind, by host."""
        rows = self.client.neutron("agent-list").rows
        return {row["host"]: row["id"] for row in rows if row["agent_type"] == f"{kind} agent"}

    def carriers(self) -> list[str]:
        """The hosts that the router is on."""
        rows = self.client.neutron(f"l3-agent-list-hosting-router {self.router}").rows
        return sorted(row["host"] for row in rows)

    def servers(self) -> list[str]:
        """The hosts whose DHCP agents have the network."""
        rows = self.client.neutron(f"dhcp-agent-list-hosting-net {self.network}").rows
        return sorted(row["host"] for row in rows)

    def there(self, namespace: str) -> list[str]:
        """The network nodes that have a namespace."""
        return [host for host in HOSTS if namespace in self.world.on(host).run("ip", "netns").stdout]

    def elsewhere(self, host: str) -> str:
        """The other network node."""
        (other,) = set(HOSTS) - {host}
        return other


@pytest.fixture(scope="module")
def site(lab_world: LabWorld, lab: LabCloud) -> Iterator[Site]:
    network = lab_world.network("placed", "10.90.0.0/24")["id"]
    router = lab_world.router("placed", "placed", options="--no-ha")
    guest = lab_world.guest_on("compute1", network, "placed")
    fixed = lab_world.openstack(f"router show {router['id']}")["external_gateway_info"]["external_fixed_ips"]
    client = Legacy(lab.on("controller"), "liberty")
    yield Site(lab_world, client, guest, network, router["id"], fixed[0]["ip_address"])
    lab.lab.heal()


def test_003_26_27_agents_are_listed_shown_updated_and_deleted(site):
    neutron = site.client.neutron
    rows = neutron("agent-list").rows
    assert {"id", "agent_type", "host", "alive", "admin_state_up"} <= set(rows[0])
    assert {"DHCP agent", "Open vSwitch agent", "L3 agent"} <= {row["agent_type"] for row in rows}
    assert {(row["alive"], row["admin_state_up"]) for row in rows} == {(":-)", "True")}
    agent = site.agents("Metadata")["network2"]
    shown = neutron(f"agent-show {agent}").record
    assert (shown["host"], shown["alive"], shown["binary"]) == ("network2", "True", "neutron-metadata-agent")
    for state in ("down", "up"):
        assert neutron(f"agent-update {agent} --admin-state-{state}").text.strip() == f"Updated agent: {agent}"
        assert neutron(f"agent-show {agent}").record["admin_state_up"] == str(state == "up")
    assert neutron(f"agent-delete {agent}").text.strip() == f"Deleted agent: {agent}"
    assert neutron(f"agent-show {agent}", check=False).code == 1
    eventually(lambda: "network2" in site.agents("Metadata"), what="the agent heard of again")


def test_003_28_30_a_network_is_put_on_a_host(site):
    neutron, agents = site.client.neutron, site.agents("DHCP")
    said = neutron(f"dhcp-agent-list-hosting-net {site.network}")
    assert said.columns == ["id", "host", "admin_state_up", "alive"]
    assert {(row["admin_state_up"], row["alive"]) for row in said.rows} == {("True", ":-)")}
    assert sorted(row["host"] for row in said.rows) == HOSTS
    namespace = f"qdhcp-{site.network}"
    eventually(lambda: site.there(namespace) == HOSTS, what="DHCP on both")
    for host in HOSTS:  # each has it alone once
        removed = neutron(f"dhcp-agent-network-remove {agents[host]} {site.network}")
        assert removed.text.strip() == f"Removed network {site.network} from DHCP agent"
        other = site.elsewhere(host)
        eventually(lambda other=other: site.there(namespace) == [other], what=f"DHCP on {other} alone")
        assert site.servers() == [other]
        assert site.network not in neutron(f"net-list-on-dhcp-agent {agents[host]}").text
        assert site.network in neutron(f"net-list-on-dhcp-agent {agents[other]}").text
        eventually(lambda: site.guest.succeeds(*ASK), what=f"an answer of {other}")
        added = neutron(f"dhcp-agent-network-add {agents[host]} {site.network}")
        assert added.text.strip() == f"Added network {site.network} to DHCP agent"
        eventually(lambda: site.there(namespace) == HOSTS, what="DHCP on both")


def test_003_29_30_a_router_is_put_on_a_host(site):
    neutron, agents = site.client.neutron, site.agents("L3")
    said = neutron(f"l3-agent-list-hosting-router {site.router}")
    assert said.columns[:4] == ["id", "host", "admin_state_up", "alive"]
    (row,) = said.rows
    assert (row["admin_state_up"], row["alive"]) == ("True", ":-)")
    host = row["host"]
    for _ in HOSTS:  # there and back
        removed = neutron(f"l3-agent-router-remove {agents[host]} {site.router}")
        assert removed.text.strip() == f"Removed router {site.router} from L3 agent"
        eventually(lambda: site.there(f"qrouter-{site.router}") == [], what="the router gone")
        assert site.router not in neutron(f"router-list-on-l3-agent {agents[host]}").text
        host = site.elsewhere(host)
        added = neutron(f"l3-agent-router-add {agents[host]} {site.router}")
        assert added.text.strip() == f"Added router {site.router} to L3 agent"
        eventually(lambda host=host: site.there(f"qrouter-{site.router}") == [host], what=f"the router on {host}")
        assert site.carriers() == [host]
        assert site.router in neutron(f"router-list-on-l3-agent {agents[host]}").text
        eventually(lambda: site.world.pings(site.gateway), what="an answer of the gateway")
        eventually(lambda: site.guest.pings("8.8.8.8"), what="an answer of the Internet")


def test_003_30_the_same_with_todays_client(site):
    openstack = site.world.openstack
    dhcp, l3 = site.agents("DHCP"), site.agents("L3")
    openstack(f"network agent remove network --dhcp {dhcp['network1']} {site.network}")
    assert [one["Host"] for one in openstack(f"network agent list --network {site.network}")] == ["network2"]
    assert site.network not in {one["ID"] for one in openstack(f"network list --agent {dhcp['network1']}")}
    openstack(f"network agent add network --dhcp {dhcp['network1']} {site.network}")
    eventually(lambda: site.there(f"qdhcp-{site.network}") == HOSTS, what="DHCP on both")
    (host,) = site.carriers()
    other = site.elsewhere(host)
    openstack(f"network agent remove router --l3 {l3[host]} {site.router}")
    openstack(f"network agent add router --l3 {l3[other]} {site.router}")
    assert [one["Host"] for one in openstack(f"network agent list --router {site.router}")] == [other]
    assert site.router in {one["ID"] for one in openstack(f"router list --agent {l3[other]}")}
    eventually(lambda: site.there(f"qrouter-{site.router}") == [other], what=f"the router on {other}")
    openstack(f"network agent set --disable {dhcp[host]}")
    assert openstack(f"network agent show {dhcp[host]}")["admin_state_up"] is False
    openstack(f"network agent set --enable {dhcp[host]}")


def test_what_a_dead_host_carried_moves_unless_configured_otherwise(site):
    """Beyond 003-31; where the options say so, nothing moves (test_l3ha_source)."""
    (host,) = site.carriers()
    other = site.elsewhere(host)
    site.world.lab.power_off(host)
    eventually(lambda: site.carriers() == [other], 40, f"the router on {other}")
    eventually(lambda: site.world.pings(site.gateway), what="an answer of the gateway")
    eventually(lambda: site.guest.pings("8.8.8.8"), what="an answer of the Internet")
    site.world.lab.heal(host)
    site.world.lab.wait_ready()
    eventually(lambda: site.there(f"qrouter-{site.router}") == [other], what="the router on one host alone")
    assert site.world.pings(site.gateway)
