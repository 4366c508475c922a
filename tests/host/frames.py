"""Packets as frames: what the simulator knows by its fields, in bytes for a real card."""

import ipaddress
import struct

from netloom.plan.packet import Packet

MARK_LENGTH = 16
SYN, ACK, SYN_ACK = 0x02, 0x10, 0x12
_DISCOVERY = (133, 134, 135, 136)
"""ICMPv6 types of neighbour discovery."""
_FIXED = {133: 4, 134: 12, 135: 20, 136: 20, 143: 4}
"""Bytes of their bodies before options."""


def frame(packet: Packet, mark: bytes, flags: int = SYN) -> bytes:
    """A frame that holds ``mark`` (16 bytes) somewhere, by which it is known again; ``flags`` are those of TCP."""
    assert len(mark) == MARK_LENGTH
    if packet.protocol is None:
        body = _arp(packet) + mark
    elif ":" in packet.src:
        body = _ipv6(packet, mark, flags)
    else:
        body = _ipv4(packet, mark, flags)
    tag = b"" if packet.vlan is None else struct.pack("!HH", 0x8100, packet.vlan)
    return _mac(packet.dl_dst) + _mac(packet.dl_src) + tag + struct.pack("!H", packet.ethertype) + body


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _ip(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def _arp(packet: Packet) -> bytes:
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, packet.operation)
    return head + _mac(packet.told or packet.dl_src) + _ip(packet.src) + bytes(6) + _ip(packet.dst)


def _ipv4(packet: Packet, mark: bytes, flags: int) -> bytes:
    inner = _inner(packet, mark, flags)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(inner), 0, 0, 64, packet.protocol, 0)
    head += _ip(packet.src) + _ip(packet.dst)
    return head[:10] + _checksum(head) + head[12:] + inner


def _ipv6(packet: Packet, mark: bytes, flags: int) -> bytes:
    inner = _inner(packet, mark, flags)
    return struct.pack("!IHBB", 6 << 28, len(inner), packet.protocol, 255) + _ip(packet.src) + _ip(packet.dst) + inner


def _inner(packet: Packet, mark: bytes, flags: int) -> bytes:
    """What the IP header is about, with its checksum."""
    ends = struct.pack("!HH", packet.sport, packet.dport)
    match packet.protocol:
        case 6:
            sequence, answered = (1 if flags & SYN else 2), (2 if flags & ACK else 0)
            inner = ends + struct.pack("!IIBBHHH", sequence, answered, 5 << 4, flags, 8192, 0, 0) + mark
            place = 16
        case 17:
            inner, place = ends + struct.pack("!HH", 8 + len(mark), 0) + mark, 6
        case 132:
            return ends + bytes(8) + mark
        case 1:
            inner = struct.pack("!BBHHH", packet.sport, packet.dport, 0, 7, 1) + _quoted(packet) + mark
            return inner[:2] + _checksum(inner) + inner[4:]
        case 58:
            inner, place = struct.pack("!BBH", packet.sport, packet.dport, 0) + _discovery(packet, mark), 2
        case _:
            return ends + bytes(12) + mark
    sources = _ip(packet.src) + _ip(packet.dst)
    pseudo = sources + struct.pack("!II", len(inner), packet.protocol)
    return inner[:place] + _checksum(pseudo + inner) + inner[place + 2 :]


def _quoted(packet: Packet) -> bytes:
    """The packet that an error is about: its header and eight bytes."""
    return _ipv4(packet.error_for, bytes(MARK_LENGTH), SYN)[:28] if packet.error_for else b""


def _discovery(packet: Packet, mark: bytes) -> bytes:
    if packet.sport not in _FIXED:
        return struct.pack("!HH", 7, 1) + mark
    target = _ip(packet.target or "::") if packet.sport in (135, 136) else b""
    body = bytes(_FIXED[packet.sport] - len(target)) + target
    option = struct.pack("!BB6s", 253, 3, b"") + mark  # experimental (RFC 4727)
    return body + (option if packet.sport in _DISCOVERY else mark)


def _checksum(data: bytes) -> bytes:
    words = struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2))
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)
