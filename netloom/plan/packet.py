"""Packets and the matches of flows, as numbers: what a flow table in Python compares."""

import ipaddress
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

IPV4, ARP, IPV6 = 0x0800, 0x0806, 0x86DD
TAGGED = 0x1000
"""Bit of ``vlan_tci`` that says that there is a tag."""
CT_STATES = {"new": 1, "est": 2, "rel": 4, "rpl": 8, "inv": 16, "trk": 32}
ANSWERS = {(1, 8): 0, (1, 0): 8, (1, 13): 14, (1, 14): 13, (58, 128): 129, (58, 129): 128}
"""Types of ICMP that belong together, echo and timestamp: the other one by (protocol, type)."""
SHORTHANDS = {
    "arp": (ARP, None),
    "ip": (IPV4, None),
    "ipv6": (IPV6, None),
    "icmp": (IPV4, 1),
    "tcp": (IPV4, 6),
    "udp": (IPV4, 17),
    "sctp": (IPV4, 132),
    "tcp6": (IPV6, 6),
    "udp6": (IPV6, 17),
    "icmp6": (IPV6, 58),
    "sctp6": (IPV6, 132),
}
MACS = {"dl_src", "dl_dst", "arp_sha", "arp_tha", "nd_sll", "nd_tll"}
ADDRESSES = {"nw_src", "nw_dst", "ipv6_src", "ipv6_dst", "arp_spa", "arp_tpa", "nd_target"}
ENDS = {ARP: ("arp_spa", "arp_tpa"), IPV4: ("nw_src", "nw_dst"), IPV6: ("ipv6_src", "ipv6_dst")}
"""Fields of source and destination by ethertype."""
LINK_LAYER = {135: "nd_sll", 136: "nd_tll"}
"""Field of the MAC that a neighbour solicitation, or an advertisement, tells; by type."""
_STATE = re.compile(r"([+-])(\w+)")

Fields = dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """A frame with what is inside. Addresses are texts; an ARP's are in ``src`` and ``dst``, too."""

    dl_src: str
    dl_dst: str
    src: str
    dst: str
    protocol: int | None = None
    """IANA number; None for ARP."""
    sport: int = 0
    """Source port; ICMP type."""
    dport: int = 0
    """Destination port; ICMP code."""
    target: str = ""
    """Target of a neighbour solicitation or advertisement."""
    operation: int = 1
    """Of an ARP: 1 asks, 2 answers."""
    told: str = ""
    """MAC that an ARP, a solicitation or an advertisement tells; empty: the frame's source."""
    vlan: int | None = None
    tun_id: int = 0
    error_for: "Packet | None" = None
    """The packet that an ICMP error quotes."""

    @property
    def ethertype(self) -> int:
        return ARP if self.protocol is None else IPV6 if ":" in self.src else IPV4

    @property
    def is_icmp(self) -> bool:
        return self.protocol in (1, 58)

    def reply(self) -> "Packet":
        """The answer to it: ends swapped, an echo request's reply."""
        sport, dport = self.dport, self.sport
        if self.protocol is not None and self.is_icmp:
            sport, dport = ANSWERS[self.protocol, self.sport], self.dport
        ends = {"dl_src": self.dl_dst, "dl_dst": self.dl_src, "src": self.dst, "dst": self.src}
        return replace(self, **ends, sport=sport, dport=dport)  # type: ignore[arg-type]  # ends are texts

    def fields(self) -> Fields:
        """Its fields by ovs-ofctl's names."""
        found = {"dl_src": mac(self.dl_src), "dl_dst": mac(self.dl_dst), "dl_type": self.ethertype}
        found |= {"vlan_tci": 0 if self.vlan is None else TAGGED | self.vlan, "tun_id": self.tun_id}
        source, destination = ENDS[self.ethertype]
        found |= {source: _address(self.src), destination: _address(self.dst)}
        if self.protocol is not None:
            ports = ("icmp_type", "icmp_code") if self.is_icmp else ("tp_src", "tp_dst")
            found |= {"nw_proto": self.protocol, ports[0]: self.sport, ports[1]: self.dport}
        if self.protocol is None:
            found |= {"arp_op": self.operation, "arp_sha": mac(self.told or self.dl_src), "arp_tha": 0}
        if self.target:
            found |= {"nd_target": _address(self.target), LINK_LAYER[self.sport]: mac(self.told or self.dl_src)}
        return found

    def changed(self, fields: Fields) -> "Packet":
        """It, as flows have made it."""
        address = ipaddress.IPv6Address if self.ethertype == IPV6 else ipaddress.IPv4Address
        source, destination = ENDS[self.ethertype]
        kind = fields["icmp_type"] if self.is_icmp else self.sport
        teller = "arp_sha" if self.protocol is None else LINK_LAYER[kind] if self.target else ""
        return replace(
            self,
            dl_src=mac_text(fields["dl_src"]),
            dl_dst=mac_text(fields["dl_dst"]),
            vlan=fields["vlan_tci"] & 0xFFF if fields["vlan_tci"] & TAGGED else None,
            tun_id=fields["tun_id"],
            src=str(address(fields[source])),
            dst=str(address(fields[destination])),
            sport=kind,
            operation=fields.get("arp_op", self.operation),
            told=mac_text(fields[teller]) if teller else "",
        )

    def trace_text(self) -> str:
        """As ``ovs-appctl ofproto/trace`` reads it, without its port."""
        names = {code: name for name, code in SHORTHANDS.items()}
        words = [names.get((self.ethertype, self.protocol), "")]
        if not words[0]:
            words = [names[self.ethertype, None], f"nw_proto={self.protocol}"]
        words += [f"dl_src={self.dl_src}", f"dl_dst={self.dl_dst}"]
        words += [f"dl_vlan={self.vlan}"] if self.vlan is not None else []
        words += [f"tun_id={self.tun_id:#x}"] if self.tun_id else []
        ends = zip(ENDS[self.ethertype], (self.src, self.dst), strict=True)
        words += [f"{name}={value}" for name, value in ends]
        words += [f"arp_op={self.operation},arp_sha={self.told or self.dl_src}"] if self.protocol is None else []
        if self.is_icmp:
            kind = "icmp" if self.protocol == 1 else "icmpv6"
            words += [f"{kind}_type={self.sport}", f"{kind}_code={self.dport}"]
        elif self.protocol in (6, 17, 132):
            kind = {6: "tcp", 17: "udp", 132: "sctp"}[self.protocol]
            words += [f"{kind}_src={self.sport}", f"{kind}_dst={self.dport}"]
        if self.target:
            words += [f"nd_target={self.target},{LINK_LAYER[self.sport]}={self.told or self.dl_src}"]
        return ",".join(words)


