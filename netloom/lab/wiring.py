"""How a layout is wired: names and MACs of devices, and the commands of ``ip -batch`` that make them.

The machine with the cables has a Linux bridge for each network, and the outer end of each host's link in it. Inside
the host the link is eth0, eth1, …; where Open vSwitch runs it is the port of a bridge, whose local port then has the
link's addresses, for Open vSwitch looks there for the way of its tunnels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from netloom.lab.layout import Address, Host, Layout, Network

OPEN, CLOSED = 3, 0
"""States of a bridge's port (IEEE 802.1D): forwarding, and disabled with the carrier on."""


@dataclass(frozen=True, slots=True)
class Device:
    """A host's end of a link."""

    name: str
    outer: str
    """The other end, in the machine with the cables."""
    mac: str
    network: Network
    addresses: tuple[Address, ...]
    bridge: str
    """Open vSwitch bridge that has it as a port; empty: it is the kernel's."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a host does when it starts, before its services."""

    name: str
    openvswitch: bool = False
    """Whether an Open vSwitch runs on it."""
    bridges: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Open vSwitch bridges, each with the device that is its port, and that one's MAC, which the bridge has too."""
    commands: str = ""
    """For ``ip -batch``, once the bridges are there."""
    plain: list[str] = field(default_factory=list)
    """Devices whose checksums must be computed before a packet leaves them: userspace switches pass them on as is."""
    names: dict[str, str] = field(default_factory=dict)
    """Names that this host answers for by DNS, and their addresses."""
    postgresql: bool = False
    """Whether it has the lab's database server."""


def devices(layout: Layout, host: Host) -> list[Device]:
    """The links of a host."""
    index = list(layout.hosts).index(host.name)
    return [
        Device(
            name=f"eth{number}",
            outer=f"{index}-eth{number}",
            mac=f"52:54:00:00:{index:02x}:{number:02x}",
            network=network,
            addresses=link.addresses,
            bridge=network.bridge if host.has_agent else "",
        )
        for number, link, network in layout.links(host)
    ]


def bridges(layout: Layout) -> str:
    """The commands that make the networks' bridges."""
    lines = []
    for network in layout.networks.values():
        lines.append(f"link add {network.name} mtu {network.mtu} type bridge stp_state 0 mcast_snooping 0")
        lines.append(f"link set {network.name} up")
    return _lines(lines)


def cables(layout: Layout, host: Host, pid: int) -> str:
    """The commands that plug in a host whose network is that of process ``pid``."""
    lines = []
    for device in devices(layout, host):
        mtu = device.network.mtu
        inner = f"name {device.name} mtu {mtu} address {device.mac} netns {pid}"
        lines.append(f"link add {device.outer} mtu {mtu} type veth peer {inner}")
        lines.append(f"link set {device.outer} alias {host.name}/{device.network.name}")
        lines.append(f"link set {device.outer} master {device.network.name} up")
    return _lines(lines)


def preparation(layout: Layout, host: Host) -> Preparation:
    """What a host does when it starts."""
    ends = devices(layout, host)
    return Preparation(
        name=host.name,
        openvswitch=host.has_agent,
        bridges={end.bridge: (end.name, end.mac) for end in ends if end.bridge},
        commands=_lines([*_addressing(ends), *(f"address replace {each} dev lo" for each in host.addresses)]),
        plain=sorted({name for end in ends for name in (end.name, end.bridge) if name}),
        names=dict(host.names),
        postgresql=layout.database == "postgresql" and host.name == layout.servers[0].name,
    )


def _addressing(ends: list[Device]) -> Iterator[str]:
    for end in ends:
        yield f"link set {end.name} up"
        holder = end.bridge or end.name
        if end.bridge and end.addresses:
            yield f"link set {end.bridge} up"
        for address in end.addresses:
            quick = " nodad" if address.version == 6 else ""
            yield f"address replace {address} dev {holder}{quick}"


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
