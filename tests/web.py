"""Servers that answer with their name, and clients that ask without a pause; a program of the standard library alone.

    web.py serve NAME ADDRESS PORT [UDP-PORT]    answer by HTTP, and datagrams, too, until standard input ends
    web.py ask ADDRESS PORT                      ask by HTTP until standard input ends, then tell (JSON)

Each says "ready" first. ``ask`` makes a connection for each request, one every 10 ms however long the answers take.
It tells when each request began and ended (monotonic time of the machine), and the answer, or the error's name.
"""

import asyncio
import contextlib
import http.server
import itertools
import json
import socketserver
import sys
import threading
import time
from dataclasses import dataclass

INTERVAL, PATIENCE = 0.01, 5.0
"""Seconds from request to request, and until one is lost."""
PORTS = range(10_000, 60_000)
"""Of the clients."""
REQUEST = b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n"
COOKIE = "session"
"""Name of the cookie that servers give to who has none."""


@dataclass(frozen=True, slots=True)
class Request:
    """What became of one."""

    began: float
    ended: float
    answer: str
    """The server's name; the status when that is not 200; the error's name when there was none."""


@dataclass(frozen=True, slots=True)
class Requests:
    """All requests of one client, in the order in which they ended."""

    all: list[Request]
    servers: frozenset[str]
    """Whose answers are right."""

    @property
    def lost(self) -> list[Request]:
        """Those that got no right answer."""
        return [each for each in self.all if each.answer not in self.servers]

    def lost_outside(self, since: float, until: float) -> list[Request]:
        """The lost ones that were not under way at any time between two moments."""
        return [each for each in self.lost if each.ended < since or each.began > until]

    def silence(self) -> tuple[float, float]:
        """The two moments between which for the longest time no request began that was answered at once.

        One that waited until somebody answered again tells nothing new.
        """
        good = sorted(each.began for each in self.all if each.answer in self.servers and each.ended - each.began < 0.5)
        return max(itertools.pairwise(good), key=lambda gap: gap[1] - gap[0], default=(0.0, float("inf")))


def requests(told: str, *servers: str) -> Requests:
    """What ``ask`` told, where answers of these servers are the right ones."""
    return Requests([Request(*each) for each in json.loads(told)], frozenset(servers))


async def _ask(address: str, port: int) -> list[tuple[float, float, str]]:
    told: list[tuple[float, float, str]] = []
    end = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, end.set)
    print("ready", flush=True)
    due = time.monotonic()
    # Each request has a port that none had for minutes: so long firewalls remember connections.
    ports = itertools.count(int(due / INTERVAL))
    async with asyncio.TaskGroup() as group:
        while not end.is_set():
            group.create_task(_ask_once(address, port, PORTS[next(ports) % len(PORTS)], told))
            due = max(due + INTERVAL, time.monotonic())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(end.wait(), due - time.monotonic())
    return told


async def _ask_once(address: str, port: int, own: int, told: list[tuple[float, float, str]]) -> None:
    began = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(address, port, local_addr=("0.0.0.0", own))
            with contextlib.closing(writer):
                writer.write(REQUEST)
                head, separator, body = (await reader.read()).partition(b"\r\n\r\n")
        status = head.split(b" ")[1:2]
        answer = body if status == [b"200"] else b"".join(status) if separator else b"nothing"
        told.append((began, time.monotonic(), answer.decode()))
    except (OSError, TimeoutError) as error:
        told.append((began, time.monotonic(), type(error).__name__))


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, _request: object, _client: object) -> None:
        """A client that breaks a connection is none."""


def _serve(name: bytes, address: str, port: int, udp_port: int) -> None:
    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(name)))
            if COOKIE not in self.headers.get("Cookie", ""):
                self.send_header("Set-Cookie", f"{COOKIE}={name.decode()}")
            self.end_headers()
            self.wfile.write(name)

        def log_message(self, *_words: object) -> None:
            pass

    class Echo(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request[1].sendto(name, self.client_address)

    servers: list[socketserver.BaseServer] = [_Server((address, port), Answer)]
    servers += [socketserver.UDPServer((address, udp_port), Echo)] if udp_port else []
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", name, address, port, *udp_port]:
            _serve(name.encode(), address, int(port), int((*udp_port, 0)[0]))
        case ["ask", address, port]:
            print(json.dumps(asyncio.run(_ask(address, int(port)))))
