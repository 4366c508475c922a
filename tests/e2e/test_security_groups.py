"""Security groups and anti-spoofing, by packets between instances: enforced by flows, and by iptables.

The host changes its firewall driver in between, while its instances run.
"""

import contextlib
import re
from types import SimpleNamespace

import pytest

from tests.e2e.cloud import CONFIG
from tests.e2e.world import Guest, World
from tests.sandbox import eventually

SEND_ARP = """
import socket
card = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
card.bind(("eth0", 0))
mac, claimed = bytes.fromhex("{mac}".replace(":", "")), socket.inet_aton("{address}")
head = bytes.fromhex("ffffffffffff") + mac + bytes.fromhex("0806" "0001080006040001")
for _ in range(3):
    card.send(head + mac + claimed + bytes(6) + claimed)
"""
"""Announces an address that may be somebody else's."""
HYBRID = "iptables_hybrid"
OTHER = {"openvswitch": HYBRID, HYBRID: "openvswitch"}
SILENCE = 3.0
"""Seconds of traffic that may be lost while a host moves to another driver."""


@pytest.fixture(scope="module")
def site(world: World):
    """One network: an open server, a closed one, and two clients."""
    world.network("net", "10.62.1.0/24")
    opened = world.open_group()
    closed = world.create("security group", "", "closed")["id"]
    clients = world.create("security group", "", "clients")["id"]
    boots = {
        name: world.boot(f"--network {world.name('net')} --security-group {group}", name)
        for name, group in {"server": closed, "peer": opened, "client": opened}.items()
    }
    guests = {name: world.ready(guest) for name, guest in boots.items()}
    guests["server"].serve(80, 8080, 8081)
    return SimpleNamespace(world=world, closed=closed, clients=clients, opened=opened, **guests)


@pytest.fixture(scope="module", params=["openvswitch", HYBRID], autouse=True)
def driver(request: pytest.FixtureRequest, site):
    """The firewall driver of the host. All tests run with one, then the host moves to the other."""
    if request.param == HYBRID:
        move(site, HYBRID)
    yield request.param
    if request.param == HYBRID:
        move(site, "openvswitch")


def configure(machine, driver: str) -> None:
    """Start the agent anew with another driver, as an operator does."""
    text = machine.run("cat", f"{CONFIG}/netloom.conf").stdout.partition("[securitygroup]")[0]
    section = f"[securitygroup]\nfirewall_driver = {driver}\n" if driver == HYBRID else ""
    machine.run("sh", "-c", f"cat > {CONFIG}/netloom.conf", text=text + section)
    pid = machine.run("cat", "/run/netloom/agent.pid").stdout.strip()
    machine.run("kill", pid)
    eventually(lambda: machine.run("kill", "-0", pid, check=False).returncode != 0, what="the end of the agent")
    machine.run("netloom", "up", timeout=90)


def move(site, driver: str) -> None:
    """Move the host; instances run on, and are silent for a moment at most."""
    guests = site.server, site.peer, site.client
    before, pace = [guest.process for guest in guests], 0.1
    ping = site.server.popen("ping", "-c", "600", "-i", str(pace), site.peer.address())
    configure(site.world.machine, driver)
    eventually(lambda: remains(site, driver) and not remains(site, OTHER[driver]), what=f"the move to {driver}")
    eventually(lambda: site.server.pings(site.peer.address()), what="the instances' network")
    site.server.sh("killall -INT ping", check=False)
    sent, received = map(int, re.findall(r"(\d+) packets (?:transmitted|received)", ping.communicate(timeout=10)[0]))
    assert (sent - received) * pace < SILENCE
    assert [guest.process for guest in guests] == before


def remains(site, driver: str) -> list[str]:
    """What there is on the host of one driver's plugs and rules."""
    machine = site.world.machine
    if driver == "openvswitch":
        on_switch = machine.run("ovs-vsctl", "list-ports", "br-int").stdout.split()
        cards = [f"tap{site.world.port_of(guest)['id'][:11]}" for guest in (site.server, site.peer, site.client)]
        flows = machine.run("ovs-ofctl", "dump-flows", "--no-stats", "br-int", "table=72").stdout.splitlines()
        return [*(card for card in cards if card in on_switch), *(flow for flow in flows if "reg7" in flow)]
    links = re.findall(r"\bq(?:br|vb|vo)\S+", machine.run("ip", "-brief", "link").stdout)
    ports = [port for port in machine.run("ovs-vsctl", "list-ports", "br-int").stdout.split() if port[:3] == "qvo"]
    saved = "".join(machine.run(command).stdout for command in ("iptables-save", "ip6tables-save"))
    rules = [line for line in saved.splitlines() if "neutron-openvswi" in line]
    return [*links, *ports, *rules, *machine.run("ipset", "-name", "list").stdout.split()]


def test_a_host_has_the_plugs_and_rules_of_its_driver_alone(site, driver):
    assert remains(site, driver)
    assert not remains(site, OTHER[driver])


