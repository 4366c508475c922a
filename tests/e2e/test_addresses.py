"""Addresses: what DHCP and router advertisements tell, as instances and packets on their network show it."""

from types import SimpleNamespace

import pytest

from tests.e2e.world import Guest, World
from tests.sandbox import eventually

PRINT_ALL = "#!/bin/sh\nenv > /tmp/lease.$1\n"


@pytest.fixture(scope="module")
def site(world: World):
    """A network with all that DHCP can tell, and an open group."""
    world.network(
        "told",
        "10.65.1.0/24 --dns-nameserver 9.9.9.9 --dns-nameserver 8.8.4.4"
        " --host-route destination=192.0.2.0/24,gateway=10.65.1.9 --allocation-pool start=10.65.1.40,end=10.65.1.90",
        options="--mtu 1400",
    )
    return SimpleNamespace(world=world, group=world.open_group())


@pytest.fixture(scope="module")
def told(site) -> Guest:
    """A guest on it, whose port asks for extra options."""
    world = site.world
    options = f"--network {world.name('told')} --security-group {site.group}"
    port = world.create("port", f"{options} --extra-dhcp-option name=ntp-server,value=10.65.1.7", "told")
    return world.ready(world.boot(f"--nic port-id={port['id']}", "told"))


def lease(guest: Guest, *options: str) -> dict[str, str]:
    """All that a DHCP server tells, by the names of udhcpc."""
    guest.sh(f"printf '{PRINT_ALL}' > /tmp/print; chmod 755 /tmp/print")
    words = [word for option in options for word in ("-O", option)]
    guest.run("udhcpc", "-i", "eth0", "-n", "-q", "-t", "3", "-T", "1", "-s", "/tmp/print", *words)
    lines = guest.run("cat", "/tmp/lease.bound").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_dhcp_tells_all_of_a_subnet(told):
    assert 40 <= int(told.address().split(".")[-1]) <= 90
    said = lease(told, "mtu", "staticroutes", "ntpsrv", "domain")
    assert said["dns"].split() == ["9.9.9.9", "8.8.4.4"]
    assert said["mtu"] == "1400"
    assert said["router"] == "10.65.1.1"
    routes = said["staticroutes"].split()
    assert dict(zip(routes[::2], routes[1::2], strict=True)) == {
        "192.0.2.0/24": "10.65.1.9",
        "0.0.0.0/0": "10.65.1.1",
        "169.254.169.254/32": said["serverid"],
    }
    assert said["domain"] == "openstacklocal"
    assert said["ntpsrv"] == "10.65.1.7"
    assert said["lease"] == "86400"


def test_the_guest_does_what_it_is_told(told):
    assert "mtu 1400" in told.run("ip", "link", "show", "eth0")
    assert "nameserver 9.9.9.9" in told.run("cat", "/etc/resolv.conf")
    routes = told.run("ip", "route")
    assert "192.0.2.0/24 via 10.65.1.9" in routes
    assert "default via 10.65.1.1" in routes


def test_names_of_the_network_are_answered(told, site):
    """By the DHCP server itself, where the subnet names no servers."""
    site.world.network("named", "10.65.2.0/24")
    first, second = site.world.guests(
        f"--network {site.world.name('named')} --security-group {site.group}", "named1", "named2"
    )
    host = "host-" + second.address().replace(".", "-")
    eventually(lambda: second.address() in first.run("nslookup", f"{host}.openstacklocal", check=False), what=host)


def test_without_a_gateway_there_is_no_default_route(site):
    site.world.network("lonely", "10.65.3.0/24 --gateway none")
    (guest,) = site.world.guests(f"--network {site.world.name('lonely')}", "lonely")
    assert "router" not in lease(guest)
    assert "default" not in guest.run("ip", "route")


def test_two_subnets_of_a_network_are_on_one_link(site):
    world = site.world
    world.network("double", "10.65.4.0/24", "10.65.5.0/24")
    subnets = [world.openstack(f"subnet show {world.name(f'double-{number}')}")["id"] for number in (0, 1)]
    guests = []
    for number, subnet in enumerate(subnets):
        options = f"--network {world.name('double')} --fixed-ip subnet={subnet} --security-group {site.group}"
        port = world.create("port", options, f"double{number}")
        guests.append(world.boot(f"--nic port-id={port['id']}", f"double{number}"))
    first, second = (world.ready(guest) for guest in guests)
    assert second.address().startswith("10.65.5.")
    eventually(lambda: first.pings(second.address()), what="the other subnet on the same link")


def test_a_subnet_without_dhcp_serves_nobody(site):
    world = site.world
    network = world.network("silent", "10.65.6.0/24 --no-dhcp")
    guest = world.boot(f"--network {world.name('silent')}", "silent")
    eventually(lambda: world.openstack(f"server show {guest.id}")["status"] == "ACTIVE", what="ACTIVE")
    assert not guest.succeeds("udhcpc", "-i", "eth0", "-n", "-q", "-t", "2", "-T", "1", "-s", "/bin/true")
    assert f"qdhcp-{network['id']}" not in world.machine.run("ip", "netns").stdout


def test_a_changed_subnet_reaches_the_next_lease(site, told):
    world = site.world
    world.openstack(f"subnet set --no-dns-nameservers --dns-nameserver 1.1.1.1 {world.name('told-0')}")
    eventually(lambda: lease(told)["dns"] == "1.1.1.1", what="the new name server")


