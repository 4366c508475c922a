"""Numbered packets every ten milliseconds, and what came back; a program of the standard library alone.

    probe.py echo ADDRESS PORT     answer UDP and TCP there until standard input ends
    probe.py send ADDRESS PORT     send by ICMP, UDP and TCP until standard input ends, then tell (JSON)
    probe.py push ADDRESS PORT     send by TCP to whoever connects there until standard input ends
    probe.py pull ADDRESS PORT     connect there and only listen until standard input ends, then tell (JSON)
    probe.py ping ADDRESS…         send by ICMP to these in turn until standard input ends, then tell (JSON)
    probe.py solicit DEVICE        ask for IPv6 router advertisements (RFC 4861) until one comes

Each says "ready" first. What is told, by protocol or address: numbers sent, lost and answered twice, the longest
silence in seconds, and for TCP whether the connection broke; besides, when lost ones were sent, and from when to when
there was silence (monotonic time of the machine).
"""

import contextlib
import itertools
import json
import os
import select
import selectors
import socket
import struct
import sys
import time
from typing import Any

INTERVAL = 0.01
SILENCE = 0.03
"""Seconds without an answer from which on it is one: three answers are missing."""
PATIENCE = 5.0
"""Seconds that the last answers by TCP may take."""
DATAGRAMS_PATIENCE = 1.0
"""Seconds that the others may take."""
NUMBER = struct.Struct("!Q")
ECHO_REQUEST, ECHO_REPLY, SOLICITATION, ADVERTISEMENT = 8, 0, 133, 134


class Tally:
    """What was sent by one protocol, and what came back."""

    def __init__(self) -> None:
        self.sent_at: list[float] = []
        self.received: set[int] = set()
        self.doubled = 0
        self.broken = ""
        self.silences: list[tuple[float, float]] = []
        self._last = time.monotonic()

    @property
    def sent(self) -> int:
        """How many were sent."""
        return len(self.sent_at)

    def next(self) -> bytes:
        """The next number to send."""
        self.sent_at.append(time.monotonic())
        return NUMBER.pack(self.sent)

    def got(self, packed: bytes) -> None:
        """A number came back."""
        (number,) = NUMBER.unpack(packed)
        self.doubled += number in self.received
        self.received.add(number)
        self.heard()

    def heard(self) -> None:
        """A silence is over."""
        now = time.monotonic()
        if now - self._last > SILENCE:
            self.silences.append((self._last, now))
        self._last = now

    def told(self) -> dict[str, Any]:
        """In the form of the result."""
        lost_at = [at for number, at in enumerate(self.sent_at, 1) if number not in self.received]
        gap = max((ended - began for began, ended in self.silences), default=0.0) if self.received else float("inf")
        return {
            "sent": self.sent,
            "lost": len(lost_at),
            "doubled": self.doubled,
            "gap": round(gap, 3),
            "broken": self.broken,
            "lost_at": lost_at,
            "silences": self.silences,
        }


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
            self._icmp.sendto(echo_request(self._id, self.tallies["icmp"].next()), (self._address, 0))
        with contextlib.suppress(OSError):
            self._udp.send(self.tallies["udp"].next())
        tcp = self.tallies["tcp"]
        if not tcp.broken:
            try:
                self._tcp.send(tcp.next())
            except OSError as error:
                tcp.broken = str(error)

    def _take_icmp(self) -> None:
        if body := echo_reply(self._id, self._icmp.recv(2048)):
            self.tallies["icmp"].got(body)

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


def echo_request(identifier: int, body: bytes) -> bytes:
    """An ICMP message (RFC 792)."""
    header = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, identifier, 0)
    total = sum(struct.unpack(f"!{(len(header) + len(body)) // 2}H", header + body))
    total = (total >> 16) + (total & 0xFFFF)
    total += total >> 16
    return header[:2] + struct.pack("!H", ~total & 0xFFFF) + header[4:] + body


def echo_reply(identifier: int, packet: bytes) -> bytes:
    """The body of an answer to our request; empty when the packet is something else."""
    kind, _, _, number = struct.unpack_from("!BBHH", packet, 20)
    return packet[28:36] if (kind, number) == (ECHO_REPLY, identifier) else b""


