"""The guide's L3HA scenario with the very files that it shows, on three network nodes: what they mean is what happens.

``source/`` has the files and the layout.
"""

import ipaddress
import re
import shlex
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.lab.elections import Election
from tests.e2e.legacy import Legacy
from tests.e2e.world import Guest
from tests.lab.cloud import LabCloud, lab_cloud
from tests.lab.world import LabWorld
from tests.sandbox import eventually

SOURCE = Path(__file__).with_name("source")
NETWORK_NODES = ["network1", "network2", "network3"]
MTUS = {"vxlan": 1450, "gre": 1458, "geneve": 1450, "vlan": 1500, "flat": 1500}
"""Types of project networks, and how long packets in them may be on an underlay of 1500 octets."""
PREFIXES = {kind: f"10.{70 + number}.0.0/24" for number, kind in enumerate(MTUS)}
FARTHER, FAR, TAG = "198.18.0.1", "198.51.100.1", 77
"""An address of the Internet, and its router on a VLAN that leads there."""
MTU_ASKED = """#!/bin/sh
[ "$1" != bound ] || echo "offered $mtu"
"""


@dataclass
class Site:
    """A network of each type, and an instance on each host of compute that has a card in all of them."""

    world: LabWorld
    guests: tuple[Guest, Guest]
    networks: dict[str, str]


@pytest.fixture(scope="module")
def source() -> Iterator[LabCloud]:
    with lab_cloud(SOURCE / "layout.toml") as made:
        yield made


@pytest.fixture(scope="module")
def world(source: LabCloud) -> Iterator[LabWorld]:
    made = LabWorld(source)
    yield made
    made.sweep()


@pytest.fixture(scope="module")
def neutron(source: LabCloud) -> Legacy:
    return Legacy(source.on("controller"), "liberty")


@pytest.fixture(scope="module")
def site(world: LabWorld) -> Site:
    far = f"--host-route destination={FAR.rpartition('.')[0]}.0/24,gateway=10.73.0.1"
    more = {"gre": "", "vlan": f"--gateway 10.73.0.1 {far}"}
    networks = {}
    for kind, prefix in PREFIXES.items():
        physical = "--provider-physical-network vlan" if kind in ("vlan", "flat") else ""
        subnet = f"{prefix} {more.get(kind, '--gateway none')}"
        networks[kind] = world.network(kind, subnet, options=f"--provider-network-type {kind} {physical}")["id"]
    cards = " ".join(f"--network {network}" for network in networks.values())
    group = f"--security-group {world.open_group()}"
    guests = [
        world.boot(f"{cards} {group} --availability-zone nova:{host}", f"on-{host}")
        for host in ("compute1", "compute2")
    ]
    for guest in guests:
        for card in range(len(networks)):
            eventually(
                lambda guest=guest, card=card: has_address(guest, card), what=f"{guest.name}: an address on {card}"
            )
    return Site(world, (guests[0], guests[1]), networks)


def has_address(guest: Guest, card: int) -> bool:
    try:
        return bool(guest.address(card))
    except FileNotFoundError:  # it is still being built
        return False


@pytest.mark.parametrize("host", ["controller", "network1", "compute1"])
def test_004_50_to_55_every_option_of_the_files_is_understood(source, host):
    files = [Path(name) for name in source.lab.layout.hosts[host].config_files]
    options = " ".join(f"--config-file /etc/netloom/{path.name}" for path in (Path("netloom.conf"), *files))
    said = source.on(host).run("netloom", *shlex.split(options), "config", "show")
    assert said.stderr == ""
    known = {
        (line.split()[0], line.split()[1])
        for line in said.stdout.splitlines()
        if re.search(r"/etc/netloom/\S+:\d", line)
    }
    renamed = {("DEFAULT", "nova_metadata_ip"): ("DEFAULT", "nova_metadata_host")}
    for path in files:
        parser = ConfigParser(default_section="", interpolation=None)
        parser.read(SOURCE / path)
        asked = {(section, option) for section in parser.sections() for option in parser[section]}
        assert asked
        assert {renamed.get(one, one) for one in asked} <= known, path


