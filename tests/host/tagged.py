"""A card that speaks 802.1Q by a packet socket, where the kernel does not: it answers ARP and pings on its VLANs.

Reference: IEEE 802.1Q, packet(7), RFC 826, RFC 792.
"""

import ipaddress
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from netloom.host.namespaces import inside

ARP, IPV4, TAGGED, ALL = 0x0806, 0x0800, 0x8100, 0x0003
SOL_PACKET, PACKET_AUXDATA, VLAN_VALID, PACKET_OUTGOING = 263, 8, 1 << 4, 4
AUXDATA = struct.Struct("=IIIHHHH")
"""``struct tpacket_auxdata``: status, length, captured, MAC and network offset, tag, type of the tag."""
ARP_BODY = struct.Struct("!HHBBH6s4s6s4s")
BROADCAST = b"\xff" * 6
PATIENCE = 2.0
Condition = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Frame:
    """What came in, without its tag."""

    vlan: int | None
    source: bytes
    kind: int
    payload: bytes

    @property
    def echo(self) -> int | None:
        """ICMP type of an echo; None of anything else."""
        icmp = self.kind == IPV4 and len(self.payload) > 20 and self.payload[9] == 1
        return self.payload[20] if icmp and self.payload[20] in (0, 8) else None


@dataclass(frozen=True, slots=True)
class Own:
    """Who the card is on a VLAN."""

    mac: bytes
    address: bytes


def own(mac: str, address: str) -> Own:
    """From texts."""
    return Own(bytes.fromhex(mac.replace(":", "")), ipaddress.ip_address(address).packed)


class TaggedCard:
    """A device in a namespace. Without VLANs of its own it only listens."""

    def __init__(self, namespace: str, device: str, vlans: dict[int, Own] | None = None) -> None:
        """``vlans``: who it is, by tag."""
        with inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
        self._socket.bind((device, ALL))
        self._socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.vlans = vlans or {}
        self.seen: list[Frame] = []
        self._heard = threading.Condition()
        self._stop = os.eventfd(0)
        self._sequence = 0
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        self._socket.close()
        os.close(self._stop)

    def pings(self, vlan: int, address: str, *, mac: str = "", wait: float = PATIENCE) -> bool:
        """Whether somebody answers an echo on a VLAN; ``mac`` is whom to pretend to be."""
        me, target = self.vlans[vlan], ipaddress.ip_address(address).packed
        if mac:
            me = Own(bytes.fromhex(mac.replace(":", "")), me.address)
        until = time.monotonic() + wait
        whois = ARP_BODY.pack(1, IPV4, 6, 4, 1, me.mac, me.address, bytes(6), target)
        self.send(vlan, BROADCAST, me.mac, ARP, whois)
        if not self._until(lambda: self._place(vlan, target) is not None, until):
            return False
        self._sequence += 1
        echo = _icmp(8, struct.pack("!HH", os.getpid() & 0xFFFF, self._sequence) + bytes(32))
        self.send(vlan, self._place(vlan, target) or b"", me.mac, IPV4, _ip(me.address, target, echo))
        tail = echo[4:]
        return self._until(
            lambda: any(f.vlan == vlan and f.echo == 0 and f.payload[24:] == tail for f in self.seen), until
        )

    def heard(self, of: Callable[[Frame], bool], wait: float = PATIENCE) -> bool:
        """Whether such a frame came in, or comes soon."""
        return self._until(lambda: any(map(of, self.seen)), time.monotonic() + wait)

    def send(self, vlan: int | None, target: bytes, source: bytes, kind: int, payload: bytes) -> None:
        """Send a frame."""
        tag = struct.pack("!HH", TAGGED, vlan) if vlan is not None else b""
        self._socket.send(target + source + tag + struct.pack("!H", kind) + payload)

    def _place(self, vlan: int, address: bytes) -> bytes | None:
        """MAC of an address, as its owner told it."""
        answers = (f for f in reversed(self.seen) if f.vlan == vlan and f.kind == ARP and f.payload[6:8] == b"\0\2")
        return next((f.payload[8:14] for f in answers if f.payload[14:18] == address), None)

    def _until(self, condition: Condition, deadline: float) -> bool:
        with self._heard:
            return self._heard.wait_for(condition, max(0.0, deadline - time.monotonic()))

    def _listen(self) -> None:
        while self._stop not in select.select([self._socket, self._stop], [], [])[0]:
            data, ancillary, _, address = self._socket.recvmsg(65536, socket.CMSG_SPACE(AUXDATA.size))
            if address[2] == PACKET_OUTGOING:
                continue
            frame = _frame(data, ancillary)
            self._answer(frame)
            with self._heard:
                self.seen.append(frame)
                self._heard.notify_all()

    def _answer(self, frame: Frame) -> None:
        me = self.vlans.get(frame.vlan) if frame.vlan else None
        if me is None:
            return
        if frame.kind == ARP and frame.payload[6:8] == b"\0\1" and frame.payload[24:28] == me.address:
            told = ARP_BODY.pack(1, IPV4, 6, 4, 2, me.mac, me.address, frame.source, frame.payload[14:18])
            self.send(frame.vlan, frame.source, me.mac, ARP, told)
        elif frame.echo == 8 and frame.payload[16:20] == me.address:
            length = struct.unpack("!H", frame.payload[2:4])[0]
            echo = _icmp(0, frame.payload[24:length])
            self.send(frame.vlan, frame.source, me.mac, IPV4, _ip(me.address, frame.payload[12:16], echo))


def _frame(data: bytes, ancillary: list[tuple[int, int, bytes]]) -> Frame:
    """The kernel takes the tag away, and tells it."""
    vlan = None
    for level, kind, value in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, *_, tag, _ = AUXDATA.unpack(value)
            vlan = tag & 0xFFF if status & VLAN_VALID else None
    return Frame(vlan, data[6:12], struct.unpack("!H", data[12:14])[0], data[14:])


def _icmp(kind: int, rest: bytes) -> bytes:
    """``rest``: what follows the checksum."""
    return struct.pack("!BBH", kind, 0, _checksum(struct.pack("!BBH", kind, 0, 0) + rest)) + rest


def _ip(source: bytes, target: bytes, icmp: bytes) -> bytes:
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), 0, 0, 64, 1, 0, source, target)
    return header[:10] + struct.pack("!H", _checksum(header)) + header[12:] + icmp


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2])) + (data[-1] << 8) * (len(data) % 2)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
