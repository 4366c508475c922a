"""VLAN and flat networks on a second physical bridge, with a neighbour on the wire behind it."""

import json
import re
from types import SimpleNamespace

import pytest

from tests.e2e.world import Guest, World
from tests.sandbox import eventually

SHOW = "ovs-ofctl --names --no-stats dump-flows"


@pytest.fixture(scope="module")
def site(world: World):
    """Two VLAN networks, one of a number of our choice, and a neighbour with a trunk of the same wire."""
    chosen = "--provider-network-type vlan --provider-physical-network physnet --provider-segment 1234"
    first = world.network("chosen", "10.66.1.0/24 --allocation-pool start=10.66.1.10,end=10.66.1.99", options=chosen)
    free = "--provider-network-type vlan --provider-physical-network physnet"
    second = world.network("free", "10.66.2.0/24 --allocation-pool start=10.66.2.10,end=10.66.2.99", options=free)
    group = world.open_group()
    guests = [world.boot(f"--network {world.name(base)} --security-group {group}", base) for base in ("chosen", "free")]
    for guest in guests:
        world.ready(guest)
    site = SimpleNamespace(world=world, group=group, networks=(first, second), guests=guests)
    neighbour(world, "wire", 0)
    yield site
    world.machine.run("ip", "netns", "del", "wire")
    world.machine.run("ovs-vsctl", "--if-exists", "del-port", "br-vlan", "wire")


def neighbour(world: World, name: str, tag: int) -> None:
    """A host on the wire in a namespace of its own; tag 0: it sees all frames as they are."""
    run = world.machine.run
    run("ip", "netns", "add", name)
    run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
    run("ip", "netns", "exec", name, "ethtool", "-K", "eth0", "tx", "off")
    run("ip", "-n", name, "link", "set", "eth0", "up")
    run("ip", "link", "set", name, "up")
    run("ovs-vsctl", "add-port", "br-vlan", name, *([f"tag={tag}"] if tag else []))


def vlan(network: dict) -> int:
    return int(network["provider:segmentation_id"])


def local_vlan(site, guest: Guest) -> int:
    port = site.world.port_of(guest)["id"]
    return int(site.world.machine.run("ovs-vsctl", "get", "port", f"tap{port[:11]}", "tag").stdout)


def flows(site, bridge: str, table: int) -> str:
    return site.world.machine.run(*SHOW.split(), bridge, f"table={table}").stdout


def test_a_number_is_ours_to_choose_or_taken_from_the_range(site):
    first, second = site.networks
    assert (first["provider:network_type"], first["provider:physical_network"], vlan(first)) == (
        "vlan",
        "physnet",
        1234,
    )
    assert 1000 <= vlan(second) <= 2000
    assert vlan(second) != 1234
    assert first["mtu"] == 1500


def test_local_vlans_are_not_those_of_the_wire(site):
    locals_ = [local_vlan(site, guest) for guest in site.guests]
    assert len(set(locals_)) == 2
    assert not set(locals_) & {vlan(network) for network in site.networks}
    assert all("mtu 1500" in guest.run("ip", "link", "show", "eth0") for guest in site.guests)


def test_the_tag_on_the_wire_is_the_networks(site):
    for guest, network in zip(site.guests, site.networks, strict=True):
        with site.world.capture("wire", f"vlan {vlan(network)} and arp", 1) as seen:
            guest.run("ping", "-c", "1", "-W", "1", guest.address().rpartition(".")[0] + ".200", check=False)
        assert f"vlan {vlan(network)}, p 0, ethertype ARP" in seen.text


def test_a_neighbour_in_the_vlan_is_reached_and_one_in_another_is_not(site):
    world = site.world
    world.machine.run("ovs-vsctl", "set", "port", "wire", "tag=1234")
    world.machine.run("ip", "-n", "wire", "address", "add", "10.66.1.200/24", "dev", "eth0")
    world.machine.run("ip", "-n", "wire", "address", "add", "10.66.2.200/24", "dev", "eth0")
    chosen, free = site.guests
    eventually(lambda: chosen.pings("10.66.1.200"), what="the neighbour")
    assert "1 received" in world.namespace("wire", "ping", "-c", "1", chosen.address())
    assert chosen.pings("10.66.1.200", "-s", "1472"), "whole frames of 1500 octets"
    assert not free.pings("10.66.2.200")


