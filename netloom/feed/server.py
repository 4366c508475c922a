"""The server's end of the streams: who is connected, what each should hold, and what they tell.

One task follows the change log, and queues for each connected agent what the changes mean for its host.
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
from netloom.feed.protocol import (
    CHUNK,
    PATH,
    VERSION,
    FromServer,
    Heartbeat,
    Hello,
    Refused,
    Report,
    Role,
    Status,
    Update,
    decode_agent,
    encode,
)
from netloom.feed.view import Slice, View
from netloom.settings.network import NetworkSettings
from netloom.store.database import Store, Tx
from netloom.store.tables.feed import APPLIED

LOG = structlog.get_logger()
POLL = 1.0
"""Seconds between looks at the change log when nothing wakes the feed (other servers' commits)."""
TRIM_INTERVAL = 300.0
"""Seconds between trimmings of the change log."""
KEPT_CHANGES = 100_000
FRESH_AT_ONCE = 50
"""Agents whose first updates are computed together: many share fragments, but changes wait meanwhile."""


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

    slice: Slice
    """What the agent holds once it has read its queue."""
    queue: asyncio.Queue[FromServer] = field(default_factory=asyncio.Queue)


class Feed:
    """All streams of this server."""

    def __init__(self, store: Store, settings: NetworkSettings, listeners: Listeners) -> None:
        self._store = store
        self._listeners = listeners
        self._sessions: dict[Session, None] = {}
        """In the order in which they came."""
        self._wake = asyncio.Event()
        self._view = View(settings)
        self._trimmed = time.monotonic()
        self._trimming: asyncio.Task[None] | None = None

    @property
    def route(self) -> WebSocketRoute:
        """The route to mount."""
        return WebSocketRoute(PATH, self._serve)

    @property
    def hosts(self) -> list[str]:
        """Names of the hosts that are connected to this server."""
        return sorted(session.slice.host for session in self._sessions)

    async def run(self) -> None:
        """Follow the change log until cancelled."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._wake.set)

        self._store.listen(wake)
        self._wake.set()
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

    async def _follow(self) -> None:
        # One task computes all updates, one after the other: an older answer can never overtake a newer one.
        sessions = {session.slice: session for session in self._sessions}
        known = [each for each in sessions if each.holds is None]
        fresh = [each for each in sessions if each.holds is not None]
        if len(fresh) > FRESH_AT_ONCE:
            self._wake.set()
        updates = await run_in_threadpool(self._compute, [*known, *fresh[:FRESH_AT_ONCE]])
        for each, update in updates.items():
            for part in parts(update):
                sessions[each].queue.put_nowait(part)

    def _compute(self, slices: Collection[Slice]) -> Mapping[Slice, Update]:
        with self._store.read() as tx:
            return self._view.follow(tx, slices)

    async def _serve(self, socket: WebSocket) -> None:
        host = await run_in_threadpool(self._authenticated, socket.headers.get("authorization", ""))
        if host is None:
            LOG.warning("a stream was refused: unknown host or wrong key")
            await socket.close(code=4401, reason="unknown host or wrong key")
            return
        await socket.accept()
        try:
            await self._converse(socket, host)
        except (WebSocketDisconnect, msgspec.DecodeError) as end:
            LOG.info("an agent's stream ended", host=host, reason=str(end))

    def _authenticated(self, header: str) -> str | None:
        scheme, _, rest = header.partition(" ")
        host, _, key = rest.rpartition(":")
        if scheme != "Netloom" or not host:
            return None
        with self._store.read() as tx:
            return host if keys.verify(tx, host, key) else None

    async def _converse(self, socket: WebSocket, host: str) -> None:
        hello = decode_agent(await socket.receive_bytes())
        if not isinstance(hello, Hello) or hello.protocol != VERSION:
            await socket.send_bytes(encode(Refused(f"this server speaks version {VERSION} of the protocol")))
            return
        await run_in_threadpool(self._tell, self._listeners.present, host, hello.roles, True)
        session = Session(Slice(host, hello.holds))
        self._sessions[session] = None
        self._wake.set()
        LOG.info("an agent is connected", host=host, holds=len(hello.holds))
        sender = asyncio.create_task(_drain(session.queue, socket.send_bytes))
        try:
            while True:
                await self._receive(host, await socket.receive_bytes())
        finally:
            del self._sessions[session]
            sender.cancel()

    async def _receive(self, host: str, frame: bytes) -> None:
        match decode_agent(frame):
            case Report() as report:
                await run_in_threadpool(self._note, host, report)
            case Heartbeat(roles):
                await run_in_threadpool(self._tell, self._listeners.present, host, roles, False)
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
