"""The server's end of the streams: who is connected, what each should hold, and what they tell.

One task follows the change log. For each batch of changes it asks, once per connected host, which fragments
the host should hold now, renders those that are new to it or that may have changed, and queues an update.
A fragment whose contents did not change has the version that the agent holds already, and is not sent.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import sqlalchemy as sa
import structlog
from starlette.concurrency import run_in_threadpool
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from netloom.feed import changes, keys
from netloom.feed.interest import interest
from netloom.feed.protocol import (
    CHUNK,
    PATH,
    VERSION,
    FromServer,
    Heartbeat,
    Hello,
    Piece,
    Refused,
    Report,
    Role,
    Status,
    Update,
    decode_agent,
    encode,
)
from netloom.feed.render import encode as encode_fragment
from netloom.feed.render import render
from netloom.feed.render import version as version_of
from netloom.settings.network import NetworkSettings
from netloom.store.database import Store, Tx
from netloom.store.tables.feed import APPLIED

LOG = structlog.get_logger()
POLL = 1.0
"""Seconds between looks at the change log when nothing wakes the feed (other servers' commits)."""
TRIM_INTERVAL = 300.0
"""Seconds between trimmings of the change log."""
KEPT_CHANGES = 100_000


@dataclass(frozen=True)
class Listeners:
    """What the feed tells the rules; each is called in a write transaction."""

    present: Callable[[Tx, str, Sequence[Role], bool], None]
    """A host has said hello (True: its agent has just connected) or sent a heartbeat, with its roles."""
    report: Callable[[Tx, str, Sequence[Status], Collection[str]], None]
    """A host tells what it has applied, and which fragments are gone."""


@dataclass(eq=False)
class Session:
    """One connected agent."""

    host: str
    sent: dict[str, str] = field(default_factory=dict)
    """Versions by name of what the agent holds once it has read its queue."""
    fresh: bool = True
    """Whether it has had no update yet: then all that it holds is compared, not only what changed."""
    queue: asyncio.Queue[FromServer] = field(default_factory=asyncio.Queue)


class Feed:
    """All streams of this server."""

    def __init__(self, store: Store, settings: NetworkSettings, listeners: Listeners) -> None:
        self._store = store
        self._settings = settings
        self._listeners = listeners
        self._sessions: set[Session] = set()
        self._wake = asyncio.Event()
        self._position = ""
        self._trimmed = time.monotonic()
        self._trimming: asyncio.Task[None] | None = None

    @property
    def route(self) -> WebSocketRoute:
        """The route to mount."""
        return WebSocketRoute(PATH, self._serve)

    @property
    def hosts(self) -> list[str]:
        """Names of the hosts that are connected to this server."""
        return sorted(session.host for session in self._sessions)

    async def run(self) -> None:
        """Follow the change log until cancelled."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._wake.set)

        self._store.listen(wake)
        self._position = await run_in_threadpool(self._now)
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL)
            self._wake.clear()
            try:
                await self._follow()
                self._trim_when_due()
            except Exception:
                LOG.exception("the feed could not follow the change log; it tries again")
                await asyncio.sleep(POLL)

    def _trim_when_due(self) -> None:
        """Forget old changes now and then; a reader that fell behind compares everything."""
        if time.monotonic() - self._trimmed > TRIM_INTERVAL:
            self._trimmed = time.monotonic()
            self._trimming = asyncio.create_task(run_in_threadpool(self._trim))

    def _trim(self) -> None:
        with self._store.write() as tx:
            changes.trim(tx, KEPT_CHANGES)

    def _now(self) -> str:
        with self._store.read() as tx:
            return changes.since(tx, None)[0]

    async def _follow(self) -> None:
        # One task computes all updates, one after the other: an older answer can never overtake a newer one.
        held = {session: dict(session.sent) for session in self._sessions}
        position, updates = await run_in_threadpool(self._compute, held)
        self._position = position
        for session, update in updates.items():
            self._queue(session, update)

    def _compute(self, held: Mapping[Session, Mapping[str, str]]) -> tuple[str, dict[Session, Update]]:
        with self._store.read() as tx:
            position, changed = changes.since(tx, self._position)
            touched = None if changed is None else {f"{kind}/{object_id}" for kind, object_id in changed}
            return position, {
                session: difference(tx, session.host, sent, None if session.fresh else touched, self._settings)
                for session, sent in held.items()
                if touched or touched is None or session.fresh
            }

    def _queue(self, session: Session, update: Update) -> None:
        if not (update.pieces or update.removed or session.fresh):
            return
        session.fresh = False
        for name in update.removed:
            session.sent.pop(name, None)
        session.sent |= {piece.name: piece.version for piece in update.pieces}
        for part in parts(update):
            session.queue.put_nowait(part)

    async def _serve(self, socket: WebSocket) -> None:
        host = await run_in_threadpool(self._authenticated, socket.headers.get("authorization", ""))
        if host is None:
            LOG.warning("a stream was refused: unknown host or wrong key")
            await socket.close(code=4401, reason="unknown host or wrong key")
            return
        await socket.accept()
        session = Session(host)
        try:
            await self._converse(socket, session)
        except (WebSocketDisconnect, msgspec.DecodeError) as end:
            LOG.info("an agent's stream ended", host=host, reason=str(end))
        finally:
            self._sessions.discard(session)

    def _authenticated(self, header: str) -> str | None:
        scheme, _, rest = header.partition(" ")
        host, _, key = rest.rpartition(":")
        if scheme != "Netloom" or not host:
            return None
        with self._store.read() as tx:
            return host if keys.verify(tx, host, key) else None

    async def _converse(self, socket: WebSocket, session: Session) -> None:
        hello = decode_agent(await socket.receive_bytes())
        if not isinstance(hello, Hello) or hello.protocol != VERSION:
            await socket.send_bytes(encode(Refused(f"this server speaks version {VERSION} of the protocol")))
            return
        await run_in_threadpool(self._tell, self._listeners.present, session.host, hello.roles, True)
        session.sent = dict(hello.holds)
        self._sessions.add(session)
        self._wake.set()
        LOG.info("an agent is connected", host=session.host, holds=len(hello.holds))
        sender = asyncio.create_task(_drain(session.queue, socket.send_bytes))
        try:
            while True:
                await self._receive(session, await socket.receive_bytes())
        finally:
            sender.cancel()

    async def _receive(self, session: Session, frame: bytes) -> None:
        match decode_agent(frame):
            case Report() as report:
                await run_in_threadpool(self._note, session.host, report)
            case Heartbeat(roles):
                await run_in_threadpool(self._tell, self._listeners.present, session.host, roles, False)
            case Hello():
                raise WebSocketDisconnect(4400, "a second hello")

    def _note(self, host: str, report: Report) -> None:
        with self._store.write() as tx:
            gone = set(report.gone)
            if report.complete:
                known = tx.execute(sa.select(APPLIED.c.fragment).where(APPLIED.c.host == host)).scalars()
                gone |= set(known) - {status.fragment for status in report.statuses}
            self._listeners.report(tx, host, report.statuses, gone)

    def _tell(self, listener: Callable[..., None], *values: object) -> None:
        with self._store.write() as tx:
            listener(tx, *values)


def difference(
    tx: Tx, host: str, held: Mapping[str, str], touched: set[str] | None, settings: NetworkSettings
) -> Update:
    """What turns what a host holds into what it should hold.

    ``touched`` names the fragments that may have changed since ``held`` was told; None: any may have.
    """
    wanted = interest(tx, host)
    look = wanted if touched is None else (wanted & touched) | (wanted - held.keys())
    pieces = []
    for name, fragment in sorted(render(tx, look, settings).items()):
        if fragment is None:
            wanted.discard(name)
            continue
        body = encode_fragment(fragment)
        if held.get(name) != (version := version_of(body)):
            pieces.append(Piece(name, version, body))
    return Update(pieces, sorted(held.keys() - wanted), complete=True)


def parts(update: Update) -> list[Update]:
    """An update cut into parts of a bounded size; only the last is complete."""
    chunks = [update.pieces[i : i + CHUNK] for i in range(0, len(update.pieces), CHUNK)] or [[]]
    return [
        Update(chunk, update.removed if i == len(chunks) - 1 else [], complete=i == len(chunks) - 1)
        for i, chunk in enumerate(chunks)
    ]


async def _drain(queue: "asyncio.Queue[FromServer]", send: Callable[[bytes], Awaitable[None]]) -> None:
    while True:
        await send(encode(await queue.get()))
