"""Simulated agents: the real protocol, many in one process, no data plane. What they are told is applied at once."""

import asyncio
import multiprocessing
import multiprocessing.connection
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from netloom.feed.client import DISPERSION, FIRST_RETRY, LAST_RETRY, LASTING, SILENT_KINDS
from netloom.feed.protocol import (
    PATH,
    VERSION,
    Heartbeat,
    Hello,
    Report,
    Role,
    Status,
    Update,
    decode_server,
    encode,
)

APPLYING = 0.02
"""Seconds between an update and the report on it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A host, as its agent shows itself."""

    host: str
    key: str
    roles: tuple[Role, ...]


@dataclass(frozen=True, slots=True)
class State:
    """Of the agents of one process."""

    current: int
    """Agents that are connected and hold all that they should."""
    last: float
    """When the last of them became so; ``time.monotonic``, which all processes of a machine share."""
    names: int
    """Fragments that all agents hold together."""
    received: int
    """Fragments received since the process began."""


class Agent:
    """One agent."""

    def __init__(self, identity: Identity, servers: Sequence[str], interval: float, process: "Process") -> None:
        self._identity, self._servers, self._interval, self._process = identity, servers, interval, process
        self.holds: dict[str, str] = {}
        self.current_since: float | None = None

    async def run(self) -> None:
        """Stay connected, as ``netloom.feed.client.Stream`` does."""
        turn, delay = random.randrange(len(self._servers)), FIRST_RETRY
        while True:
            began = time.monotonic()
            with suppress(OSError, WebSocketException, TimeoutError):
                await self._converse(self._servers[turn % len(self._servers)])
            self.current_since = None
            turn += 1
            if time.monotonic() - began > LASTING:
                delay = FIRST_RETRY
                await asyncio.sleep(random.uniform(0, DISPERSION))
            else:
                await asyncio.sleep(random.uniform(delay / 2, delay))
                delay = min(delay * 2, LAST_RETRY)

    async def _converse(self, server: str) -> None:
        headers = {"Authorization": f"Netloom {self._identity.host}:{self._identity.key}"}
        async with connect(
            server + PATH, additional_headers=headers, max_size=None, open_timeout=10, compression=None
        ) as connection:
            await connection.send(encode(Hello(VERSION, list(self._identity.roles), self.holds)))
            beating = asyncio.create_task(self._beat(connection))
            try:
                first = True
                while True:
                    first = await self._take(connection, decode_server(await connection.recv(decode=False)), first)
            finally:
                beating.cancel()

    async def _take(self, connection: ClientConnection, message: Any, first: bool) -> bool:
        """Take over an update and report on it; whether the first complete one is still to come."""
        if not isinstance(message, Update):
            raise OSError(f"refused: {message.reason}")
        self._process.note(message)
        for name in message.removed:
            self.holds.pop(name, None)
        for piece in message.pieces:
            self.holds[piece.name] = piece.version
        if first and not message.complete:
            return True
        if first:
            self.current_since = time.monotonic()
            names: Any = self.holds
        else:
            names = [piece.name for piece in message.pieces]
        told = [Status(name, self.holds[name], "applied") for name in names if _told(name)]
        gone = [name for name in message.removed if _told(name)] if not first else []
        if told or gone or first:
            await asyncio.sleep(APPLYING)
            await connection.send(encode(Report(told, gone, complete=first)))
        return False

    async def _beat(self, connection: ClientConnection) -> None:
        await asyncio.sleep(random.uniform(0, self._interval))
        with suppress(WebSocketException, OSError):
            while True:
                await connection.send(encode(Heartbeat(list(self._identity.roles))))
                await asyncio.sleep(self._interval)


def _told(name: str) -> bool:
    return name.partition("/")[0] not in SILENT_KINDS


@dataclass
class Process:
    """The inside of a process of agents: what it is asked by ``Agents``."""

    agents: list[Agent] = field(default_factory=list)
    watched: dict[str, list[float]] = field(default_factory=dict)
    received: int = 0

    def note(self, update: Update) -> None:
        """Remember when watched fragments came."""
        self.received += len(update.pieces)
        for piece in update.pieces:
            if piece.name in self.watched:
                self.watched[piece.name].append(time.monotonic())

    async def serve(self, pipe: multiprocessing.connection.Connection) -> None:
        """Answer until told to stop."""
        running = [asyncio.create_task(agent.run()) for agent in self.agents]
        while True:
            while not pipe.poll():
                await asyncio.sleep(0.01)
            verb, value = pipe.recv()
            if verb == "stop":
                break
            pipe.send(getattr(self, verb)(value))
        for task in running:
            task.cancel()

    def state(self, _: None) -> State:
        """Where all are."""
        times = [agent.current_since for agent in self.agents if agent.current_since is not None]
        names = sum(len(agent.holds) for agent in self.agents)
        return State(len(times), max(times, default=0.0), names, self.received)

    def forget(self, _: None) -> None:
        """Have all agents hold nothing: they lost their disks."""
        for agent in self.agents:
            agent.holds = {}

    def watch(self, names: Sequence[str]) -> None:
        """Remember from now on when these fragments come, and nothing else."""
        self.watched = {name: [] for name in names}

    def seen(self, _: None) -> Mapping[str, Sequence[float]]:
        """When the watched ones came."""
        return self.watched


class Agents:
    """Agents in processes of their own."""

    def __init__(self, identities: Sequence[Identity], servers: Sequence[str], interval: float, processes: int) -> None:
        """``interval``: seconds between heartbeats."""
        context = multiprocessing.get_context("spawn")
        self.count = len(identities)
        self._pipes, self._processes = [], []
        for number in range(processes):
            ours, theirs = context.Pipe()
            values = (theirs, identities[number::processes], servers, interval)
            process = context.Process(target=_serve, args=values, daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def ask(self, verb: str, value: Any = None) -> list[Any]:
        """Ask each process."""
        for pipe in self._pipes:
            pipe.send((verb, value))
        return [pipe.recv() for pipe in self._pipes]

    def wait_until_current(self, timeout: float) -> tuple[float, Sequence[State]]:
        """Wait until all agents hold what they should; returns when the last one did, and where all are.

        Raises:
            RuntimeError: it takes longer than ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            states = self.ask("state")
            if sum(state.current for state in states) == self.count:
                return max(state.last for state in states), states
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {sum(state.current for state in states)} of {self.count} agents are current")
            time.sleep(0.05)

    def arrivals(self, names: Sequence[str], count: int, timeout: float) -> list[float]:
        """When the ``count`` copies of watched fragments came, or those that did within ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            seen = self.ask("seen")
            times = [when for each in seen for name in names for when in each[name]]
            if len(times) >= count or time.monotonic() > deadline:
                return times
            time.sleep(0.02)

    def stop(self) -> None:
        """End the processes."""
        for pipe in self._pipes:
            with suppress(OSError):
                pipe.send(("stop", None))
        for process in self._processes:
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()


def _serve(
    pipe: multiprocessing.connection.Connection, identities: Sequence[Identity], servers: Sequence[str], interval: float
) -> None:
    process = Process()
    process.agents = [Agent(identity, servers, interval, process) for identity in identities]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(process.serve(pipe))