class Condition(NamedTuple):
    """A field's bits under ``mask`` must be those of ``value``; a field that is not there never matches."""

    field: str
    value: int
    mask: int


class Match(NamedTuple):
    """A flow's match, taken apart."""

    in_port: str
    conditions: tuple[Condition, ...]

    def meets(self, in_port: str, fields: Fields) -> bool:
        """Whether a packet with these fields meets it."""
        if self.in_port and self.in_port != in_port:
            return False
        for field, value, mask in self.conditions:
            found = fields.get(field)
            if found is None or found & mask != value:
                return False
        return True


@lru_cache(maxsize=100_000)
def parse(text: str) -> Match:
    """A match as flows write it.

    Raises:
        ValueError: a word that the planners do not use.
    """
    in_port, conditions = "", []
    for word in filter(None, text.split(",")):
        name, _, value = word.partition("=")
        if name in SHORTHANDS and not value:
            ethertype, protocol = SHORTHANDS[name]
            conditions.append(Condition("dl_type", ethertype, 0xFFFF))
            conditions += [Condition("nw_proto", protocol, 0xFF)] if protocol is not None else []
        elif name == "in_port":
            in_port = value
        elif name == "dl_vlan":
            conditions.append(Condition("vlan_tci", TAGGED | int(value), TAGGED | 0xFFF))
        elif name == "ct_state":
            signs = [(sign, CT_STATES[state]) for sign, state in _STATE.findall(value)]
            wanted, mask = sum(bit for sign, bit in signs if sign == "+"), sum(bit for _, bit in signs)
            conditions.append(Condition(name, wanted, mask))
        else:
            conditions.append(_masked(name, value))
    return Match(in_port, tuple(conditions))


def mac(text: str) -> int:
    """A MAC address as a number."""
    return int(text.replace(":", ""), 16)


def mac_text(number: int) -> str:
    """A number as a MAC address."""
    digits = f"{number:012x}"
    return ":".join(digits[start : start + 2] for start in range(0, 12, 2))


def _masked(name: str, text: str) -> Condition:
    value, slash, mask = text.partition("/")
    if name in ADDRESSES:
        network = ipaddress.ip_network(text, strict=False)
        return Condition(name, int(network.network_address), int(network.netmask))
    bits = value_of(name, mask) if slash else (1 << 128) - 1
    return Condition(name, value_of(name, value) & bits, bits)


def value_of(name: str, text: str) -> int:
    """The number that a text stands for as the value of a field."""
    return mac(text) if name in MACS else _address(text) if name in ADDRESSES else int(text, 0)


def _address(text: str) -> int:
    return int(ipaddress.ip_address(text))