# IPv6


@pytest.fixture(scope="module")
def six(site):
    """SLAAC on two networks of one router, with a guest on each."""
    world, modes = site.world, "--ipv6-ra-mode slaac --ipv6-address-mode slaac"
    world.network("six1", f"2001:db8:65:1::/64 {modes} --dns-nameserver 2001:4860:4860::8888")
    world.network("six2", f"2001:db8:65:2::/64 {modes}")
    router = world.router("six", "six1", "six2", gateway=False)
    guests = [
        world.boot(f"--network {world.name(name)} --security-group {site.group}", name) for name in ("six1", "six2")
    ]
    for guest in guests:
        eventually(lambda guest=guest: globals_of(guest), what=f"an IPv6 address of {guest.name}")
    return SimpleNamespace(world=world, router=router["id"], first=guests[0], second=guests[1])


def globals_of(guest: Guest) -> list[str]:
    """The card's global IPv6 addresses that are ready."""
    try:
        lines = guest.run("ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "global", check=False).splitlines()
    except FileNotFoundError:
        return []
    return [line.split()[3].split("/")[0] for line in lines if "tentative" not in line]


def test_slaac_gives_the_address_that_the_port_has(six):
    for guest in (six.first, six.second):
        assert globals_of(guest) == [six.world.port_of(guest)["fixed_ips"][0]["ip_address"]]


def test_ipv6_is_routed_between_networks(six):
    eventually(lambda: six.first.pings(globals_of(six.second)[0], "-6"), what="the other network")
    assert "default via fe80::" in six.first.run("ip", "-6", "route")
    port = six.world.port_of(six.second)
    assert six.world.machine.run("ip6tables-save", "-t", "nat", check=False).stdout.count("DNAT") == 0
    assert port["status"] == "ACTIVE"


def test_router_advertisements_tell_prefix_mtu_and_servers(six):
    tap = "tap" + six.world.port_of(six.first)["id"][:11]
    with six.world.capture(tap, "icmp6 and ip6[40] == 134", 1) as seen:
        six.first.sh("ip link set eth0 down; ip link set eth0 up")
    for told in ("2001:db8:65:1::/64", "mtu option", "1450", "2001:4860:4860::8888"):
        assert told in seen.text
    assert "[none]" in seen.text, "neither managed nor other configuration"
    eventually(lambda: globals_of(six.first), what="the address again")


@pytest.mark.parametrize(("mode", "flag"), [("dhcpv6-stateless", "[other stateful]"), ("dhcpv6-stateful", "[managed]")])
def test_advertisements_send_clients_to_dhcpv6(six, site, mode, flag):
    world, number = six.world, 7 if mode == "dhcpv6-stateless" else 8
    base = f"six{number}"
    prefix = f"2001:db8:65:{number}::/64"
    world.network(base, f"{prefix} --ipv6-ra-mode {mode} --ipv6-address-mode {mode} --dns-nameserver 2001:db8::53")
    world.openstack(f"router add subnet {six.router} {world.name(f'{base}-0')}")
    guest = world.boot(f"--network {world.name(base)} --security-group {site.group}", base)
    eventually(lambda: world.openstack(f"server show {guest.id}")["status"] == "ACTIVE", what="ACTIVE")
    port = world.port_of(guest)
    with world.capture(f"tap{port['id'][:11]}", "icmp6 and ip6[40] == 134", 1) as seen:
        guest.sh("ip link set eth0 down; ip link set eth0 up")
    assert flag in seen.text
    if mode == "dhcpv6-stateless":
        eventually(lambda: globals_of(guest) == [port["fixed_ips"][0]["ip_address"]], what="its own address")
    else:
        assert globals_of(guest) == []
    reply = guest.on_its_cards("python3", "-c", ASK_DHCPV6.format(mac=port["mac_address"], mode=mode))
    assert "2001:db8::53" in reply
    assert (port["fixed_ips"][0]["ip_address"] in reply) == (mode == "dhcpv6-stateful")


ASK_DHCPV6 = """
import socket, struct, sys, time
# A solicit with rapid wishes, or an information request (RFC 8415), and the addresses in the answer.
mac, stateful = bytes.fromhex("{mac}".replace(":", "")), "{mode}".endswith("stateful")
def option(code, data): return struct.pack("!HH", code, len(data)) + data
client = option(1, struct.pack("!HH", 3, 1) + mac)
wanted = option(6, struct.pack("!H", 23))
identity = option(3, struct.pack("!III", 1, 0, 0)) if stateful else b""
message = bytes([1 if stateful else 11]) + b"abc" + client + wanted + option(8, bytes(2)) + identity
card = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
card.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
card.bind(("::", 546))
card.settimeout(1)
for _ in range(10):
    try:
        card.sendto(message, ("ff02::1:2", 547, 0, socket.if_nametoindex("eth0")))
        answer = card.recv(4096)[4:]
        break
    except OSError:
        time.sleep(0.2)
while answer:
    code, length = struct.unpack_from("!HH", answer)
    data, answer = answer[4:4 + length], answer[4 + length:]
    if code == 23:
        print("server", socket.inet_ntop(socket.AF_INET6, data[:16]))
    if code == 3 and len(data) >= 32:
        print("address", socket.inet_ntop(socket.AF_INET6, data[16:32]))
"""
