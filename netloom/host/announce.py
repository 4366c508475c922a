"""Announcements of addresses to the segment: gratuitous ARP (RFC 5227), neighbour advertisements (RFC 4861 7.2.6).

Three of each, so that a lost one does no harm; a thread of its own sends them, so nobody waits.
"""

import ipaddress
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress

from netloom.host.addressing import bearer
from netloom.host.namespaces import inside
from netloom.host.veths import links
from netloom.state import Address

_TIMES = 3
_SPACING = 1.0
"""Seconds between the rounds."""
_BROADCAST = b"\xff" * 6
_ALL_NODES = ipaddress.IPv6Address("ff02::1")
_ALL_NODES_MAC = bytes.fromhex("333300000001")
_ADVERTISEMENT, _OVERRIDE, _TARGET_LINK_LAYER = 136, 0x20000000, 2


class Announcer:
    """Sends the announcements of new addresses, beside the caller."""

    def __init__(self) -> None:
        self._closed = threading.Event()

    def announce(self, addresses: Iterable[Address]) -> None:
        """Announce these, beginning at once; what vanishes meanwhile is left out."""
        by_namespace: dict[str, list[Address]] = defaultdict(list)
        for address in addresses:
            by_namespace[address.namespace].append(address)
        if by_namespace:
            threading.Thread(target=self._rounds, args=(by_namespace,), name="announce", daemon=True).start()

    def close(self) -> None:
        """Send no more."""
        self._closed.set()

    def _rounds(self, by_namespace: dict[str, list[Address]]) -> None:
        due = time.monotonic()
        for _ in range(_TIMES):
            if self._closed.wait(max(0.0, due - time.monotonic())):
                return
            due += _SPACING
            for namespace, addresses in by_namespace.items():
                _send(namespace, addresses)


def announce_here(address: str) -> None:
    """Announce, once, an address that a device of the calling thread's namespace bears; nothing when none does."""
    device = bearer(address)
    macs = {link.name: bytes.fromhex(link.mac.replace(":", "")) for link in links()}
    if device and (mac := macs.get(device)):
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender, suppress(OSError):
            sender.sendto(frame(address, mac), (device, 0))


def _send(namespace: str, addresses: list[Address]) -> None:
    try:
        with inside(namespace), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            macs = {link.name: bytes.fromhex(link.mac.replace(":", "")) for link in links()}
            for address in addresses:
                if mac := macs.get(address.device):
                    sender.sendto(frame(address.cidr, mac), (address.device, 0))
    except OSError:
        return  # the namespace or device went away: there is nothing to announce any more


def frame(cidr: str, mac: bytes) -> bytes:
    """The Ethernet frame that announces an address (with or without prefix length) at a MAC."""
    ip = ipaddress.ip_interface(cidr).ip
    return _gratuitous_arp(ip, mac) if isinstance(ip, ipaddress.IPv4Address) else _advertisement(ip, mac)


def _gratuitous_arp(ip: ipaddress.IPv4Address, mac: bytes) -> bytes:
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + ip.packed + bytes(6) + ip.packed
    return _BROADCAST + mac + b"\x08\x06" + arp


def _advertisement(ip: ipaddress.IPv6Address, mac: bytes) -> bytes:
    options = bytes([_TARGET_LINK_LAYER, 1]) + mac
    message = struct.pack("!BBHI", _ADVERTISEMENT, 0, 0, _OVERRIDE) + ip.packed + options
    pseudo = ip.packed + _ALL_NODES.packed + struct.pack("!II", len(message), socket.IPPROTO_ICMPV6)
    message = message[:2] + struct.pack("!H", _checksum(pseudo + message)) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), socket.IPPROTO_ICMPV6, 255)
    return _ALL_NODES_MAC + mac + b"\x86\xdd" + header + ip.packed + _ALL_NODES.packed + message


def _checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