def test_newly_bound_ports_tell_nova_how_to_plug(site, driver):
    details = site.world.port_of(site.world.boot(f"--network {site.world.name('net')}", f"new-{driver[:4]}"))
    assert details["binding_vif_details"]["ovs_hybrid_plug"] == (driver == HYBRID)


@contextlib.contextmanager
def rule(site, options: str):
    """A rule of the server's group for the length of a block."""
    made = site.world.openstack(f"security group rule create {options} {site.closed}")["id"]
    try:
        yield
    finally:
        site.world.openstack(f"security group rule delete {made}")


@contextlib.contextmanager
def port_with(site, guest: Guest, change: str, back: str):
    """A port changed for the length of a block."""
    port = site.world.port_of(guest)["id"]
    site.world.openstack(f"port set {change} {port}")
    try:
        yield
    finally:
        site.world.openstack(f"port {back} {port}")


def reaches(site, port: int, guest: Guest | None = None) -> bool:
    asking = guest or site.client
    return asking.fetches(f"http://{site.server.address()}:{port}/").strip() == site.server.name


def settle(site) -> None:
    """Wait until the hosts have what was changed before: a change that is made later is seen after it."""
    with rule(site, "--protocol udp --dst-port 9"):
        eventually(lambda: re.search(r"(tp_dst=|--dport )9\b", rules(site)), what="the last change")


def rules(site) -> str:
    machine = site.world.machine
    flows = machine.run("ovs-ofctl", "dump-flows", "--no-stats", "br-int", "table=82").stdout
    return flows + machine.run("iptables-save").stdout


def test_a_default_group_lets_its_members_talk_and_nobody_else(world, site):
    """In a project whose groups nobody has touched."""
    world.openstack("network set --share", world.name("net"))
    first, second = world.guests(f"--network {world.name('net')}", "d1", "d2", user="demo")
    eventually(lambda: first.pings(second.address()), what="traffic inside the group")
    assert first.pings(site.peer.address())
    assert not site.peer.pings(first.address())


def test_nothing_comes_in_without_a_rule(site):
    assert not site.client.pings(site.server.address())
    assert not reaches(site, 80)
    assert site.server.pings(site.peer.address()), "what goes out, and its answers, need no rule"


def test_ports_open_one_by_one_and_in_ranges(site):
    with rule(site, "--protocol tcp --dst-port 80"):
        eventually(lambda: reaches(site, 80), what="port 80")
        assert not reaches(site, 8080)
        assert not site.client.pings(site.server.address())
    with rule(site, "--protocol tcp --dst-port 8079:8080"):
        eventually(lambda: reaches(site, 8080), what="port 8080")
        assert not reaches(site, 8081)
        assert not reaches(site, 80)


def test_icmp_by_its_type(site):
    with rule(site, "--protocol icmp --icmp-type 8"):
        eventually(lambda: site.client.pings(site.server.address()), what="echo requests")
        assert not reaches(site, 80)
    eventually(lambda: not site.client.pings(site.server.address()), what="their end")


def test_a_prefix_lets_in_only_its_addresses(site):
    with rule(site, f"--protocol tcp --dst-port 80 --remote-ip {site.client.address()}/32"):
        eventually(lambda: reaches(site, 80), what="the client")
        assert not reaches(site, 80, site.peer)


def test_members_of_a_remote_group_come_and_go(site):
    with rule(site, f"--protocol tcp --dst-port 80 --remote-group {site.clients}"):
        settle(site)
        assert not reaches(site, 80)
        join, leave = f"--security-group {site.clients}", f"unset --security-group {site.clients}"
        with port_with(site, site.client, join, leave):
            eventually(lambda: reaches(site, 80), what="the new member")
            assert not reaches(site, 80, site.peer)
        eventually(lambda: not reaches(site, 80), what="the end of its membership")


def test_a_connection_ends_with_its_rule(site):
    """Also one that is established, and it goes on when the rule is back."""
    site.server.start("sleep 100 | nc -l -p 7001 > /tmp/got")

    def received() -> int:
        return int(site.server.sh("wc -c < /tmp/got"))

    def grows() -> bool:
        before = received()
        site.server.run("sleep", "1")
        return received() > before

    with rule(site, "--protocol tcp --dst-port 7001"):
        settle(site)
        site.client.start(f"(while sleep 0.1; do echo more; done) | nc {site.server.address()} 7001")
        eventually(grows, what="the connection")
    eventually(lambda: not grows(), what="the end of the connection")
    with rule(site, "--protocol tcp --dst-port 7001"):
        eventually(grows, what="the connection's return")
    for guest in (site.client, site.server):
        guest.sh("killall sleep nc", check=False)


def test_stateless_groups_let_answers_in_by_rules_alone(world, site):
    group = world.create("security group", "--stateless", "stateless")["id"]
    (guest,) = world.guests(f"--network {world.name('net')} --security-group {group}", "stateless")
    assert not guest.pings(site.peer.address())
    world.openstack(f"security group rule create --protocol icmp {group}")
    eventually(lambda: guest.pings(site.peer.address()), what="answers by a rule")