def send(address: str, port: int) -> None:
    """Send until standard input ends."""
    sender = Sender(address, port)
    with selectors.DefaultSelector() as selector:
        for each, take in sender.sockets().items():
            selector.register(each, selectors.EVENT_READ, take)
        selector.register(sys.stdin, selectors.EVENT_READ)
        print("ready", flush=True)
        due, end = time.monotonic(), float("inf")
        while time.monotonic() < end and (end == float("inf") or _missing(sender, end - PATIENCE)):
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
    tell(sender.tallies)


def tell(tallies: dict[str, Tally]) -> None:
    """Print the result."""
    print(json.dumps({name: tally.told() for name, tally in tallies.items()}), flush=True)


def _missing(sender: Sender, ended: float) -> bool:
    """Whether answers are missing that may come yet."""
    late = time.monotonic() > ended + DATAGRAMS_PATIENCE
    watched = [tally for name, tally in sender.tallies.items() if name == "tcp" or not late]
    return any(tally.sent > len(tally.received) and not tally.broken for tally in watched)


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


def push(address: str, port: int) -> None:
    """Send numbers to all who connect, each its own, until standard input ends."""
    listener = socket.create_server((address, port), backlog=32)
    sent: dict[socket.socket, int] = {}
    print("ready", flush=True)
    due = time.monotonic()
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [], max(0.0, due - time.monotonic()))
        if sys.stdin in ready:
            return
        if listener in ready:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sent[connection] = 0
        if time.monotonic() >= due:
            due = max(due + INTERVAL, time.monotonic())
            for connection in list(sent):
                sent[connection] += 1
                try:
                    connection.send(NUMBER.pack(sent[connection]), socket.MSG_DONTWAIT)
                except OSError:
                    del sent[connection]


def pull(address: str, port: int) -> None:
    """Listen to ``push`` until standard input ends; a silence may last until then."""
    connection = socket.create_connection((address, port), timeout=20)
    tally, rest = Tally(), b""
    print("ready", flush=True)
    while not tally.broken:
        ready, _, _ = select.select([connection, sys.stdin], [], [])
        if sys.stdin in ready:
            tally.heard()
            break
        try:
            arrived = connection.recv(1 << 16)
            tally.broken = "" if arrived else "closed by the other side"
        except OSError as error:
            arrived, tally.broken = b"", str(error)
        rest += arrived
        while len(rest) >= NUMBER.size:
            tally.sent_at.append(0.0)
            tally.got(rest[: NUMBER.size])
            rest = rest[NUMBER.size :]
    tell({"tcp": tally})


def ping(addresses: list[str]) -> None:
    """Send to all in turn until standard input ends."""
    identifier = os.getpid() & 0xFFFF
    asker = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    asker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    tallies = {address: Tally() for address in addresses}
    turns = itertools.cycle(addresses)
    print("ready", flush=True)
    due, end = time.monotonic(), float("inf")
    while time.monotonic() < end:
        watched = [asker, sys.stdin] if end == float("inf") else [asker]
        ready, _, _ = select.select(watched, [], [], max(0.0, min(due, end) - time.monotonic()))
        if sys.stdin in ready:
            end = due = time.monotonic() + DATAGRAMS_PATIENCE
        if asker in ready:
            packet, (address, _) = asker.recvfrom(2048)
            if address in tallies and (body := echo_reply(identifier, packet)):
                tallies[address].got(body)
        if time.monotonic() >= due and end == float("inf"):
            due = max(due + INTERVAL, time.monotonic())
            address = next(turns)
            with contextlib.suppress(OSError):  # lost, then
                asker.sendto(echo_request(identifier, tallies[address].next()), (address, 0))
    tell(tallies)


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
        case ["push", address, port]:
            push(address, int(port))
        case ["pull", address, port]:
            pull(address, int(port))
        case ["ping", *addresses]:
            ping(addresses)
        case ["solicit", device]:
            solicit(device)
