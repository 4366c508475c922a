"""DHCP and router advertisements as planned, with the real dnsmasq and radvd and real clients."""

import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest

from netloom.feed.fragments import (
    DhcpNetwork,
    DhcpOption,
    DhcpServer,
    FixedIp,
    Fragment,
    HostRoute,
    Network,
    Port,
    Router,
    RouterPort,
    Subnet,
)
from netloom.host.layout import Layout
from netloom.host.leases import Leases
from netloom.plan import advertise, dhcp
from netloom.plan.intent import Intent
from netloom.plan.settings import PlanSettings
from netloom.state import Address, Daemon, Facts, HostState, Veth
from tests.host.netlab import Lab, eventually, only, root

pytestmark = pytest.mark.skipif(not root(), reason="needs root")

SETTINGS = PlanSettings(host="host1")
SERVER_MAC, CLIENT_MAC, OTHER_MAC = "fa:16:3e:00:00:02", "fa:16:3e:00:00:05", "fa:16:3e:00:00:06"
SHOW = """#!/bin/sh
[ "$1" = bound ] && env | sort
exit 0
"""
SOLICIT = """
import random, socket, struct, sys
mac = bytes.fromhex(sys.argv[1].replace(":", ""))
def option(code, value): return struct.pack("!HH", code, len(value)) + value
request = bytes([1]) + random.randbytes(3) + option(1, bytes([0, 3, 0, 1]) + mac) + option(8, bytes(2))
request += option(3, bytes([0, 0, 0, 1]) + bytes(8)) + option(6, struct.pack("!HH", 23, 24))
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
    s.bind(("::", 546))
    s.settimeout(1)
    s.sendto(request, ("ff02::1:2", 547, 0, socket.if_nametoindex("eth0")))
    answer = s.recv(2000)
print(answer[0])
rest = answer[4:]
while rest:
    code, size = struct.unpack("!HH", rest[:4])
    value, rest = rest[4:4 + size], rest[4 + size:]
    if code == 3 and len(value) >= 32: print("address", socket.inet_ntop(socket.AF_INET6, value[16:32]))
    if code == 23: print("dns", socket.inet_ntop(socket.AF_INET6, value[:16]))
"""


def subnet(id: str, cidr: str, gateway: str, mode: str = "", **more: object) -> Subnet:
    plain = Subnet(
        id=id,
        cidr=cidr,
        ip_version=6 if ":" in cidr else 4,
        gateway=gateway,
        enable_dhcp=True,
        dns_nameservers=(),
        host_routes=(),
        ra_mode=mode,
        address_mode=mode,
        pools=(),
    )
    return msgspec.structs.replace(plain, **more)


SUBNET4 = subnet(
    "s4",
    "10.0.0.0/24",
    "10.0.0.1",
    dns_nameservers=("8.8.8.8",),
    host_routes=(HostRoute(destination="10.9.0.0/16", nexthop="10.0.0.9"),),
)
SUBNET6 = subnet("s6", "2001:db8::/64", "2001:db8::1", "dhcpv6-stateful", dns_nameservers=("2001:db8::53",))


def port(id: str, network: str, mac: str, *addresses: str, owner: str = "compute:nova") -> Port:
    return Port(
        id=id,
        network_id=network,
        mac=mac,
        project_id="demo",
        device_id="i",
        device_owner=owner,
        host="host1",
        admin_state_up=True,
        port_security=True,
        fixed_ips=tuple(FixedIp(subnet_id="s6" if ":" in a else "s4", address=a) for a in addresses),
        address_pairs=(),
        security_groups=(),
        dhcp_options=(),
    )


