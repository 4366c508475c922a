"""A small model of connection tracking: enough to say which flows a packet of a connection meets."""

from collections.abc import Hashable
from dataclasses import dataclass, field

from netloom.plan.packet import ANSWERS, CT_STATES, Packet

OPENING_ICMP = {(1, 8), (1, 13), (58, 128)}
"""(protocol, type) of requests: other ICMP belongs to a connection or is invalid."""


@dataclass(slots=True)
class Connection:
    """What is known of one connection."""

    mark: int = 0
    replied: bool = False


@dataclass(slots=True)
class Connections:
    """The connection table; keep it over several packets, and over changes of the plan."""

    entries: dict[Hashable, Connection] = field(default_factory=dict)

    def look(self, packet: Packet, zone: int) -> tuple[int, int]:
        """(ct_state, ct_mark) of a packet in a zone; a reply is noted."""
        subject, related = (packet.error_for, True) if packet.error_for else (packet, False)
        forward, backward = self._find(subject, zone)
        found = forward or backward
        state = CT_STATES["trk"]
        if found is None:
            opens = not packet.is_icmp or (packet.protocol, packet.sport) in OPENING_ICMP
            return state | CT_STATES["new" if opens and not related else "inv"], 0
        # An error answers the packet that it quotes.
        reply = (backward if not related else forward) is not None
        if related:
            state |= CT_STATES["rel"]
        else:
            found.replied |= reply
            state |= CT_STATES["est" if found.replied else "new"]
        return state | (CT_STATES["rpl"] if reply else 0), found.mark

    def commit(self, packet: Packet, zone: int, mark: int | None) -> None:
        """Remember the packet's connection; set its mark when one is given."""
        forward, backward = self._find(packet, zone)
        found = forward or backward or self.entries.setdefault(_tuple(packet, zone), Connection())
        if mark is not None:
            found.mark = mark

    def _find(self, packet: Packet, zone: int) -> tuple[Connection | None, Connection | None]:
        forward = self.entries.get(_tuple(packet, zone))
        answerable = not packet.is_icmp or (packet.protocol, packet.sport) in ANSWERS
        backward = self.entries.get(_tuple(packet.reply(), zone)) if answerable and not forward else None
        return forward, backward


def _tuple(packet: Packet, zone: int) -> Hashable:
    return zone, packet.protocol, packet.src, packet.dst, packet.sport, packet.dport
