"""The agent's end of the stream: a mirror of what the host should know, kept up to date by a thread."""

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import structlog
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from netloom.feed.fragments import AnyFragment, Fragment
from netloom.feed.protocol import (
    PATH,
    VERSION,
    AskConsoleLog,
    ConsoleLog,
    FromAgent,
    FromServer,
    Heartbeat,
    Hello,
    MemberStates,
    Piece,
    Refused,
    Report,
    Role,
    RouterStates,
    Status,
    Traffic,
    TrafficReport,
    Update,
    decode_server,
    encode,
)

LOG = structlog.get_logger()
FIRST_RETRY, LAST_RETRY = 0.1, 4.0
"""Seconds between attempts to reach a server: doubled from the first to the last, and each cut by chance."""
DISPERSION = 0.5
"""Seconds over which the agents of a lost server spread, so that the others are not overrun."""
LASTING = 2.0
"""Seconds after which a connection was a good one, so that another server is tried at once."""
SILENCE = 10_000
"""Milliseconds for which a server's host may leave unanswered what was sent before it counts as lost."""
SILENT_KINDS = ("neighbour", "peer")
"""Kinds of fragment of which only failures are told: nobody waits for them to be applied."""

_decode_fragment = msgspec.msgpack.Decoder(AnyFragment).decode
_decode_pieces = msgspec.msgpack.Decoder(list[Piece]).decode


