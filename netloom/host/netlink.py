"""Netlink in bytes: requests in batches, one acknowledgement each, and dumps (RFC 3549, linux/netlink.h).

The codec is our own because a host has thousands of addresses and routes: decoding one costs a few
microseconds here, and no request needs a process or an event loop.
"""

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

REPLACE, EXCL, CREATE = 0x100, 0x200, 0x400
_REQUEST, _ACK, _DUMP, _DUMP_INTERRUPTED = 0x1, 0x4, 0x300, 0x10
_ERROR, _DONE = 2, 3
_SOL_NETLINK, _EXT_ACK, _CAP_ACK = 270, 11, 10
_ACK_TLVS, _CAPPED, _ACK_MESSAGE = 0x200, 0x100, 1
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_BATCH = 64
"""Requests in flight: their acknowledgements must fit into the receive buffer."""


@dataclass(frozen=True, slots=True)
class Request:
    """One message to the kernel: ``body`` is the family's header and its attributes."""

    kind: int
    body: bytes
    flags: int = 0
    acknowledged: bool = True


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


def text(kind: int, value: str) -> bytes:
    """A string attribute."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """A 32-bit attribute in host order."""
    return attribute(kind, struct.pack("=I", value))


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes of a message or of a nested attribute, without their type flags."""
    found = {}
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += length + 3 & ~3
    return found


def string(payload: bytes) -> str:
    """A string attribute's value."""
    return payload.rstrip(b"\0").decode(errors="replace")


class Socket:
    """A netlink socket of the network namespace that the calling thread is in; it stays there."""

    def __init__(self, protocol: int = NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.settimeout(30)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> "Socket":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, requests: Sequence[Request]) -> list[OSError | None]:
        """Carry out requests in order; the answer has one entry for each: None, or why the kernel refused."""
        results: list[OSError | None] = []
        for start in range(0, len(requests), _BATCH):
            results += self._send(requests[start : start + _BATCH])
        return results

    def do(self, *requests: Request) -> None:
        """Carry out requests.

        Raises:
            OSError: the first refusal; the others were tried all the same.
        """
        for error in self.send(requests):
            if error is not None:
                raise error

    def _send(self, requests: Sequence[Request]) -> list[OSError | None]:
        first = self._sequence + 1
        self._socket.send(b"".join(self._encode(request) for request in requests))
        results: list[OSError | None] = [None] * len(requests)
        awaited = {first + i for i, request in enumerate(requests) if request.acknowledged}
        while awaited:
            for kind, flags, sequence, body in self._receive():
                if kind == _ERROR and 0 <= sequence - first < len(requests):
                    awaited.discard(sequence)
                    results[sequence - first] = _error(flags, body)
        return results

    def _encode(self, request: Request) -> bytes:
        self._sequence += 1
        flags = _REQUEST | request.flags | (_ACK if request.acknowledged else 0)
        return _HEADER.pack(16 + len(request.body), request.kind, flags, self._sequence, 0) + request.body

    def ask(self, kind: int, body: bytes, answer: int) -> bytes:
        """The body of the one message of kind ``answer`` that the kernel replies with.

        Raises:
            OSError: the kernel refused.
        """
        self._socket.send(self._encode(Request(kind, body, acknowledged=False)))
        while True:
            for got, flags, sequence, content in self._receive():
                if sequence == self._sequence and got == answer:
                    return content
                if sequence == self._sequence and got == _ERROR:
                    raise _error(flags, content) or OSError("netlink gave no answer")

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """The bodies of all objects that the kernel lists, as of one moment (a disturbed dump is repeated).

        Raises:
            OSError: the kernel refused.
        """
        while (bodies := self._dump(kind, body)) is None:
            pass
        return bodies

    def _dump(self, kind: int, body: bytes) -> list[bytes] | None:
        sequence = self._sequence + 1
        self._socket.send(self._encode(Request(kind, body, _DUMP, acknowledged=False)))
        bodies: list[bytes] = []
        disturbed = False
        while True:
            for answer, flags, number, content in self._receive():
                if number != sequence:
                    continue
                disturbed |= bool(flags & _DUMP_INTERRUPTED)
                if answer not in (_DONE, _ERROR):
                    bodies.append(content)
                elif error := _error(flags, content):
                    raise error
                else:
                    return None if disturbed else bodies

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        data, offset = self._socket.recv(1 << 18), 0
        while offset + 16 <= len(data):
            length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
            yield kind, flags, sequence, data[offset + 16 : offset + length]
            offset += length + 3 & ~3


def _error(flags: int, body: bytes) -> OSError | None:
    """What an NLMSG_ERROR says, with the kernel's own words where it gives some."""
    (code,) = struct.unpack_from("=i", body)
    if code == 0:
        return None
    reason = os.strerror(-code)
    if flags & _ACK_TLVS:
        offset = 20 if flags & _CAPPED else 4 + struct.unpack_from("=I", body, 4)[0]
        words = attributes(body, offset).get(_ACK_MESSAGE)
        reason = f"{reason}: {string(words)}" if words else reason
    return OSError(-code, reason)