def test_004_50_51_types_agents_and_segments_follow_the_files(world):
    openstack = world.openstack
    network = world.network("plain", "10.79.0.0/24", user="demo")
    shown = openstack(f"network show {network['id']}")
    assert (shown["provider:network_type"], shown["provider:physical_network"]) == ("vlan", "vlan")
    assert 1001 <= shown["provider:segmentation_id"] <= 1999
    assert len(openstack(f"network agent list --network {network['id']}")) == 2
    kind = "network create --provider-network-type vlan --provider-physical-network external"
    assert "segmentation_id" in openstack(f"{kind} any", check=False)
    any_id = openstack(f"{kind} --provider-segment 4001 {world.name('any')}")
    world.made("network", any_id["id"])
    assert any_id["provider:segmentation_id"] == 4001


def test_004_18_advertisements_look_as_in_the_guide(source, world, neutron):
    router = neutron.neutron(f"router-create {world.name('guide')}").record["id"]
    world.made("router", router)
    election = Election(source, router)
    eventually(lambda: "active" in election.states().values(), 30, "an active one")
    assert sorted(election.states()) == NETWORK_NODES
    address = own_address(election, election.active())
    for host in (election.active(), election.standing_by()[0]):
        argv = ("timeout", "12", "tcpdump", "-lnpi", "eth2", "-c", "2", "vlan and ip proto 112")
        lines = source.on(host).run(*argv).stdout.splitlines()
        said = "VRRPv2, Advertisement, vrid 1, prio 50, authtype none, intvl 2s, length 20"
        assert [line.partition(" ")[2] for line in lines] == [f"IP {address} > 224.0.0.18: {said}"] * 2
        one, other = (float(line.split()[0].rpartition(":")[2]) for line in lines)
        assert 1.5 < (other - one) % 60 < 2.5


def test_004_34_003_31_the_highest_address_stands_in_and_nothing_else_moves(source, world, neutron):
    """With the options of the year's behaviour: services without others on their hosts stay with a dead host."""
    router = world.openstack(f"router show {world.name('guide')}")["id"]
    election = Election(source, router)
    priorities = "grep -h ' priority ' $(find /run/netloom /var/lib/netloom -path '*ROUTER*' -name keepalived.conf)"
    for host in NETWORK_NODES:
        found = source.on(host).run("sh", "-c", priorities.replace("ROUTER", router)).stdout
        assert found.split() == ["priority", "50"]
    dead, others = election.active(), election.standing_by()
    heir, third = sorted(others, key=lambda host: own_address(election, host), reverse=True)
    staying = place_on(world, neutron, dead)
    moving = place_on(world, neutron, third)
    source.lab.power_off(dead)
    eventually(lambda: {election.states()[heir], election.states()[third]} == {"active", "standby"}, 30, "one of two")
    # Who is a millisecond earlier has won. Addresses count where both think so, as when one did not run for a while.
    first, second = sorted(others, key=lambda host: election.states()[host])
    source.lab.freeze(first)
    eventually(lambda: election.states()[second] == "active", 30, f"{second} active")
    source.lab.heal(first)
    eventually(lambda: election.states()[third] == "standby", 30, f"{third} standing by")
    eventually(lambda: election.states()[heir] == "active", 30, f"{heir} active")
    assert f"inet {own_address(election, heir)}/18" in "".join(election.shown(heir).values())
    eventually(lambda: not election.alive()[dead], 30, f"the agent of {dead} dead")
    agents = {row["host"]: row["id"] for row in neutron.neutron("agent-list").rows if row["agent_type"] == "L3 agent"}
    neutron.neutron(f"agent-update {agents[third]} --admin-state-down")  # who looks after the dead sees this, too
    try:
        eventually(lambda: carriers(neutron, moving)[0]["host"] == heir, what="the other router moved")
    finally:
        neutron.neutron(f"agent-update {agents[third]} --admin-state-up")
    assert [(row["host"], row["alive"]) for row in carriers(neutron, staying)] == [(dead, "xxx")]
    source.lab.heal()
    source.lab.wait_ready()
    assert [(row["host"], row["alive"]) for row in carriers(neutron, staying)] == [(dead, ":-)")]
    eventually(lambda: f"qrouter-{staying}" in source.on(dead).run("ip", "netns").stdout, what="the router back")