class Mirror:
    """The fragments that this host holds, also on disk, so that an agent can start without a server."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._pieces: dict[str, Piece] = {}
        self._fragments: dict[str, Fragment] = {}
        self.complete = False
        """Whether all that the host should hold is here; before that nothing may be swept."""
        self.current = False
        """Whether a server has told all since this process runs; before that it is what was known before."""
        self._load()

    def _load(self) -> None:
        try:
            pieces = _decode_pieces(self._path.read_bytes())
            self._fragments = {piece.name: _decode_fragment(piece.body) for piece in pieces}
        except FileNotFoundError:
            return
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            LOG.warning(
                "the snapshot of fragments is unreadable and is fetched anew", path=str(self._path), error=str(error)
            )
            return
        self._pieces = {piece.name: piece for piece in pieces}
        self.complete = True

    def update(self, update: Update) -> None:
        """Take over an update of the server, and keep it on disk when it is complete."""
        with self._lock:
            for name in update.removed:
                self._pieces.pop(name, None)
                self._fragments.pop(name, None)
            for piece in update.pieces:
                self._pieces[piece.name] = piece
                self._fragments[piece.name] = _decode_fragment(piece.body)
            self.complete = self.complete or update.complete
            self.current = self.current or update.complete
            pieces = list(self._pieces.values())
        if update.complete and (update.pieces or update.removed):
            self._save(pieces)

    def _save(self, pieces: Sequence[Piece]) -> None:
        new = self._path.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.msgpack.encode(pieces))
        new.replace(self._path)

    def snapshot(self) -> tuple[Mapping[str, Fragment], Mapping[str, str]]:
        """The fragments by name, and their versions, as of one moment."""
        with self._lock:
            return dict(self._fragments), {name: piece.version for name, piece in self._pieces.items()}


class Stream:
    """The connection to a server, with its own thread; it reconnects by itself to any of the servers."""

    def __init__(
        self,
        servers: Sequence[str],
        host: str,
        key: str,
        mirror: Mirror,
        roles: Callable[[], list[Role]],
        heartbeat_interval: float,
        wake: Callable[[], None],
        console_log: Callable[[str], str | None] = lambda _instance_id: None,
    ) -> None:
        """Prepare a stream to ``servers`` (``ws://address:port``), as ``host`` with its ``key``.

        ``roles`` tells the present roles for each heartbeat (every ``heartbeat_interval`` seconds);
        ``wake`` is called from the stream's thread after each update and each new connection, and so is
        ``console_log``, which tells what an instance said (None: it is not here), when the server asks.
        """
        self._servers, self._host, self._key = list(servers), host, key
        self._mirror, self._roles, self._wake, self._console_log = mirror, roles, wake, console_log
        self._interval = heartbeat_interval
        self._connection: ClientConnection | None = None
        self._stopped = threading.Event()
        self._reported: tuple[ClientConnection | None, Mapping[str, Status]] = (None, {})
        """What was told last, and over which connection."""
        self._states: tuple[ClientConnection | None, Mapping[str, str]] = (None, {})
        """The same of routers."""
        self._members: tuple[ClientConnection | None, Mapping[str, Mapping[str, str] | None]] = (None, {})
        """The same of members of load balancers."""
        self._traffic: tuple[ClientConnection | None, Mapping[str, Mapping[str, Traffic]]] = (None, {})
        """The same of what has passed through their listeners."""
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether a server is connected now."""
        return self._connection is not None

    def start(self) -> None:
        """Start to connect, in the background."""
        self._thread.start()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def stop(self) -> None:
        """End the connection."""
        self._stopped.set()
        if (connection := self._connection) is not None:
            connection.close()

    def report(self, statuses: Mapping[str, Status]) -> None:
        """Tell the server what has changed in the statuses since the last report of this connection."""
        connection = self._connection
        if connection is None:
            return
        first = self._reported[0] is not connection
        reported = {} if first else self._reported[1]
        told = {name: status for name, status in statuses.items() if _matters(status)}
        news = [status for name, status in sorted(told.items()) if reported.get(name) != status]
        gone = sorted(reported.keys() - told.keys())
        if (news or gone or first) and self._send(connection, Report(news, gone, complete=first)):
            self._reported = connection, told

    def router_states(self, states: Mapping[str, str]) -> None:
        """Tell what this host is for its highly available routers, as far as it is news on this connection.

        ``states`` has all of them: ``active``, ``standby`` or ``fault`` by id of the router. From one thread only.
        """
        connection = self._connection
        if connection is None:
            return
        told = self._states[1] if self._states[0] is connection else {}
        news = {router: state for router, state in states.items() if told.get(router) != state}
        if not news or self._send(connection, RouterStates(news)):
            self._states = connection, dict(states)

    def member_states(self, states: Mapping[str, Mapping[str, str] | None]) -> None:
        """Tell how the members of the load balancers are that serve here, as far as it is news on this connection.

        ``states`` has all of them, by ids of the balancer and of the member; None: it does not answer. From one thread
        only.
        """
        connection = self._connection
        if connection is None:
            return
        told = self._members[1] if self._members[0] is connection else {}
        differing = {each: its for each, its in states.items() if each not in told or told[each] != its}
        news = {each: None if its is None else dict(its) for each, its in differing.items()}
        if not news or self._send(connection, MemberStates(news)):
            self._members = connection, dict(states)

    def traffic(self, listeners: Mapping[str, Mapping[str, Traffic]]) -> bool:
        """Tell what has passed through listeners, by id and worker, unless that is known; whether it is now."""
        connection = self._connection
        if connection is None:
            return False
        if self._traffic[0] is connection and self._traffic[1] == listeners:
            return True
        told = {listener: dict(workers) for listener, workers in listeners.items()}
        if not self._send(connection, TrafficReport(told)):
            return False
        self._traffic = connection, told
        return True

    def _send(self, connection: ClientConnection, message: FromAgent) -> bool:
        """Send a message; whether that was possible."""
        try:
            connection.send(encode(message))
        except (OSError, WebSocketException) as error:
            LOG.info(
                "not sent; all is told again after the next connection", what=type(message).__name__, error=str(error)
            )
            return False
        return True

    def _run(self) -> None:
        turn = random.randrange(len(self._servers))  # noqa: S311 - so that agents spread over the servers
        delay = FIRST_RETRY
        while not self._stopped.is_set():
            server = self._servers[turn % len(self._servers)]
            turn += 1
            began = time.monotonic()
            try:
                self._converse(server)
                LOG.info("the server has ended the connection", server=server)
            except (OSError, WebSocketException, TimeoutError) as error:
                LOG.info("no server at the other end", server=server, error=str(error))
            self._connection = None
            if time.monotonic() - began > LASTING:
                delay = FIRST_RETRY
                self._stopped.wait(random.uniform(0, DISPERSION))  # noqa: S311
            else:
                self._stopped.wait(random.uniform(delay / 2, delay))  # noqa: S311
                delay = min(delay * 2, LAST_RETRY)

    def _converse(self, server: str) -> None:
        headers = {"Authorization": f"Netloom {self._host}:{self._key}"}
        # Compression would cost the server memory and time for each agent.
        with connect(
            server + PATH, additional_headers=headers, max_size=None, open_timeout=5, compression=None
        ) as connection:
            if connection.socket.family in (socket.AF_INET, socket.AF_INET6):
                connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE)
            connection.send(encode(Hello(VERSION, self._roles(), dict(self._mirror.snapshot()[1]))))
            self._connection = connection
            LOG.info("connected", server=server)
            for frame in connection:
                self._take(connection, decode_server(frame if isinstance(frame, bytes) else frame.encode()))

    def _take(self, connection: ClientConnection, message: FromServer) -> None:
        match message:
            case Refused(reason):
                LOG.error("the server refuses this agent", reason=reason)
            case AskConsoleLog(number, instance_id):
                self._send(connection, ConsoleLog(number, self._console_log(instance_id)))
            case Update():
                self._mirror.update(message)
                if message.complete:
                    self._wake()

    def _beat(self) -> None:
        while not self._stopped.wait(self._interval):
            if (connection := self._connection) is not None:
                self._send(connection, Heartbeat(self._roles()))


def _matters(status: Status) -> bool:
    """Whether the server is to know a status."""
    return status.state != "applied" or status.fragment.partition("/")[0] not in SILENT_KINDS
