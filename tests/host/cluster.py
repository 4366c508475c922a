"""Several hosts on one machine: an Open vSwitch each, in namespaces that a bridge joins, brought to planned states."""

import socket
import threading
from contextlib import ExitStack
from typing import Self

from netloom.feed.fragments import Port
from netloom.host.host import Host
from netloom.host.layout import Layout
from netloom.host.namespaces import inside
from netloom.host.vswitch import daemon_pid
from netloom.plan import Intent, plan
from netloom.state import HostState
from tests.host.netlab import Lab
from tests.host.sandbox import run
from tests.host.switch import Switch
from tests.unit.plan.hosts_world import Hosts, address_of

WIRES = {"br-phy": 1500, "br-eth1": 1500, "br-ex": 1500}
"""Bridges that an operator made, one for the tunnels and one for each physical network."""
GREETING = b"netloom" * 100_000


class Node:
    """One host."""

    def __init__(self, cluster: "Cluster", name: str) -> None:
        lab = cluster.lab
        self.name, self.namespace = name, lab.namespace(f"nl-{lab.id}-{name}")
        # A wire's own end must not answer for the address of its bridge.
        settings = ("net.ipv4.conf.all.arp_ignore=1", "net.ipv6.conf.all.disable_ipv6=1")
        lab.run(self.namespace, "sysctl", "-qw", *settings, "net.ipv6.conf.default.disable_ipv6=1")
        home = lab.folder / name
        self.switch = Switch(home, self.namespace)
        cluster.undo.callback(self.switch.close)
        for bridge in WIRES:
            wire = f"u-{bridge}"
            lab.link(cluster.segment, f"{name}-{bridge}"[-15:], self.namespace, wire)
            lab.ip("-n", cluster.segment, "link", "set", f"{name}-{bridge}"[-15:], "master", f"s-{bridge}")
            kind = ("--", "set", "bridge", bridge, "datapath_type=netdev")
            self.switch.vsctl("add-br", bridge, *kind, "--", "add-port", bridge, wire)
            self.switch.ip("link", "set", bridge, "up")
        self.switch.ip("address", "add", f"{address_of(name)}/24", "dev", "br-phy")
        self.layout = layout = Layout(
            home / "state", home / "agent", self.switch.vswitch.connection, self.switch.vswitch.rundir
        )
        layout.state_dir.mkdir()
        layout.run_dir.mkdir()
        with inside(self.namespace):
            self.host = Host(layout)
        cluster.undo.callback(self._leave)

    def _leave(self) -> None:
        with inside(self.namespace):
            self.host.apply(HostState())
        self.host.close()

    def plan(self, hosts: Hosts) -> HostState:
        """What it must look like."""
        world = hosts.worlds[self.name]
        with inside(self.namespace):
            return plan(Intent(world.fragments), self.host.facts(), world.settings)

    def apply(self, hosts: Hosts) -> HostState:
        """Bring it to its plan."""
        desired = self.plan(hosts)
        with inside(self.namespace):
            failures = self.host.apply(desired)
        assert failures == []
        return desired

    def arrived(self, port: str) -> int:
        """Packets that a port of br-tun has received; the datapath's own counts are fetched first."""
        self.appctl("revalidator/purge")
        text = self.switch.ofctl("dump-ports", "br-tun", port)
        return int(text.partition("rx pkts=")[2].partition(",")[0])

    def appctl(self, command: str) -> str:
        """``ovs-appctl COMMAND`` of the switch daemon."""
        rundir = self.switch.vswitch.rundir
        control = rundir / f"ovs-vswitchd.{daemon_pid(rundir / 'ovs-vswitchd.pid')}.ctl"
        return run("ovs-appctl", "-t", str(control), command)


class Guest:
    """A namespace with cards in some networks, each plugged into the br-int of its host."""

    def __init__(self, cluster: "Cluster", node: Node, name: str) -> None:
        self.lab, self.node = cluster.lab, node
        self.namespace = self.lab.namespace(f"nl-{self.lab.id}-{name}")
        self.lab.run(self.namespace, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")

    def plug(self, port: Port, card: str, mtu: int, bridge: str = "br-int") -> None:
        """A card with the addresses of a port in a bridge, which is made when it is not there, as os-vif does it."""
        tap = f"tap{port.id[:11]}"
        self.lab.link(self.node.namespace, tap, self.namespace, card, mac=port.mac)
        self.lab.run(self.namespace, "ethtool", "-K", card, "tx", "off")
        for namespace, device in ((self.node.namespace, tap), (self.namespace, card)):
            self.lab.ip("-n", namespace, "link", "set", device, "mtu", str(mtu))
        if any(":" in fixed.address for fixed in port.fixed_ips):
            self.lab.run(self.namespace, "sysctl", "-qw", f"net.ipv6.conf.{card}.disable_ipv6=0")
        for fixed in port.fixed_ips:
            self.lab.address(self.namespace, card, f"{fixed.address}/{64 if ':' in fixed.address else 24}")
        self.connect(port, bridge)

    def connect(self, port: Port, bridge: str = "br-int") -> None:
        """Put its card into a bridge."""
        tap = f"tap{port.id[:11]}"
        ids = f"external_ids:iface-id={port.id}", f"external_ids:attached-mac={port.mac}"
        there = ("--may-exist", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev")
        self.node.switch.vsctl(*there, "--", "add-port", bridge, tap, "--", "set", "interface", tap, *ids)

    def pings(self, address: str, *options: str) -> bool:
        """Whether one packet, and no other, is answered within a second."""
        return "1 received" in self.lab.run(self.namespace, "ping", "-c1", "-W1", *options, address, check=False)

    def greets(self, other: "Guest", address: str) -> bool:
        """Whether a TCP connection carries much to another guest, whole."""
        with inside(other.namespace):
            server = socket.create_server((address, 0))
        heard: list[bytes] = []
        listener = threading.Thread(target=_hear, args=(server, heard))
        with server:
            server.settimeout(20)
            listener.start()
            with inside(self.namespace):
                client = socket.create_connection(server.getsockname(), 10)
            with client:
                client.sendall(GREETING)
            listener.join(20)
        return b"".join(heard) == GREETING


def _hear(server: socket.socket, heard: list[bytes]) -> None:
    connection, _ = server.accept()
    with connection:
        connection.settimeout(20)
        while part := connection.recv(1 << 16):
            heard.append(part)


class Cluster:
    """Hosts by name, and what joins them."""

    def __init__(self) -> None:
        self.undo = ExitStack()
        self.lab = Lab()
        self.undo.callback(self.lab.close)
        self.nodes: dict[str, Node] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.undo.close()

    def build(self, *names: str) -> None:
        """Make hosts that share a segment for each bridge of ``WIRES``."""
        self.segment = self.lab.namespace(f"nl-{self.lab.id}-wires")
        self.lab.run(self.segment, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        for bridge, mtu in WIRES.items():
            self.lab.ip("-n", self.segment, "link", "add", f"s-{bridge}", "mtu", str(mtu), "up", "type", "bridge")
        for name in names:
            self.nodes[name] = Node(self, name)
