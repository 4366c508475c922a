"""The server's end of the streams: who is connected, what each should hold, and what they tell.

One task follows the change log, and queues for each connected agent what the changes mean for its host.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

import msgspec
import structlog
from starlette.concurrency import run_in_threadpool
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from netloom.feed import changes, keys
from netloom.feed.hints import Hints
from netloom.feed.inbox import Batch, Beat, Inbox, Listeners
from netloom.feed.protocol import (
    CHUNK,
    PATH,
    VERSION,
    AskConsoleLog,
    ConsoleLog,
    FromServer,
    Heartbeat,
    Hello,
    MemberStates,
    Refused,
    Report,
    Role,
    RouterStates,
    TrafficReport,
    Update,
    decode_agent,
    encode,
)
from netloom.feed.view import Slice, View
from netloom.settings.network import NetworkSettings
from netloom.store.database import Store

LOG = structlog.get_logger()
POLL = 1.0
"""Seconds between looks at the change log when nothing wakes the feed (other servers' commits)."""
TRIM_INTERVAL = 300.0
"""Seconds between trimmings of the change log."""
KEPT_CHANGES = 100_000
ANSWER = 10.0
"""Seconds that a host has to answer a question."""
FRESH_AT_ONCE = 50
"""Agents whose first updates are computed together: many share fragments, but changes wait meanwhile."""


@dataclass(eq=False)
class Session:
    """One connected agent."""

    slice: Slice
    """What the agent holds once it has read its queue."""
    task: "asyncio.Task[None]"
    """What listens to it; when it is cancelled, the connection ends and the agent comes back with everything."""
    queue: asyncio.Queue[FromServer] = field(default_factory=asyncio.Queue)


class Feed:
    """All streams of this server."""

    def __init__(self, store: Store, settings: NetworkSettings, listeners: Listeners) -> None:
        self._store = store
        # Signs of life never wait for reports.
        self._life = Inbox(store, listeners, self._refuse)
        self._inbox = Inbox(store, listeners, self._refuse)
        self._hints = Hints(store, self._hear)
        self._sessions: dict[Session, None] = {}
        """In the order in which they came."""
        self._wake = asyncio.Event()
        self._view = View(settings)
        self._trimmed = time.monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._questions: dict[tuple[str, int], Future[str | None]] = {}
        """By host and number."""
        self._numbers = itertools.count()

    @property
    def route(self) -> WebSocketRoute:
        """The route to mount."""
        return WebSocketRoute(PATH, self._serve)

    @property
    def hosts(self) -> list[str]:
        """Names of the hosts that are connected to this server."""
        return sorted(session.slice.host for session in self._sessions)

    @property
    def attentive(self) -> float:
        """Seconds for which this server has heard all its agents: those that were silent for longer are dead."""
        return self._life.attentive

    def console_log(self, host: str, instance_id: str) -> str | None:
        """What an instance said on its console, as its host tells; None when it is not there. From any thread.

        Raises:
            ConnectionError: the host is not connected to this server, or does not answer.
        """
        session = next((each for each in list(self._sessions) if each.slice.host == host), None)
        if session is None or self._loop is None:
            raise ConnectionError(f"host {host} is not connected to this server")
        number, answer = next(self._numbers), Future[str | None]()
        self._questions[host, number] = answer
        try:
            self._loop.call_soon_threadsafe(session.queue.put_nowait, AskConsoleLog(number, instance_id))
            return answer.result(ANSWER)
        except TimeoutError:
            raise ConnectionError(f"host {host} does not answer") from None
        finally:
            del self._questions[host, number]

    async def run(self) -> None:
        """Follow the change log, and write what agents tell, until cancelled."""
        self._loop = asyncio.get_running_loop()
        self._store.listen(self._changed)
        self._wake.set()
        await asyncio.gather(*map(_lasting, (self._follow, self._life.run, self._inbox.run, self._hints.run)))

    def _changed(self) -> None:
        """Something was committed here; called from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)
            self._loop.call_soon_threadsafe(self._hints.tell)

    def _hear(self) -> None:
        self._wake.set()

    def _refuse(self, host: str) -> None:
        """End the connections of a host; called from any thread."""
        if self._loop is not None:
            for session in list(self._sessions):
                if session.slice.host == host:
                    self._loop.call_soon_threadsafe(session.task.cancel)

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL)
            self._wake.clear()
            await self._tell()
            if time.monotonic() - self._trimmed > TRIM_INTERVAL:
                self._trimmed = time.monotonic()
                await asyncio.to_thread(self._trim)

    def _trim(self) -> None:
        with self._store.write() as tx:
            changes.trim(tx, KEPT_CHANGES)

    async def _tell(self) -> None:
        # One task computes all updates, one after the other: an older answer can never overtake a newer one.
        sessions = {session.slice: session for session in self._sessions}
        known = [each for each in sessions if each.holds is None]
        fresh = [each for each in sessions if each.holds is not None]
        if len(fresh) > FRESH_AT_ONCE:
            self._wake.set()
        updates = await asyncio.to_thread(self._compute, [*known, *fresh[:FRESH_AT_ONCE]])
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
        self._life.put(Batch(beats={host: Beat(time.time(), hello.roles, news=True, started=True)}))
        session = Session(Slice(host, hello.holds), asyncio.ensure_future(self._listen(socket, host, hello.roles)))
        self._sessions[session] = None
        self._wake.set()
        LOG.info("an agent is connected", host=host, holds=len(hello.holds))
        sender = asyncio.create_task(_drain(session.queue, socket.send_bytes))
        try:
            await session.task
        except asyncio.CancelledError:
            session.task.cancel()
            await socket.close(1012, "tell everything anew")
        finally:
            del self._sessions[session]
            sender.cancel()

    async def _listen(self, socket: WebSocket, host: str, roles: list[Role]) -> None:
        while True:
            message = decode_agent(await socket.receive_bytes())
            if isinstance(message, ConsoleLog):
                if answer := self._questions.get((host, message.number)):
                    answer.set_result(message.text)
                continue
            news, roles = _news(host, message, roles)
            (self._life if news.beats else self._inbox).put(news)


async def _lasting(work: Callable[[], Awaitable[None]]) -> None:
    """Have a task go on after an error, until it is cancelled."""
    while True:
        try:
            await work()
            return
        except Exception:
            LOG.exception("a task of the feed failed; it starts again")
            await asyncio.sleep(POLL)


def _news(
    host: str, message: Hello | Report | Heartbeat | RouterStates | MemberStates | TrafficReport, roles: list[Role]
) -> tuple[Batch, list[Role]]:
    """What a message brings, and the roles of the host as they are known then."""
    match message:
        case Report():
            return Batch(reports={host: message}), roles
        case RouterStates(states):
            return Batch(states={host: states}), roles
        case MemberStates(states):
            return Batch(members={host: states}), roles
        case TrafficReport(listeners):
            return Batch(traffic={host: listeners}), roles
        case Heartbeat(told):
            return Batch(beats={host: Beat(time.time(), told, news=told != roles, started=False)}), told
        case Hello():
            raise WebSocketDisconnect(4400, "a second hello")


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
