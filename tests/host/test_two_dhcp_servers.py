"""Two planned DHCP servers of one network: who asks gets the same from both, and does not miss the one that is gone."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from netloom.feed.fragments import DhcpNetwork, DhcpServer, FixedIp, Network, Port, Subnet
from netloom.plan import dhcp, metadata
from netloom.plan.intent import Intent
from netloom.plan.settings import PlanSettings
from netloom.state import Address, Daemon, Facts, HostState, Sysctl, Veth
from tests.host.netlab import Lab, eventually, only, root

pytestmark = pytest.mark.skipif(not root(), reason="needs root")

CLIENT, STRANGER, LATE = "fa:16:3e:00:00:05", "fa:16:3e:00:00:06", "fa:16:3e:00:00:07"
ASK4 = """
import random, socket, struct, sys
mac, kind, ciaddr, *options = sys.argv[1:]
names = {2: "offer", 5: "ack", 6: "refusal"}
asked = bytes([53, 1, int(kind)])
for option in options:
    code, _, address = option.partition("=")
    asked += bytes([int(code), 4]) + socket.inet_aton(address)
id = random.randbytes(4)
request = bytes([1, 1, 6, 0]) + id + struct.pack("!HH", 0, 0x8000) + socket.inet_aton(ciaddr) + bytes(12)
request += bytes.fromhex(mac.replace(":", "")) + bytes(202) + bytes.fromhex("63825363") + asked + bytes([255])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    s.bind(("", 68))
    s.settimeout(0.4)
    s.sendto(request, ("255.255.255.255", 67))
    try:
        while answer := s.recv(2000):
            told, rest = {}, answer[240:]
            while rest[0] != 255:
                told[rest[0]], rest = rest[2 : 2 + rest[1]], rest[2 + rest[1] :]
            if answer[4:8] == id:
                server = socket.inet_ntoa(told.pop(54))
                kind = names[told.pop(53)[0]]
                told = {code: told[code].hex() for code in (6, 26, 51, 121) if code in told}
                print(kind, server, socket.inet_ntoa(answer[16:20]), told)
    except TimeoutError:
        pass
"""
REBIND6 = """
import socket, struct
def option(code, value): return struct.pack("!HH", code, len(value)) + value
address = socket.inet_pton(socket.AF_INET6, "2001:db8::5")
request = bytes([6, 1, 2, 3]) + option(1, bytes([0, 3, 0, 1]) + bytes.fromhex("fa163e000005")) + option(8, bytes(2))
request += option(3, bytes([0, 0, 0, 1]) + bytes(8) + option(5, address + bytes(8)))
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
    s.bind(("::", 546))
    s.settimeout(1)
    s.sendto(request, ("ff02::1:2", 547, 0, socket.if_nametoindex("eth0")))
    answer = s.recv(2000)