class Served:
    """A network with its server's namespace, and a client in another."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.id = f"{lab.id}-net"
        self.network = Network(
            id=self.id,
            project_id="demo",
            mtu=1400,
            network_type="local",
            physical_network="",
            segmentation_id=0,
            admin_state_up=True,
            external=False,
            subnets=(SUBNET4, SUBNET6),
        )
        self.server = port(f"{self.id}-dhcp", self.id, SERVER_MAC, "10.0.0.2", "2001:db8::2", owner="network:dhcp")
        self.ports: list[Port] = []
        self.settings = SETTINGS
        self.namespace = lab.namespace(f"qdhcp-{self.id}")
        self.client = lab.namespace(f"nl-{self.id}-vm")
        device = only(self.plan(), Veth).name
        lab.link(self.namespace, device, self.client, "eth0", mac=CLIENT_MAC)
        for address in self.plan().of(Address).values():
            lab.address(self.namespace, address.device, address.cidr)
        lab.run(self.client, "ethtool", "-K", "eth0", "tx", "off")
        self.script = lab.folder / "show"
        self.script.write_text(SHOW)
        self.script.chmod(0o755)

    def plan(self) -> HostState:
        fragments: list[Fragment] = [self.network, self.server, *self.ports]
        fragments.append(
            DhcpNetwork(
                id=self.id,
                servers=(DhcpServer("host1", self.server.id),),
                isolated_subnets=("s4",),
                dns_domain="openstacklocal",
            )
        )
        intent = Intent({fragment.name: fragment for fragment in fragments})
        return HostState(dhcp.plan(intent, Facts(), self.settings, {self.id: 1}))

    def start(self) -> subprocess.Popen[bytes]:
        state = self.plan()
        self.lab.write(state)
        return self.lab.start(only(state, Daemon))

    def reload(self, server: subprocess.Popen[bytes]) -> None:
        self.lab.write(self.plan())
        server.send_signal(signal.SIGHUP)

    def lease(self, *more: str) -> dict[str, str]:
        """What a client is told, empty when nobody answers."""
        words = ("busybox", "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "2", "-T", "1", "-s", str(self.script))
        output = self.lab.run(self.client, *words, "-O", "staticroutes", "-O", "mtu", *more, check=False)
        return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.close()


@pytest.fixture
def served(lab: Lab) -> Served:
    return Served(lab)


def test_a_client_gets_its_address_and_the_options_of_its_subnet(served: Served) -> None:
    extra = DhcpOption(name="bootfile-name", value="pxelinux.0", ip_version=4)
    broken = DhcpOption(name="no-such-option", value="x", ip_version=4)
    client = port("vm", served.id, CLIENT_MAC, "10.0.0.5")
    served.ports = [msgspec.structs.replace(client, dhcp_options=(broken, extra))]
    served.start()
    eventually(lambda: bool(served.lease()), "a lease")
    told = served.lease("-O", "bootfile")
    assert (told["ip"], told["mask"], told["mtu"]) == ("10.0.0.5", "24", "1400")
    assert (told["router"], told["dns"], told["domain"]) == ("10.0.0.1", "8.8.8.8", "openstacklocal")
    assert told["staticroutes"] == "10.9.0.0/16 10.0.0.9 169.254.169.254/32 10.0.0.2 0.0.0.0/0 10.0.0.1"
    assert "pxelinux.0" in (told.get("bootfile"), told.get("boot_file"))


def test_the_operators_file_for_dnsmasq_has_the_last_word(served: Served) -> None:
    file = served.lab.folder / "dnsmasq-neutron.conf"
    file.write_text("dhcp-option-force=26,1350\ndhcp-option=option:ntp-server,192.0.2.123\n")
    served.settings = replace(SETTINGS, dnsmasq_config_file=str(file))
    served.ports = [port("vm", served.id, CLIENT_MAC, "10.0.0.5")]
    served.start()
    eventually(lambda: bool(served.lease()), "a lease")
    told = served.lease("-O", "ntpsrv")
    assert (told["ip"], told["mtu"], told["ntpsrv"]) == ("10.0.0.5", "1350", "192.0.2.123")


def test_a_port_is_served_after_a_reload_and_a_stranger_is_not(served: Served) -> None:
    served.ports = [port("other", served.id, OTHER_MAC, "10.0.0.6")]
    server = served.start()
    eventually(lambda: "DHCP" in served.lab.output(only(served.plan(), Daemon)).read_text(), "the server is up")
    assert served.lease() == {}
    served.ports.append(port("vm", served.id, CLIENT_MAC, "10.0.0.5"))
    served.reload(server)
    eventually(lambda: served.lease().get("ip") == "10.0.0.5", "a lease after the reload")
    assert server.poll() is None


def test_a_lease_outlives_the_server_and_its_memory(served: Served) -> None:
    served.ports = [port("vm", served.id, CLIENT_MAC, "10.0.0.5")]
    server = served.start()
    eventually(lambda: served.lease().get("ip") == "10.0.0.5", "a lease")
    leases = served.lab.folder / "dhcp" / served.id / "leases"
    assert CLIENT_MAC in leases.read_text()
    server.terminate()
    server.wait(10)
    served.start()
    eventually(lambda: served.lease("-r", "10.0.0.5").get("ip") == "10.0.0.5", "the same address after a restart")
    assert CLIENT_MAC in leases.read_text()


def test_an_address_goes_to_a_new_port_though_the_old_ones_lease_has_not_ended(served: Served) -> None:
    served.ports = [port("vm", served.id, OTHER_MAC, "10.0.0.5")]
    served.lab.ip("-n", served.client, "link", "set", "eth0", "address", OTHER_MAC)
    server = served.start()
    eventually(lambda: served.lease().get("ip") == "10.0.0.5", "a lease of the old port")
    folder = served.lab.folder
    leases = Leases(Layout(state_dir=folder, run_dir=folder, ovsdb="", ovs_rundir=folder))
    assert leases.release(served.plan()) == 0

    served.ports = [port("new", served.id, CLIENT_MAC, "10.0.0.5")]
    served.lab.ip("-n", served.client, "link", "set", "eth0", "address", CLIENT_MAC)
    served.reload(server)
    assert leases.release(served.plan()) == 1
    eventually(lambda: served.lease().get("ip") == "10.0.0.5", "a lease of the new port")
    assert leases.release(served.plan()) == 0


def test_a_client_gets_its_ipv6_address(served: Served) -> None:
    served.ports = [port("vm", served.id, CLIENT_MAC, "10.0.0.5", "2001:db8::5")]
    served.start()
    wanted = ["2", "address 2001:db8::5", "dns 2001:db8::53"]

    def told() -> list[str]:
        words = ("python3", "-c", SOLICIT, CLIENT_MAC)
        return sorted(served.lab.run(served.client, *words, check=False).splitlines())

    eventually(lambda: told() == wanted, "an advertisement of the planned address", 15)


@pytest.mark.parametrize("mode", ["slaac", "dhcpv6-stateful"])
def test_a_router_advertises_its_prefix(lab: Lab, mode: str) -> None:
    router = Router(
        id=f"{lab.id}-r",
        project_id="demo",
        admin_state_up=True,
        enable_snat=True,
        interfaces=(
            RouterPort(
                port_id="66666666-66",
                network_id="n",
                mac=SERVER_MAC,
                mtu=1400,
                addresses=("2001:db8::1/64",),
                subnets=("s6",),
            ),
        ),
        gateway=None,
        gateway_routes=(),
        floating_ips=(),
        routes=(),
    )
    network = Network(
        id="n",
        project_id="demo",
        mtu=1400,
        network_type="local",
        physical_network="",
        segmentation_id=0,
        admin_state_up=True,
        external=False,
        subnets=(msgspec.structs.replace(SUBNET6, ra_mode=mode),),
    )
    namespace, client = lab.namespace(f"qrouter-{router.id}"), lab.namespace(f"nl-{lab.id}-vm")
    lab.link(namespace, "qr-66666666-66", client, "eth0", mac=CLIENT_MAC)
    for words in (("down",), ("address", SERVER_MAC, "up")):  # its link-local address is made of its MAC
        lab.ip("-n", namespace, "link", "set", "qr-66666666-66", *words)
    lab.address(namespace, "qr-66666666-66", "2001:db8::1/64")
    lab.run(namespace, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    intent = Intent({fragment.name: fragment for fragment in (router, network)})
    settings = replace(SETTINGS, min_rtr_adv_interval=3, max_rtr_adv_interval=4)
    state = HostState(advertise.plan(intent, Facts(), settings, {}))
    lab.write(state)
    lab.start(only(state, Daemon))
    eventually(lambda: "default via fe80::" in lab.ip("-6", "-n", client, "route"), "a default route", 15)
    assert "mtu 1400" in lab.ip("-6", "-n", client, "route")
    made = "2001:db8::f816:3eff:fe00:5" in lab.ip("-6", "-n", client, "address")
    assert made == (mode == "slaac")
