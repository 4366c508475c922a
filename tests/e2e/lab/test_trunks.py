"""Trunks on overlay networks and between hosts.

A virtual machine is on one host, a container with a card in each of its networks on another.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.world import Guest
from tests.lab.cloud import LabCloud
from tests.lab.world import LabWorld
from tests.sandbox import eventually

HERE, THERE = "compute1", "compute2"
NETWORKS = {"card": "vlan", "red": "vxlan", "blue": "gre", "green": "vlan"}
"""Types by name; the first is the parent's."""
PREFIXES = {name: f"10.9{number}.0" for number, name in enumerate(NETWORKS)}
TAGS = {"red": 100, "blue": 200}


class VirtualMachine(Guest):
    """A running virtual machine, with a shell to it."""

    def _enter(self, argv: tuple[str, ...]) -> list[str]:
        return ["netloom", "exec", self.id, "--", *argv]

    def join(self, tag: int, mac: str, address: str) -> None:
        """Make a VLAN device on the card."""
        name = f"ens3.{tag}"
        self.sh(
            f"ip link add link ens3 name {name} address {mac} type vlan id {tag}"
            f" && ip link set {name} up && ip address add {address}/24 dev {name}"
        )


@dataclass
class Site:
    """A trunk's instance, and a container with cards in the same networks."""

    world: LabWorld
    machine: VirtualMachine
    other: Guest
    trunk: str
    ports: dict[str, dict[str, Any]]
    """The machine's, by network."""
    group: str
    """Lets everything in."""

    def address(self, network: str) -> str:
        return str(self.ports[network]["fixed_ips"][0]["ip_address"])

    def reaches(self, network: str) -> bool:
        """Whether the container reaches the machine on a network."""
        return self.other.pings(self.address(network))

    def set(self, words: str) -> None:
        """Change the trunk, and wait until it is as it should be."""
        self.world.openstack(f"network trunk {words} {self.trunk}")
        eventually(lambda: self.status() == "ACTIVE", what="the trunk ACTIVE")

    def status(self) -> str:
        return str(self.world.openstack(f"network trunk show {self.trunk}")["status"])


@pytest.fixture(scope="module")
def site(lab_world: LabWorld, lab: LabCloud) -> Iterator[Site]:
    world, openstack = lab_world, lab_world.openstack
    group = world.open_group()
    ports = {}
    for name, kind in NETWORKS.items():
        options = f"--provider-network-type {kind}" + (" --provider-physical-network vlan" if kind == "vlan" else "")
        network = world.network(name, f"{PREFIXES[name]}.0/24 --gateway none", options=options)["id"]
        ports[name] = world.create("port", f"--network {network} --security-group {group}", f"machine-{name}")
    parent = ports["card"]["id"]
    subs = " ".join(
        f"--subport port={ports[name]['id']},segmentation-type=vlan,segmentation-id={tag}" for name, tag in TAGS.items()
    )
    trunk = openstack(f"network trunk create --parent-port {parent} {subs}", world.name("trunk"))["id"]
    image = (
        "image create --disk-format raw --container-format bare --property hypervisor_type=qemu --file /etc/hostname"
    )
    image_id = openstack(image, world.name("machine"))["id"]
    on = f"--flavor m1.tiny --image {image_id} --availability-zone nova:{HERE} --port {parent}"
    try:
        made = world.create("server", on, "machine")
        machine = VirtualMachine(lab, made["id"], made["name"])
        cards = " ".join(f"--network {world.name(name)}" for name in NETWORKS)
        other = world.boot(f"{cards} --security-group {group} --availability-zone nova:{THERE}", "other")
        found = Site(world, machine, world.ready(other), trunk, ports, group)
        eventually(lambda: found.reaches("card"), 60, "the machine up")
        eventually(lambda: found.status() == "ACTIVE", what="the trunk ACTIVE")
        for name, tag in TAGS.items():
            machine.join(tag, ports[name]["mac_address"], found.address(name))
        yield found
        openstack(f"server delete --wait {machine.id}")
        bridge = f"tbr-{trunk}"[:14]
        eventually(lambda: bridge not in world.on(HERE).run("ovs-vsctl", "list-br").stdout, what="no bridge left")
    finally:
        openstack(f"server delete --wait {world.name('machine')}", check=False)
        openstack(f"network trunk delete {trunk}", check=False)
        openstack(f"image delete {image_id}")