def place_on(world: LabWorld, neutron: Legacy, host: str) -> str:
    """A router that is on one host alone; its id."""
    router = str(world.create("router", "--no-ha", f"alone-{host}")["id"])
    agents = {row["host"]: row["id"] for row in neutron.neutron("agent-list").rows if row["agent_type"] == "L3 agent"}
    neutron.neutron(f"l3-agent-router-add {agents[host]} {router}")
    eventually(lambda: f"qrouter-{router}" in world.on(host).run("ip", "netns").stdout, what=f"the router on {host}")
    return router


def carriers(neutron: Legacy, router: str) -> list[dict[str, str]]:
    """The agents that a router is on."""
    return neutron.neutron(f"l3-agent-list-hosting-router {router}").rows


def own_address(election: Election, host: str) -> ipaddress.IPv4Address:
    """The address of a host on the hidden network."""
    (found,) = re.findall(r"inet (169\.254\.19\S+)/18 ", "".join(election.shown(host).values()))
    return ipaddress.IPv4Address(found)


def test_networks_of_all_types_join_two_hosts_at_once_with_packets_of_full_size(site):
    one, other = site.guests
    for card, (kind, mtu) in enumerate(MTUS.items()):
        address = other.address(card)
        eventually(lambda address=address: one.pings(address), what=f"the first answer through {kind}")
        assert " 0% packet loss" in one.on_its_cards("ping", "-Mdo", "-c3", "-i0.2", "-W1", f"-s{mtu - 28}", address)


def test_004_31_every_type_offers_its_mtu_by_dhcp(site):
    guest = site.guests[0]
    guest.sh(f"cat > /tmp/asked <<'END'\n{MTU_ASKED}\nEND\nchmod +x /tmp/asked")
    for card, mtu in enumerate(MTUS.values()):
        said = guest.run("udhcpc", "-n", "-q", "-f", "-i", f"eth{card}", "-O", "mtu", "-s", "/tmp/asked")
        assert f"offered {mtu}\n" in said
        assert f"mtu {mtu} " in guest.run("ip", "link", "show", f"eth{card}")


def test_004_57_vlan_and_gre_networks_reach_out_through_an_external_vlan(site, source):
    world = site.world
    provider = source.on("network3")  # kernels without VLANs cannot be one, switches can
    port = f"add-port br-ex far tag={TAG} -- set interface far type=internal"
    provider.run("ovs-vsctl", *port.split())
    for command in (f"address add {FAR}/24 dev far", "link set far up", f"address add {FARTHER}/32 dev lo"):
        provider.run("ip", *command.split())
    kind = f"--provider-network-type vlan --provider-physical-network external --provider-segment {TAG}"
    outside = world.network(
        "outside", f"{FAR.rpartition('.')[0]}.0/24 --no-dhcp --gateway {FAR}", options=f"--external {kind}"
    )
    router = world.create("router", f"--external-gateway {outside['id']}", "out")["id"]
    for one in ("vlan", "gre"):
        world.openstack(f"router add subnet {router} {world.name(f'{one}-0')}")
    election = Election(source, router)
    eventually(lambda: "active" in election.states().values(), 30, "an active one")
    guest = site.guests[1]
    for address in (FAR, FARTHER):  # one through the VLAN, as its host route says, one through GRE
        eventually(lambda address=address: guest.pings(address), what=f"an answer of {address}")
    floating = world.openstack(f"floating ip create {outside['id']} --port {port_on(site, guest, 'gre')}")
    world.made("floating ip", floating["id"])
    ping = ("ping", "-I", FARTHER, "-c2", "-i0.2", "-W1", floating["floating_ip_address"])
    eventually(lambda: provider.run(*ping, check=False).returncode == 0, what="an answer of the floating IP")


def port_on(site: Site, guest: Guest, kind: str) -> str:
    """The port of an instance in the network of a type."""
    (port,) = site.world.openstack(f"port list --server {guest.id} --network {site.networks[kind]}")
    return str(port["ID"])
