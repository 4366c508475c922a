"""Announcements of addresses, and forgetting their connections."""

import socket

import pytest

from netloom.host import conntrack
from netloom.host.announce import Announcer
from netloom.host.namespaces import inside
from netloom.host.veths import Veths
from netloom.state import Address, Chain, FilterTable, Veth

from .sandbox import changes, eventually, namespaces, run

MAC = "fa:16:3e:00:00:01"


@pytest.fixture
def device(sandbox):
    """A router's device, whose outer end the test can listen on."""
    namespaces(sandbox, 1)
    veths = Veths(sandbox.layout)
    pair = Veth(name=sandbox.device(), namespace=sandbox.router(), mac=MAC, mtu=1450)
    assert veths.create(changes(Veth, [pair])) + veths.bring_up() == []
    return sandbox.device()


def test_three_announcements_of_each_address_without_waiting(sandbox, device, monkeypatch):
    monkeypatch.setattr("netloom.host.announce._SPACING", 0.05)
    addresses = [
        Address(namespace=sandbox.router(), device=device, cidr=cidr)
        for cidr in ("203.0.113.10/32", "2001:db8::5/64", "10.0.0.1/24")
    ]
    missing = Address(namespace=sandbox.router(1), device=device, cidr="10.0.0.1/24")
    heard = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as listener:
        listener.bind((device, 3))
        listener.settimeout(5)
        announcer = Announcer()
        announcer.announce([*addresses, missing])
        while len(heard) < 9:
            frame = listener.recv(2000)
            arp = frame[12:14] == b"\x08\x06" and frame[28:32]
            advertised = frame[12:14] == b"\x86\xdd" and frame[54] == 136 and frame[62:78]
            if announced := arp or advertised:
                assert frame[6:12].hex(":") == MAC
                heard.append(announced)
        announcer.close()
    expected = [socket.inet_aton("203.0.113.10"), socket.inet_pton(socket.AF_INET6, "2001:db8::5")]
    assert sorted(heard) == sorted([*expected, socket.inet_aton("10.0.0.1")] * 3)


def test_a_neighbour_learns_from_the_announcement(sandbox, device):
    run("sysctl", "-qw", f"net.ipv6.conf.{device}.disable_ipv6=0")
    run("sysctl", "-qw", f"net.ipv4.conf.{device}.arp_accept=1")
    run("ip", "address", "add", "203.0.113.1/24", "dev", device)
    run("ip", "address", "add", "2001:db8::1/64", "dev", device, "nodad")
    for address in ("203.0.113.10", "2001:db8::10"):  # what the neighbour believed before
        run("ip", "neigh", "replace", address, "lladdr", "fa:16:3e:ff:ff:ff", "dev", device, "nud", "stale")
    announcer = Announcer()
    announcer.announce(
        Address(namespace=sandbox.router(), device=device, cidr=cidr) for cidr in ("203.0.113.10/32", "2001:db8::10/64")
    )
    eventually(lambda: run("ip", "neigh").count(MAC) == 2)
    announcer.close()


def test_connections_of_an_address_are_forgotten_and_others_not(sandbox, device):
    def table():
        return run("ip", "netns", "exec", sandbox.router(), "conntrack", "-L")

    def connection(source, destination, translated):
        state = [
            "-p",
            "tcp",
            "--sport",
            "1",
            "--dport",
            "2",
            "--reply-port-src",
            "2",
            "--reply-port-dst",
            "1",
            "--state",
            "ESTABLISHED",
            "-t",
            "300",
        ]
        tuple_ = ["-s", source, "-d", destination, "-r", translated, "-q", source]
        run("ip", "netns", "exec", sandbox.router(), "conntrack", "-I", *tuple_, *state)

    connection("198.51.100.1", "203.0.113.10", "10.0.0.5")
    connection("198.51.100.2", "203.0.113.10", "10.0.0.5")
    connection("198.51.100.1", "203.0.113.11", "10.0.0.6")
    connection("2001:db8::1", "2001:db8::10", "2001:db8::10")
    assert conntrack.forget(sandbox.router(), {"203.0.113.10"}) == 2
    assert "203.0.113.10" not in table()
    assert "203.0.113.11" in table()
    assert conntrack.forget(sandbox.router(), {"10.0.0.6", "2001:db8::10"}) == 2


def test_connections_of_an_address_that_leads_elsewhere_are_forgotten(sandbox, device):
    def nat(*rules):
        chain = Chain(name="neutron-l3-agent-PREROUTING", rules=rules)
        return FilterTable(namespace=sandbox.router(), family=4, table="nat", chains=(chain,))

    def connect(destination):
        ports = ["-p", "tcp", "--sport", "1", "--dport", "2", "--state", "ESTABLISHED", "-t", "300"]
        run(*in_router, "conntrack", "-I", "-s", "198.51.100.1", "-d", destination, *ports)

    in_router = ("ip", "netns", "exec", sandbox.router())
    moved, kept = "203.0.113.10", "203.0.113.11"
    for destination in (moved, kept):
        connect(destination)
    stays = f"-d {kept}/32 -j DNAT --to-destination 10.0.0.6"
    before, after = (nat(f"-d {moved}/32 -j DNAT --to-destination {to}", stays) for to in ("10.0.0.5", "10.0.0.7"))
    assert conntrack.forget_translations([(before, after)]) == []
    table = run(*in_router, "conntrack", "-L")
    assert (moved in table, kept in table) == (False, True)


def test_a_thousand_connections_are_forgotten_at_once(sandbox, device):
    with inside(sandbox.router()):
        run("ip", "address", "add", "10.0.0.1/24", "dev", device)
        rules = ["*raw", ":OUTPUT ACCEPT [0:0]", "COMMIT", "*filter", ":OUTPUT ACCEPT [0:0]"]
        rules += ["-A OUTPUT -m conntrack --ctstate NEW -j ACCEPT", "COMMIT", ""]
        restore = "\n".join(rules)
        run("sh", "-c", f"printf '{restore}' | iptables-restore")
        run("ip", "neigh", "add", "10.0.0.2", "lladdr", "fa:16:3e:00:00:02", "dev", device)
        for port in range(1, 1001):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"", ("10.0.0.2", port))
    assert conntrack.forget(sandbox.router(), {"10.0.0.1"}) == 1000