def test_without_port_security_everything_comes_in(site):
    closed = "--disable-port-security --no-security-group"
    with port_with(site, site.server, closed, f"set --enable-port-security --security-group {site.closed}"):
        eventually(lambda: reaches(site, 8081), what="traffic without port security")
        assert site.client.pings(site.server.address())
    eventually(lambda: not reaches(site, 8081), what="port security")


def test_a_foreign_address_speaks_only_when_it_is_allowed(site):
    shared = "10.62.1.200"
    site.peer.run("ip", "address", "add", f"{shared}/24", "dev", "eth0")
    try:
        assert not site.client.pings(shared)
        assert not site.peer.pings(site.client.address(), "-I", shared)
        with port_with(site, site.peer, f"--allowed-address ip-address={shared}", "set --no-allowed-address"):
            eventually(lambda: site.client.pings(shared), what="the allowed address")
            assert site.peer.pings(site.client.address(), "-I", shared)
        site.client.run("ip", "neigh", "flush", "dev", "eth0")
        eventually(lambda: not site.client.pings(shared), what="the end of the permission")
    finally:
        site.peer.run("ip", "address", "del", f"{shared}/24", "dev", "eth0")


def test_a_foreign_mac_says_nothing(site):
    true = site.world.port_of(site.peer)["mac_address"]
    with changed_mac(site.peer, "fa:16:3e:00:00:01"):
        site.client.run("ip", "neigh", "flush", "dev", "eth0")
        assert not site.peer.pings(site.client.address())
    assert true in site.peer.run("ip", "link", "show", "eth0")
    eventually(lambda: site.peer.pings(site.client.address()), what="the true MAC")


@contextlib.contextmanager
def changed_mac(guest: Guest, mac: str):
    true = guest.sh(
        "cat /sys/class/net/eth0/address || ip link show eth0 | sed -n 's/.*ether \\([^ ]*\\).*/\\1/p'"
    ).strip()
    guest.run("ip", "link", "set", "eth0", "address", mac)
    try:
        yield
    finally:
        guest.run("ip", "link", "set", "eth0", "address", true)


def test_nobody_announces_the_address_of_another(site):
    victim, own = site.server.address(), site.world.port_of(site.peer)
    site.client.pings(victim)
    true = site.world.port_of(site.server)["mac_address"]

    def known(address: str) -> str:
        return site.client.sh(f"ip neigh show {address}")

    eventually(lambda: true in known(victim), what="the victim's MAC")
    site.peer.on_its_cards("python3", "-c", SEND_ARP.format(mac=own["mac_address"], address=victim))
    assert true in known(victim)
    with port_with(site, site.peer, "--disable-port-security --no-security-group", restore(site)):
        settle(site)
        site.peer.on_its_cards("python3", "-c", SEND_ARP.format(mac=own["mac_address"], address=victim))
        eventually(lambda: own["mac_address"] in known(victim), what="what port security prevents")
    site.client.run("ip", "neigh", "flush", "dev", "eth0")


def restore(site) -> str:
    return f"set --enable-port-security --security-group {site.opened}"


def test_no_instance_serves_dhcp(world, site):
    plain = world.network("plain", "10.62.9.0/24 --no-dhcp")["id"]
    options = f"--network {plain} --security-group {site.opened}"
    rogue, asking = (world.boot(options, name) for name in ("rogue", "asking"))
    for guest in (rogue, asking):
        eventually(lambda guest=guest: running(guest), what=f"{guest.name} running")
    rogue.sh(
        "ip addr add 10.62.9.66/24 dev eth0; mkdir -p /var/lib/misc; : > /var/lib/misc/udhcpd.leases;"
        "printf 'start 10.62.9.100\\nend 10.62.9.109\\ninterface eth0\\n' > /tmp/udhcpd.conf; udhcpd /tmp/udhcpd.conf"
    )
    ask = ("udhcpc", "-i", "eth0", "-n", "-q", "-t", "2", "-T", "1", "-s", "/bin/true")
    assert not asking.succeeds(*ask)
    with port_with(site, rogue, "--disable-port-security --no-security-group", restore(site)):
        eventually(lambda: asking.succeeds(*ask), what="what port security prevents")


def running(guest: Guest) -> bool:
    try:
        return guest.process > 0 and guest.succeeds("ip", "link", "show", "eth0")
    except FileNotFoundError:
        return False


def test_the_host_itself_is_not_reached_past_the_switch(site, driver):
    """The userspace switch reads frames that the kernel would take for the host's own, too; so does a Linux bridge."""
    machine, address = site.world.machine, "10.62.1.250"
    first = ("tap" if driver == "openvswitch" else "qbr") + site.world.port_of(site.peer)["id"][:11]
    machine.run("ip", "address", "add", f"{address}/32", "dev", "lo")
    try:
        assert not site.peer.pings(address)
        mac = machine.run("cat", f"/sys/class/net/{first}/address").stdout.strip()
        site.peer.on_its_cards("ip", "neigh", "replace", address, "lladdr", mac, "dev", "eth0")
        assert not site.peer.pings(address)
        site.peer.on_its_cards("ip", "neigh", "del", address, "dev", "eth0")
    finally:
        machine.run("ip", "address", "del", f"{address}/32", "dev", "lo")
