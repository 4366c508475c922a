"""Next hops of tunnels, asked for before a packet needs them.

Open vSwitch's userspace datapath drops what goes into a tunnel while it does not know the MAC of the next hop, and
whoever sent it waits a second until the next try. It overhears what the kernel asks and is answered by the bridge
that bears the tunnels' address; so the kernel is made to ask (rtnetlink(7), neighbours): about new tunnels at once,
and about all of them before Open vSwitch forgets (15 minutes without traffic), or after it has been started anew.
Then the others are told where our own end is: they may have asked in vain while we were away.
"""

import ipaddress
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

from netloom.host.announce import announce_here
from netloom.host.netlink import CREATE, REPLACE, Request, Socket, attribute, attributes
from netloom.state import HostState, SwitchPort

REFRESH_SECONDS = 300.0
_GETROUTE, _NEWROUTE, _NEWNEIGH, _GETNEIGH = 26, 24, 28, 30
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _NDA_DST = 1, 4, 5, 1
_ROUTE = struct.Struct("=8BI")
"""``struct rtmsg``: family, lengths of destination and source, tos, table, protocol, scope, type; flags."""
_NEIGHBOUR = struct.Struct("=BxxxIHBB")
"""``struct ndmsg``: family; device; state; flags, type."""
_UNICAST = 1
_PROBE, _KNOWN, _FIXED = 0x10, 0x02 | 0x04 | 0x08 | 0x10, 0x40 | 0x80
"""States: being probed; reachable, stale, delayed or probed; without ARP or permanent."""
_USE = 0x01

Hop = tuple[int, bytes]
"""Number of the device, and the address in bytes."""


class Underlay:
    """The next hops of one host's tunnels, in the namespace of the calling thread."""

    def __init__(self) -> None:
        self._asked: frozenset[str] = frozenset()
        self._switch = 0
        self._due = 0.0

    def prepare(self, desired: HostState, switch: int) -> None:
        """Have the kernel ask for the next hops that may not be known; ``switch`` is the id of ovs-vswitchd's process.

        Nobody waits for the answers, and a peer that cannot be reached is no failure.
        """
        peers, new = _ends(desired, "remote_ip"), switch != self._switch
        everything = new or time.monotonic() >= self._due
        wanted = peers if everything else peers - self._asked
        if everything:
            self._due = time.monotonic() + REFRESH_SECONDS
        self._asked, self._switch = peers, switch
        if wanted:
            with Socket() as netlink:
                netlink.send(list(_questions(netlink, sorted(wanted))))
        for own in _ends(desired, "local_ip") if new else ():
            announce_here(own)


def _ends(desired: HostState, option: str) -> frozenset[str]:
    """The addresses of tunnels' ends."""
    options = (pair for port in desired.of(SwitchPort).values() for pair in port.options)
    return frozenset(address for name, address in options if name == option)


def _questions(netlink: Socket, peers: Iterable[str]) -> Iterator[Request]:
    """Resolve what is unknown, and verify what is known: either way there is an answer to overhear."""
    states = dict(_states(netlink))
    for hop in sorted({hop for peer in peers if (hop := _next_hop(netlink, peer))}):
        index, packed = hop
        state = states.get(hop, 0)
        family, address = _family(packed), attribute(_NDA_DST, packed)
        if state & _KNOWN and not state & _FIXED:
            yield Request(_NEWNEIGH, _NEIGHBOUR.pack(family, index, _PROBE, 0, 0) + address, REPLACE)
        elif not state & _FIXED:
            yield Request(_NEWNEIGH, _NEIGHBOUR.pack(family, index, 0, _USE, 0) + address, CREATE | REPLACE)


def _next_hop(netlink: Socket, peer: str) -> Hop | None:
    """Where packets to a peer go first; None when there is no way, or none that leaves this host."""
    ip = ipaddress.ip_address(peer)
    asked = _ROUTE.pack(_family(ip.packed), ip.max_prefixlen, 0, 0, 0, 0, 0, 0, 0) + attribute(_RTA_DST, ip.packed)
    with suppress(OSError):
        body = netlink.ask(_GETROUTE, asked, _NEWROUTE)
        found = attributes(body, _ROUTE.size)
        if body[7] == _UNICAST and _RTA_OIF in found:
            return struct.unpack("=I", found[_RTA_OIF])[0], found.get(_RTA_GATEWAY, ip.packed)
    return None


def _states(netlink: Socket) -> Iterator[tuple[Hop, int]]:
    for body in netlink.dump(_GETNEIGH, bytes(_NEIGHBOUR.size)):
        _, index, state, _, _ = _NEIGHBOUR.unpack_from(body)
        if address := attributes(body, _NEIGHBOUR.size).get(_NDA_DST):
            yield (index, address), state


def _family(address: bytes) -> int:
    return int(socket.AF_INET if len(address) == 4 else socket.AF_INET6)