at = answer.index(option(5, address + bytes(8))[:20])
print(answer[0], struct.unpack("!II", answer[at + 20 : at + 28])[1] > 0)
"""
SUBNETS = tuple(
    Subnet(
        id=id,
        cidr=cidr,
        ip_version=version,
        gateway="",
        enable_dhcp=True,
        dns_nameservers=(),
        host_routes=(),
        ra_mode=mode,
        address_mode=mode,
        pools=(),
    )
    for id, cidr, version, mode in (("s4", "10.0.0.0/24", 4, ""), ("s6", "2001:db8::/64", 6, "dhcpv6-stateful"))
)


def port(id: str, mac: str, number: int, owner: str = "compute:nova", host: str = "host1") -> Port:
    fixed = (FixedIp("s4", f"10.0.0.{number}"), FixedIp("s6", f"2001:db8::{number}"))
    return Port(id, "n", mac, "demo", "i", owner, host, True, True, fixed, (), (), ())


@dataclass
class Server:
    """A host that serves the network, with a folder and a namespace of its own."""

    lab: Lab
    host: str
    namespace: str
    ports: list[Port]
    process: subprocess.Popen[bytes] | None = None

    def plan(self) -> HostState:
        network = Network("n", "demo", 1400, "local", "", 0, True, False, SUBNETS)
        servers = tuple(DhcpServer(host, f"dhcp{number}") for number, host in ((2, "host1"), (3, "host2")))
        fragments = [network, DhcpNetwork("n", servers, ("s4", "s6")), *self.ports]
        intent = Intent({fragment.name: fragment for fragment in fragments})
        settings = PlanSettings(host=self.host)
        state = HostState(dhcp.plan(intent, Facts(), settings, {"n": 1}))
        state.update(e for e in metadata.plan(intent, Facts(), settings, {}) if isinstance(e, Address | Sysctl))
        return state

    def start(self) -> None:
        state = self.plan()
        here = HostState(e for e in state if not isinstance(e, Sysctl))
        here.update(replace(sysctl, namespace=self.namespace) for sysctl in state.of(Sysctl).values())
        self.lab.write(here)
        self.process = self.lab.start(replace(only(state, Daemon), namespace=self.namespace))
        log = self.lab.output(only(state, Daemon))
        eventually(lambda: "read" in log.read_text() and "/host" in log.read_text(), "the server is up")

    def stop(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait(10)


class Cloud:
    """Two servers and a client on one segment; the second server has not heard of the last port yet."""

    def __init__(self, lab: Lab, other: Lab) -> None:
        self.lab = lab
        servers = [
            port("dhcp2", "fa:16:3e:00:00:02", 2, "network:dhcp"),
            port("dhcp3", "fa:16:3e:00:00:03", 3, "network:dhcp", "host2"),
        ]
        known = [*servers, port("vm", CLIENT, 5)]
        segment = lab.namespace(f"nl-{lab.id}-segment")
        lab.ip("-n", segment, "link", "add", "segment", "up", "type", "bridge")
        self.client = lab.namespace(f"nl-{lab.id}-client")
        first = Server(lab, "host1", lab.namespace(f"nl-{lab.id}-first"), [*known, port("late", LATE, 7)])
        second = Server(other, "host2", lab.namespace(f"nl-{lab.id}-second"), known)
        self.servers = (first, second)
        for number, server in enumerate(self.servers):
            device = only(server.plan(), Veth).name
            lab.link(segment, f"p{number}", server.namespace, device)
            server.start()
            for address in server.plan().of(Address).values():
                lab.address(server.namespace, device, address.cidr)
        lab.link(segment, "pc", self.client, "eth0", mac=CLIENT)
        for device in ("p0", "p1", "pc"):
            lab.ip("-n", segment, "link", "set", device, "master", "segment")
        lab.run(self.client, "ethtool", "-K", "eth0", "tx", "off")

    def ask(self, mac: str, kind: int, *options: str, having: str = "0.0.0.0") -> list[str]:
        """Answers to a broadcast message, sorted."""
        return sorted(self.lab.python(self.client, ASK4, mac, str(kind), having, *options).splitlines())


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    lab, other = Lab(), Lab()
    try:
        yield Cloud(lab, other)
    finally:
        lab.close()
        other.close()


def test_two_servers_answer_as_one(cloud: Cloud) -> None:
    offers = cloud.ask(CLIENT, 1)
    assert [offer.split()[:3] for offer in offers] == [["offer", f"10.0.0.{n}", "10.0.0.5"] for n in (2, 3)]
    assert len({offer.partition("{")[2] for offer in offers}) == 1
    assert "20a9fea9fe00000000" in offers[0]  # metadata is on the link
    # Who takes the offer of one is not refused by the other, also when only that one knows it.
    assert [answer.split()[:2] for answer in cloud.ask(CLIENT, 3, "54=10.0.0.2", "50=10.0.0.5")] == [
        ["ack", "10.0.0.2"]
    ]
    assert [answer.split()[:3] for answer in cloud.ask(LATE, 1)] == [["offer", "10.0.0.2", "10.0.0.7"]]
    assert [answer.split()[:2] for answer in cloud.ask(LATE, 3, "54=10.0.0.2", "50=10.0.0.7")] == [["ack", "10.0.0.2"]]
    assert [answer.split()[:2] for answer in cloud.ask(LATE, 3, "50=10.0.0.7")] == [["ack", "10.0.0.2"]]
    assert cloud.ask(STRANGER, 1) == []
    for server in cloud.servers:
        assert "dadfailed" not in cloud.lab.ip("-6", "-n", server.namespace, "address")

    # The one that gave the lease is gone: the other, which never gave it, confirms it.
    cloud.servers[0].stop()
    cloud.lab.address(cloud.client, "eth0", "10.0.0.5/24")
    (renewed,) = cloud.ask(CLIENT, 3, having="10.0.0.5")
    assert renewed.startswith("ack 10.0.0.3 10.0.0.5")
    assert renewed.partition("{")[2] == offers[1].partition("{")[2]
    eventually(lambda: cloud.lab.python(cloud.client, REBIND6) == "7 True\n", "the IPv6 address is confirmed", 5)


@pytest.mark.parametrize("service", [metadata.ADDRESS4, f"{metadata.ADDRESS6}%eth0"])
def test_either_server_answers_for_metadata(cloud: Cloud, service: str) -> None:
    lab, client = cloud.lab, cloud.client
    lab.address(client, "eth0", "10.0.0.5/24")
    lab.ip("-n", client, "route", "add", metadata.ADDRESS4, "dev", "eth0")
    for name, value in (("delay_first_probe_time", "1"), ("base_reachable_time_ms", "500"), ("retrans_time_ms", "100")):
        family = "ipv6" if ":" in service else "ipv4"
        lab.run(client, "sysctl", "-qw", f"net.{family}.neigh.eth0.{name}={value}")

    def answered() -> bool:
        return "1 received" in lab.run(client, "ping", "-c1", "-W1", service, check=False)

    for down in (0, 1):
        eventually(answered, "both answer")
        segment = f"nl-{lab.id}-segment"
        lab.ip("-n", segment, "link", "set", f"p{down}", "down")
        eventually(answered, "the other one answers", 15)
        lab.ip("-n", segment, "link", "set", f"p{down}", "up")
