"""Routers: between networks, static routes, source NAT, floating IPs and what the host shows of them."""

import os
import re
import select
import time
from types import SimpleNamespace

import pytest

from tests.e2e.world import World
from tests.sandbox import eventually

OUTSIDE = "172.24.4.1"
"""The machine itself, on the external network."""


@pytest.fixture(scope="module")
def site(world: World):
    """Networks A and B on one router, C on another; a guest on each, two on A."""
    for letter, number in zip("abc", (1, 2, 3), strict=True):
        world.network(letter, f"10.61.{number}.0/24")
    first, second = world.router("r1", "a", "b"), world.router("r2", "c")
    group = world.open_group()
    boots = [(base, world.boot(f"--network {world.name(base[0])} --security-group {group}", base))
             for base in ("a1", "a2", "b1", "c1")]  # fmt: skip
    guests = {base: world.ready(guest) for base, guest in boots}
    for guest in guests.values():
        guest.serve(80)
    site = SimpleNamespace(**guests, r1=first["id"], r2=second["id"], world=world)
    site.gateway = first["external_gateway_info"]["external_fixed_ips"][0]["ip_address"]
    return site


@pytest.fixture(scope="module")
def floating(site) -> str:
    """A floating IP of guest a1 that answers."""
    made = site.world.openstack("floating ip create public")
    address = made["floating_ip_address"]
    site.world.made("floating ip", made["id"])
    site.world.openstack(f"server add floating ip {site.a1.id} {address}")
    eventually(lambda: site.world.pings(address), what="the floating IP")
    return str(address)


def in_router(site, *argv: str) -> str:
    return site.world.namespace(f"qrouter-{site.r1}", *argv)


def test_a_router_joins_networks(site):
    assert "ttl=63" in site.a1.run("ping", "-c", "1", site.b1.address())
    assert site.a1.fetches(f"http://{site.b1.address()}/").strip() == site.b1.name
    assert not site.a1.pings(site.c1.address()), "the other router's network is nobody's business here"


def test_addresses_that_nobody_translates_go_outside_as_the_routers(site):
    answered = site.a2.run("ping", "-c", "1", OUTSIDE)
    assert "1 packets received" in answered
    with site.world.capture("br-ex", f"icmp and src host {site.gateway}", 1) as seen:
        assert site.a2.pings(OUTSIDE)
    assert "echo request" in seen.text


def test_the_floating_ip_is_answered_from_everywhere(site, floating):
    world = site.world
    answered = world.machine.run("ping", "-c", "4", "-i", "0.2", floating).stdout
    assert " 0% packet loss" in answered
    assert "ttl=63" in answered
    for guest in (site.c1, site.b1, site.a2, site.a1):
        assert guest.pings(floating), f"{guest.name} does not reach the floating IP"
    assert world.machine.run("curl", "-s", f"http://{floating}/").stdout.strip() == site.a1.name
    assert site.b1.fetches(f"http://{floating}/").strip() == site.a1.name


def test_the_router_shows_the_floating_ip_and_its_translation(site, floating):
    qg = site.world.device("qg-", site.r1, "network:router_gateway")
    shown = in_router(site, "ip", "-4", "address", "show", qg)
    assert f"inet {floating}/32" in shown
    assert f"inet {site.gateway}/24" in shown
    for interface in ("10.61.1.1/24", "10.61.2.1/24"):
        assert f"inet {interface}" in in_router(site, "ip", "-4", "address")
    rules = in_router(site, "iptables-save", "-t", "nat")
    fixed = site.a1.address()
    assert f"-A neutron-l3-agent-PREROUTING -d {floating}/32 -j DNAT --to-destination {fixed}" in rules
    assert f"-A neutron-l3-agent-float-snat -s {fixed}/32 -j SNAT --to-source {floating}" in rules
    assert re.search(rf"-A neutron-l3-agent-snat -o {qg} -j SNAT --to-source {site.gateway}", rules)


def test_a_sender_with_an_address_of_the_instances_own_subnet_gets_no_answer(site, floating):
    """The instance looks for the sender on its own network."""
    machine, stranger = site.world.machine, "10.61.1.77"
    tap = "tap" + site.world.port_of(site.a1)["id"][:11]
    machine.run("ip", "address", "add", f"{stranger}/32", "dev", "lo")
    try:
        with site.world.capture(tap, f"host {stranger}", 2) as seen:
            assert not site.world.pings(floating, "-I", stranger)
    finally:
        machine.run("ip", "address", "del", f"{stranger}/32", "dev", "lo")
    assert f"{stranger} > {site.a1.address()}: ICMP echo request" in seen.text
    assert f"Request who-has {stranger} tell {site.a1.address()}" in seen.text


