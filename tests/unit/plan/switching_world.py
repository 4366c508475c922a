"""A small cloud on one host, said in few words: guests of networks, their groups, and what the planners make of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from netloom.feed.fragments import (
    AddressPair,
    AddressSet,
    FixedIp,
    Fragment,
    Network,
    Port,
    SecurityGroup,
    SecurityRule,
)
from netloom.plan import Intent, PlanSettings, matches, plan, plugs
from netloom.plan.conntrack import Connections
from netloom.plan.packet import Packet
from netloom.plan.simulate import Outcome, Switch
from netloom.state import Facts, HostState, Interface, SwitchPort

HOST = "host1"
SETTINGS = PlanSettings(
    host=HOST,
    bridge_mappings=(("public", "br-ex"), ("physnet", "br-eth1")),
    tunnel_types=("vxlan",),
    local_ip="192.0.2.1",
)
WIRE = "eth1"
OUTSIDE_MAC = "fa:16:3e:00:00:99"
ICMP, TCP, UDP, ICMP6, VRRP = 1, 6, 17, 58, 112
BROADCAST = "ff:ff:ff:ff:ff:ff"


def id_of(kind: int, number: int) -> str:
    """A UUID that is easy to tell from others."""
    return f"{kind:04x}{number:04x}-0000-4000-8000-{number:012x}"


def network(number: int = 1, kind: str = "vlan", segment: int | None = None) -> Network:
    """Network ``number``: VLAN 1000 + number on physnet, unless told otherwise."""
    return Network(
        id=id_of(0xAE, number),
        project_id="demo",
        mtu=1500,
        network_type=kind,
        physical_network={"vlan": "physnet", "flat": "public"}.get(kind, ""),
        segmentation_id=segment if segment is not None else 0 if kind == "flat" else 1000 + number,
        admin_state_up=True,
        external=False,
        subnets=(),
    )


def port(number: int, groups: Iterable[str] = (), **changes: object) -> Port:
    """Port ``number`` of network 1 with the addresses 10.0.0.NUMBER and 2001:db8::NUMBER, bound here."""
    base = Port(
        id=id_of(0xB0, number),
        network_id=network().id,
        mac=f"fa:16:3e:00:00:{number:02x}",
        project_id="demo",
        device_id=f"server{number}",
        device_owner="compute:nova",
        host=HOST,
        admin_state_up=True,
        port_security=True,
        fixed_ips=(FixedIp("four", f"10.0.0.{number}"), FixedIp("six", f"2001:db8::{number:x}")),
        address_pairs=(),
        security_groups=tuple(groups),
        dhcp_options=(),
    )
    fields = {name: getattr(base, name) for name in base.__struct_fields__}
    return Port(**(fields | changes))


def rule(
    direction: str = "ingress",
    version: int = 4,
    protocol: int = -1,
    first: int = -1,
    last: int = -1,
    *,
    prefix: str = "",
    remote: str = "",
) -> SecurityRule:
    """A rule; ``remote`` is the id of an address set."""
    return SecurityRule(direction, version, protocol, first, last, prefix, f"addresses/{remote}" if remote else "")


EGRESS_ALL = (rule("egress"), rule("egress", 6))


def group(number: int, *rules: SecurityRule, stateful: bool = True) -> SecurityGroup:
    """Security group ``number``."""
    return SecurityGroup(id=id_of(0x5E, number), stateful=stateful, rules=rules)


def pair(prefix: str, mac: str) -> AddressPair:
    """An allowed address pair."""
    return AddressPair(prefix, mac)


@dataclass
class World:
    """Fragments of one host, all of whose ports are plugged."""

    fragments: dict[str, Fragment] = field(default_factory=dict)
    settings: PlanSettings = SETTINGS
    connections: Connections = field(default_factory=Connections)
    vlans: dict[str, int] = field(default_factory=dict)

    def put(self, *fragments: Fragment) -> "World":
        """Add or replace fragments."""
        self.fragments |= {fragment.name: fragment for fragment in fragments}
        return self

    def members(self, id: str, *prefixes: str) -> "World":
        """What a remote set stands for from now on."""
        return self.put(AddressSet(id=id, prefixes=prefixes))

    @property
    def facts(self) -> Facts:
        ports = (f for f in self.fragments.values() if isinstance(f, Port) and f.device_owner.startswith("compute:"))
        return Facts({p.id: Interface(plugs.device(p.id, self.settings), p.id, p.mac) for p in ports}, self.vlans)

    def card(self, number: int) -> str:
        """Device by which guest ``number`` is in a switch: its tap, or what leads to its Linux bridge."""
        return plugs.device(id_of(0xB0, number), self.settings)

    def plan(self) -> HostState:
        """The plan, with a wire on br-eth1."""
        state = plan(Intent(self.fragments), self.facts, self.settings)
        state.add(SwitchPort(bridge="br-eth1", name=WIRE))
        return state

    def send(self, sender: int, packet: Packet) -> Outcome:
        """What becomes of a packet that guest ``sender`` puts into its NIC."""
        return Switch(self.plan(), self.connections).send(self.card(sender), packet)

    def receive(self, packet: Packet, segment: int = 1001) -> set[str]:
        """The guests that a packet from the wire reaches."""
        ports = Switch(self.plan(), self.connections).send(WIRE, replace(packet, vlan=segment)).ports
        return {port for port in ports if port.startswith("tap")}

    def passes(self, sender: int, packet: Packet, receiver: int) -> bool:
        """Whether a packet of one guest reaches another of this host, and nobody else."""
        ports = self.send(sender, packet).ports
        assert ports <= {self.card(receiver)}, ports
        return bool(ports)


def tap(number: int) -> str:
    """Device of guest ``number``."""
    return f"tap{id_of(0xB0, number)[:11]}"


def between(
    sender: int, receiver: int, protocol: int, dport: int = 0, *, six: bool = False, sport: int = 40000
) -> Packet:
    """A packet from one guest's first address to another's; for ICMP ``dport`` is the type."""
    a, b = port(sender), port(receiver)
    icmp = protocol in (ICMP, ICMP6)
    return Packet(
        dl_src=a.mac,
        dl_dst=b.mac,
        src=a.fixed_ips[six].address,
        dst=b.fixed_ips[six].address,
        protocol=protocol,
        sport=dport if icmp else sport,
        dport=0 if icmp else dport,
    )


def link_local(number: int) -> str:
    """The link-local address of a guest."""
    return matches.link_local(port(number).mac)