@pytest.mark.parametrize("network", ["card", *TAGS])
def test_every_network_of_the_trunk_reaches_the_other_host(site, network):
    eventually(lambda: site.reaches(network), what=f"{network} across hosts")


def test_instances_tags_stay_on_their_host(site):
    number = site.world.openstack(f"network show {site.world.name('red')}")["provider:segmentation_id"]
    with site.world.capture("eth1", "udp port 4789", 2, site.world.on(HERE)) as seen:
        assert site.reaches("red")
    assert f"vni {number}" in seen.text
    assert "802.1Q" not in seen.text


def test_a_host_without_credentials_is_drawn_all_the_same(site):
    """By ids, and by the names that the host itself knows."""
    host = site.world.on(HERE)
    red = site.ports["red"]["id"]
    drawn = host.run("netloom", "draw", red[:8]).stdout
    assert f"─ {site.machine.name} ─" in drawn
    assert re.search(rf"spi-{red[:10]} +tag \d+ ├.*┤ spt-{red[:10]} +tag 100 ", drawn)
    assert f"spt-{site.ports['blue']['id'][:10]}" not in drawn
    unknown = host.run("netloom", "draw", "nobody", check=False)
    assert unknown.returncode == 1
    assert "'nobody'" in unknown.stderr


def test_sub_ports_have_groups_of_their_own(site):
    openstack = site.world.openstack
    friends = site.world.create("security group", "", "friends")["id"]
    openstack(f"security group rule create --protocol icmp --remote-group {friends} {friends}")
    red = site.ports["red"]["id"]
    openstack(f"port set --no-security-group --security-group {friends} {red}")
    eventually(lambda: not site.reaches("red"), what="red closed to strangers")
    assert site.reaches("blue")
    assert site.reaches("card")
    ports = openstack(f"port list --server {site.other.id} --network {site.world.name('red')}")
    openstack(f"port set --security-group {friends} {ports[0]['ID']}")
    eventually(lambda: site.reaches("red"), what="red open to friends")
    openstack(f"port set --no-security-group --security-group {site.group} {red}")
    openstack(f"port unset --security-group {friends} {ports[0]['ID']}")


def test_a_sub_port_speaks_with_no_address_but_its_own(site):
    machine, red = site.machine, site.ports["red"]
    machine.run("ip", "link", "set", "ens3.100", "address", "fa:16:3e:00:00:99")
    eventually(lambda: not site.reaches("red"), what="no answer by another MAC")
    assert site.reaches("blue")
    machine.run("ip", "link", "set", "ens3.100", "address", red["mac_address"])
    eventually(lambda: site.reaches("red"), what="an answer by the own MAC")


def test_sub_ports_come_and_go_under_traffic_and_the_others_do_not_notice(site):
    """One comes with the number of its network, which it inherits; one goes and comes back with another tag."""
    green, red = site.ports["green"], site.ports["red"]
    site.other.start(f"ping -i 0.05 {site.address('blue')} > /run/traffic")
    site.set(f"set --subport port={green['id']},segmentation-type=inherit")
    number = site.world.openstack(f"network show {site.world.name('green')}")["provider:segmentation_id"]
    site.machine.join(number, green["mac_address"], site.address("green"))
    eventually(lambda: site.reaches("green"), what="green across hosts")
    site.set(f"unset --subport {red['id']}")
    eventually(lambda: not site.reaches("red"), what="red gone")
    site.set(f"set --subport port={red['id']},segmentation-type=vlan,segmentation-id=101")
    site.machine.run("ip", "link", "del", "ens3.100")
    site.machine.join(101, red["mac_address"], site.address("red"))
    eventually(lambda: site.reaches("red"), what="red by another tag")
    said = site.other.sh("kill -INT $(pidof ping) && sleep 0.2; cat /run/traffic")
    found = re.search(r"(\d+) packets transmitted, (\d+) packets received", said)
    assert found, said[-300:]
    sent, received = map(int, found.groups())
    assert sent > 30, "there was hardly any traffic"
    assert received >= sent - 1, "the last may be on its way"