def test_packets_as_long_as_the_mtu_pass_and_longer_ones_do_not(site):
    guest, to = site.a1, site.a2.address()
    assert "mtu 1450" in guest.run("ip", "link", "show", "eth0")
    assert guest.pings(to, "-s", "1422")
    try:
        for one in (site.a1, site.a2):
            one.run("ip", "link", "set", "eth0", "mtu", "1500")
        assert guest.pings(to, "-s", "1422")
        assert not guest.pings(to, "-s", "1472")
    finally:
        for one in (site.a1, site.a2):
            one.run("ip", "link", "set", "eth0", "mtu", "1450")


def test_static_routes_lead_to_what_is_behind_an_instance(site):
    world, behind = site.world, "192.168.77.1"
    site.a2.run("ip", "address", "add", f"{behind}/32", "dev", "lo")
    world.openstack(f"port set --allowed-address ip-address=192.168.77.0/24 {world.port_of(site.a2)['id']}")
    assert not site.b1.pings(behind)
    route = f"destination=192.168.77.0/24,gateway={site.a2.address()}"
    world.openstack(f"router add route --route {route} {site.r1}")
    eventually(lambda: site.b1.pings(behind), what="the way behind the instance")
    assert f"192.168.77.0/24 via {site.a2.address()}" in in_router(site, "ip", "route")
    world.openstack(f"router remove route --route {route} {site.r1}")
    eventually(lambda: "192.168.77.0/24" not in in_router(site, "ip", "route"), what="the route's end")


def test_a_floating_ip_moves_and_answers_at_once(site, floating):
    world = site.world
    endless = world.machine.popen("ping", "-i", "0.1", "-W", "1", floating)
    try:
        world.openstack(f"floating ip set --port {world.port_of(site.b1)['id']} {floating}")
        eventually(lambda: _answers(world, floating) == site.b1.name, 3, "the floating IP's new instance")
        site.a1.run("ip", "link", "set", "eth0", "down")
        assert _goes_on(endless), "a sender that never paused still talks to the old instance"
    finally:
        site.a1.run("ip", "link", "set", "eth0", "up")
        endless.kill()
        endless.wait()
    world.openstack(f"floating ip set --port {world.port_of(site.a1)['id']} {floating}")
    site.a1.sh("ip route replace default via 10.61.1.1 onlink dev eth0")
    eventually(lambda: _answers(world, floating) == site.a1.name, what="the floating IP's first instance")


def _answers(world: World, address: str) -> str:
    return world.machine.run("curl", "-s", "-m1", f"http://{address}/", check=False).stdout.strip()


def _goes_on(ping) -> bool:
    """Whether a running ping prints ten more answers within about two seconds."""
    descriptor, seen, until = ping.stdout.fileno(), 0, time.monotonic() + 0.3
    while time.monotonic() < until:  # what it had said before
        if select.select([descriptor], [], [], 0.05)[0]:
            os.read(descriptor, 1 << 16)
    until = time.monotonic() + 3
    while time.monotonic() < until and seen < 10:
        if select.select([descriptor], [], [], 0.1)[0]:
            seen += os.read(descriptor, 1 << 16).count(b"bytes from")
    return seen >= 10


def test_without_source_nat_instances_keep_their_addresses(site):
    world = site.world
    world.openstack(f"router set --external-gateway public --disable-snat {site.r1}")
    gateway = world.openstack(f"router show {site.r1}")["external_gateway_info"]["external_fixed_ips"][0]["ip_address"]
    eventually(lambda: not site.a2.pings(OUTSIDE), what="the end of source NAT")
    world.machine.run("ip", "route", "add", "10.61.0.0/16", "via", gateway)
    try:
        eventually(lambda: site.a2.pings(OUTSIDE), what="an answer to the instance's own address")
        assert site.b1.pings(site.a2.address())
    finally:
        world.machine.run("ip", "route", "del", "10.61.0.0/16")
        world.openstack(f"router set --external-gateway public --enable-snat {site.r1}")
    eventually(lambda: site.a2.pings(OUTSIDE), what="source NAT")


def test_a_router_takes_a_port_of_our_choice(site):
    world = site.world
    port = world.create("port", f"--network {world.name('b')} --fixed-ip ip-address=10.61.2.99", "door")
    world.openstack(f"router add port {site.r2} {port['id']}")
    eventually(lambda: site.b1.pings("10.61.2.99"), what="the second router on network B")
    mac = site.b1.sh("ip neigh show 10.61.2.99")
    assert port["mac_address"] in mac
    world.openstack(f"router remove port {site.r2} {port['id']}")
    eventually(lambda: not site.b1.pings("10.61.2.99"), what="the end of the interface")


def test_a_router_that_is_down_forwards_nothing(site):
    world = site.world
    world.openstack(f"router set --disable {site.r1}")
    eventually(lambda: not site.a1.pings(site.b1.address()), what="the router's end")
    world.openstack(f"router set --enable {site.r1}")
    eventually(lambda: site.a1.pings(site.b1.address()), what="the router's return")


def test_routers_of_other_projects_are_hidden(site):
    shown = site.world.openstack(f"router show {site.r1}", user="demo", check=False)
    assert "No Router found" in shown