def test_vlans_change_at_both_ends_of_the_patch(site):
    wire, inside = flows(site, "br-vlan", 0), flows(site, "br-int", 0)
    for guest, network in zip(site.guests, site.networks, strict=True):
        local, real = local_vlan(site, guest), vlan(network)
        outward = rf"priority=4,in_port=\"?phy-br-vlan\"?,dl_vlan={local} actions=mod_vlan_vid:{real},NORMAL"
        assert re.search(outward, wire), outward
        inward = rf"priority=3,in_port=\"?int-br-vlan\"?,dl_vlan={real} actions=mod_vlan_vid:{local},"
        assert re.search(inward, inside), inward
    assert re.search(r'priority=2,in_port="?phy-br-vlan"? actions=drop', wire)
    assert re.search(r"priority=0 actions=NORMAL", wire)
    for patch in ("int-br-ex", "int-br-vlan"):
        assert re.search(rf'priority=2,in_port="?{patch}"? actions=drop', inside)
    for table in (23, 24):
        assert "priority=0 actions=drop" in flows(site, "br-int", table)


def test_patches_join_the_bridges(site):
    for physical in ("br-ex", "br-vlan"):
        for here, there in ((f"int-{physical}", f"phy-{physical}"), (f"phy-{physical}", f"int-{physical}")):
            columns = ("--format=json", "--columns=type,options", "find", "interface", f"name={here}")
            (row,) = json.loads(site.world.machine.run("ovs-vsctl", *columns).stdout)["data"]
            assert row == ["patch", ["map", [["peer", there]]]]
    assert {"patch-tun", "patch-int"} <= set(
        site.world.machine.run(
            "ovs-vsctl", "--columns=name", "--bare", "find", "interface", "type=patch"
        ).stdout.split()
    )


def test_a_router_joins_vlans(world, site):
    made = world.router("r", "chosen", "free", gateway=False)
    chosen, free = site.guests
    eventually(lambda: chosen.pings(free.address()), what="the way between VLANs")
    ports = world.openstack(f"port list --router {made['id']}")
    qr = {f"qr-{port['ID'][:11]}" for port in ports}
    tags = {int(world.machine.run("ovs-vsctl", "get", "port", device, "tag").stdout) for device in qr}
    assert tags == {local_vlan(site, guest) for guest in site.guests}


def test_a_flat_network_has_no_tag_on_the_wire(world, site):
    options = "--provider-network-type flat --provider-physical-network physnet"
    world.network("flat", "10.66.3.0/24 --allocation-pool start=10.66.3.10,end=10.66.3.99", options=options)
    guest = world.ready(world.boot(f"--network {world.name('flat')} --security-group {site.group}", "flat"))
    neighbour(world, "plain", 0)
    try:
        world.machine.run("ip", "-n", "plain", "address", "add", "10.66.3.200/24", "dev", "eth0")
        eventually(lambda: guest.pings("10.66.3.200"), what="the neighbour without a tag")
        strip = rf"priority=4,in_port=\"?phy-br-vlan\"?,dl_vlan={local_vlan(site, guest)} actions=strip_vlan,NORMAL"
        assert re.search(strip, flows(site, "br-vlan", 0))
    finally:
        world.machine.run("ip", "netns", "del", "plain")
        world.machine.run("ovs-vsctl", "--if-exists", "del-port", "br-vlan", "plain")


def test_what_goes_leaves_the_flows_of_the_wire(world, site):
    options = "--provider-network-type vlan --provider-physical-network physnet --provider-segment 1777"
    network = world.network("brief", "10.66.7.0/24", options=options)
    eventually(lambda: "mod_vlan_vid:1777" in flows(site, "br-vlan", 0), what="the network's flows (DHCP)")
    world.openstack(f"network delete {network['id']}")
    eventually(lambda: "1777" not in flows(site, "br-vlan", 0) + flows(site, "br-int", 0), what="their end")


def test_a_number_is_given_once(world):
    options = "--provider-network-type vlan --provider-physical-network physnet --provider-segment 1234"
    said = world.openstack(f"network create {options} twice", check=False)
    assert "409" in said
    said = world.openstack(f"network create {options.replace('1234', '4095')} beyond", check=False)
    assert "400" in said
