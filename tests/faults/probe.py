"""Numbered packets every ten milliseconds, and what came back; a program of the standard library alone.

    probe.py echo ADDRESS PORT     answer UDP and TCP there until standard input ends
    probe.py send ADDRESS PORT     send by ICMP, UDP and TCP until standard input ends, then tell (JSON)
    probe.py solicit DEVICE        ask for IPv6 router advertisements (RFC 4861) until one comes

Each says "ready" first. What ``send`` tells, by protocol: numbers sent and lost, the longest silence in seconds,
and for TCP whether the connection broke.
"""

import contextlib
import json
import os
import selectors
import socket
import struct
import sys
import time
from typing import Any

INTERVAL = 0.01
PATIENCE = 5.0
"""Seconds that the last answers may take."""
NUMBER = struct.Struct("!Q")
ECHO_REQUEST, ECHO_REPLY, SOLICITATION, ADVERTISEMENT = 8, 0, 133, 134


class Tally:
    """What was sent by one protocol, and what came back."""

    def __init__(self) -> None:
        self.sent = 0
        self.received: set[int] = set()
        self.broken = ""
        self.gap = 0.0
        self._last = time.monotonic()

    def next(self) -> bytes:
        """The next number to send."""
        self.sent += 1
        return NUMBER.pack(self.sent)

    def got(self, packed: bytes) -> None:
        """A number came back."""
        self.received.add(NUMBER.unpack(packed)[0])
        now = time.monotonic()
        self.gap, self._last = max(self.gap, now - self._last), now

    def told(self) -> dict[str, Any]:
        """In the form of the result."""
        lost = self.sent - len(self.received)
        self.gap = self.gap if self.received else float("inf")
        return {"sent": self.sent, "lost": lost, "gap": round(self.gap, 3), "broken": self.broken}


class Sender:
    """All three protocols to one address."""

    def __init__(self, address: str, port: int) -> None:
        self._address = address
        self.tallies = {"icmp": Tally(), "udp": Tally(), "tcp": Tally()}
        self._id = os.getpid() & 0xFFFF
        self._icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.connect((address, port))
        self._tcp = socket.create_connection((address, port), timeout=20)
        self._tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        for each in (self._icmp, self._udp, self._tcp):
            each.setblocking(False)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)

    def sockets(self) -> dict[socket.socket, Any]:
        """The sockets, and what to do when there is something to read."""
        return {self._icmp: self._take_icmp, self._udp: self._take_udp, self._tcp: self._take_tcp}

    def send(self) -> None:
        """One packet of each."""
        with contextlib.suppress(OSError):  # lost, then
            self._icmp.sendto(self._ping(self.tallies["icmp"].next()), (self._address, 0))
        with contextlib.suppress(OSError):
            self._udp.send(self.tallies["udp"].next())
        tcp = self.tallies["tcp"]
        if not tcp.broken:
            try:
                self._tcp.send(tcp.next())
            except OSError as error:
                tcp.broken = str(error)

    def _ping(self, body: bytes) -> bytes:
        header = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, self._id, 0)
        total = sum(struct.unpack(f"!{(len(header) + len(body)) // 2}H", header + body))
        total = (total >> 16) + (total & 0xFFFF)
        total += total >> 16
        return header[:2] + struct.pack("!H", ~total & 0xFFFF) + header[4:] + body

    def _take_icmp(self) -> None:
        packet = self._icmp.recv(2048)
        kind, _, _, number = struct.unpack_from("!BBHH", packet, 20)
        if (kind, number) == (ECHO_REPLY, self._id):
            self.tallies["icmp"].got(packet[28:36])

    def _take_udp(self) -> None:
        self.tallies["udp"].got(self._udp.recv(2048))

    def _take_tcp(self) -> None:
        arrived = self._tcp.recv(1 << 16)
        if not arrived:
            raise ConnectionResetError("closed by the other side")
        self._rest += arrived
        while len(self._rest) >= NUMBER.size:
            self.tallies["tcp"].got(self._rest[: NUMBER.size])
            self._rest = self._rest[NUMBER.size :]


def send(address: str, port: int) -> None:
    """Send until standard input ends."""
    sender = Sender(address, port)
    with selectors.DefaultSelector() as selector:
        for each, take in sender.sockets().items():
            selector.register(each, selectors.EVENT_READ, take)
        selector.register(sys.stdin, selectors.EVENT_READ)
        print("ready", flush=True)
        due, end = time.monotonic(), float("inf")
        while time.monotonic() < end and (end == float("inf") or _open(sender)):
            now = time.monotonic()
            if now >= due and end == float("inf"):
                sender.send()
                due = max(due + INTERVAL, now)
            for key, _ in selector.select(max(0.0, min(due, end) - time.monotonic())):
                if key.data is None:
                    selector.unregister(sys.stdin)
                    end = due = time.monotonic() + PATIENCE
                else:
                    _take(selector, key, sender)
    print(json.dumps({name: tally.told() for name, tally in sender.tallies.items()}), flush=True)


def _open(sender: Sender) -> bool:
    """Whether answers are missing."""
    return any(tally.sent > len(tally.received) for tally in sender.tallies.values())


def _take(selector: selectors.BaseSelector, key: selectors.SelectorKey, sender: Sender) -> None:
    try:
        key.data()
    except OSError as error:
        if key.data == sender._take_tcp:
            sender.tallies["tcp"].broken = str(error)
            selector.unregister(key.fileobj)


def echo(address: str, port: int) -> None:
    """Answer until standard input ends."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((address, port))
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    listener = socket.create_server((address, port), backlog=32)
    with selectors.DefaultSelector() as selector:
        for each in (udp, listener, sys.stdin):
            selector.register(each, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    return
                if key.fileobj is udp:
                    with contextlib.suppress(OSError):
                        body, peer = udp.recvfrom(2048)
                        udp.sendto(body, peer)
                elif key.fileobj is listener:
                    connection, _ = listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    selector.register(connection, selectors.EVENT_READ)
                else:
                    _echo_stream(selector, key.fileobj)


def _echo_stream(selector: selectors.BaseSelector, connection: Any) -> None:
    try:
        if body := connection.recv(1 << 16):
            connection.sendall(body)
            return
    except OSError:
        pass
    selector.unregister(connection)
    connection.close()


def solicit(device: str) -> None:
    """Ask every second for an advertisement."""
    asker = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    asker.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    asker.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    asker.settimeout(1.0)
    print("ready", flush=True)
    while True:
        asker.sendto(struct.pack("!BBHI", SOLICITATION, 0, 0, 0), ("ff02::2", 0, 0, socket.if_nametoindex(device)))
        with contextlib.suppress(TimeoutError):
            while asker.recv(2048)[0] != ADVERTISEMENT:
                pass
            print("advertised", flush=True)
            return


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["send", address, port]:
            send(address, int(port))
        case ["echo", address, port]:
            echo(address, int(port))
        case ["solicit", device]:
            solicit(device)
