"""What agents tell, gathered for the rules: many agents in one transaction, and nothing that is known already.

A heartbeat counts when it came, however long it waits here. What cannot be written now, because the database does not
answer, is written later; newer news of a host replaces older.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
import structlog

from netloom.feed.protocol import Report, Role, Status, Traffic
from netloom.model.errors import ServiceUnavailable
from netloom.store.among import among
from netloom.store.database import Store, Tx
from netloom.store.tables.feed import APPLIED

LOG = structlog.get_logger()
BEAT = 1.0
"""Seconds for which heartbeats that say nothing new are gathered."""
LATE = 10.0
"""Seconds without a look at what came after which silence of agents means nothing."""
RETRY = 1.0
"""Seconds until the next attempt when the database does not answer."""
Members = Mapping[str, Mapping[str, str] | None]
"""States of members by id of the load balancer."""
Passed = Mapping[str, Mapping[str, Traffic]]
"""What has passed through listeners, by id and worker."""
TRANSIENT = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError, ServiceUnavailable)
"""Errors of the database, not of what is to be written."""
HOSTS = 50
"""Hosts with news in one transaction at most, so that it holds nobody up."""
LIVING = 1000
"""The same of those that only live."""


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life."""

    at: float
    """When it came, seconds since 1970."""
    roles: Sequence[Role]
    news: bool
    """Whether the roles may differ from what was told before over the same connection."""
    started: bool
    """Whether the agent has just connected."""


@dataclass(frozen=True)
class Listeners:
    """What the feed tells the rules; each is called in a write transaction."""

    present: Callable[[Tx, Mapping[str, Beat]], None]
    """Hosts live."""
    report: Callable[[Tx, Mapping[str, Report]], None]
    """Hosts tell what they have applied, and which fragments are gone."""
    router_states: Callable[[Tx, str, Mapping[str, str]], None]
    """A host tells what it is for what others carry, too (``active``, ``standby`` or ``fault`` by id)."""
    members: Callable[[Tx, Mapping[str, Members]], None]
    """Hosts tell how the members of their load balancers are."""
    traffic: Callable[[Tx, Mapping[str, Passed]], None]
    """Hosts tell what has passed through their listeners."""


@dataclass
class Batch:
    """News by host."""

    beats: dict[str, Beat] = field(default_factory=dict)
    reports: dict[str, Report] = field(default_factory=dict)
    states: dict[str, Mapping[str, str]] = field(default_factory=dict)
    members: dict[str, Members] = field(default_factory=dict)
    traffic: dict[str, Passed] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.beats or self.reports or self.states or self.members or self.traffic)

    def add(self, newer: "Batch") -> None:
        """Take over newer news."""
        for host, beat in newer.beats.items():
            old = self.beats.get(host, beat)
            self.beats[host] = replace(beat, news=beat.news or old.news, started=beat.started or old.started)
        for host, report in newer.reports.items():
            self.reports[host] = merged(self.reports[host], report) if host in self.reports else report
        for host, states in newer.states.items():
            self.states[host] = {**self.states.get(host, {}), **states}
        for host, members in newer.members.items():
            self.members[host] = {**self.members.get(host, {}), **members}
        for host, passed in newer.traffic.items():
            # A worker that has ended since is not told of again.
            older = self.traffic.get(host, {})
            self.traffic[host] = {each: {**older.get(each, {}), **passed.get(each, {})} for each in {**older, **passed}}


class Inbox:
    """News of all agents of this server, until they are written."""

    def __init__(self, store: Store, listeners: Listeners, refuse: Callable[[str], None]) -> None:
        """``refuse`` is told of hosts whose news the rules cannot take; they must tell everything anew."""
        self._store, self._listeners, self._refuse = store, listeners, refuse
        self._news = Batch()
        self._urgent = asyncio.Event()
        self._attentive = self._looked = time.monotonic()

    @property
    def attentive(self) -> float:
        """Seconds for which all heartbeats have been written soon after they came: longer silence than that is real."""
        now = time.monotonic()
        return now - self._attentive if now - self._looked < LATE else 0.0

    def put(self, news: Batch) -> None:
        """Have news written soon."""
        self._news.add(news)
        if news.reports or news.states or news.members or any(beat.news for beat in news.beats.values()):
            self._urgent.set()

    async def run(self) -> None:
        """Write the news until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._urgent.wait(), BEAT)
            self._urgent.clear()
            if not self.attentive:
                self._attentive = time.monotonic()
            self._looked = time.monotonic()
            if self._news:
                await self._deliver()

    async def _deliver(self) -> None:
        batch, self._news = self._news, Batch()
        try:
            await asyncio.to_thread(self._write, batch)
        except Exception as error:
            LOG.warning("what agents tell cannot be written and is kept", error=str(error), retry_in=RETRY)
            self._attentive = time.monotonic()
            batch.add(self._news)
            self._news = batch
            await asyncio.sleep(RETRY)

    def _write(self, batch: Batch) -> None:
        """Write what is new, and take it out of the batch; what remains was not written."""
        living = sorted(host for host, beat in batch.beats.items() if not beat.news)
        self._each(living, LIVING, batch.beats, self._listeners.present)
        self._each(sorted(batch.beats), HOSTS, batch.beats, self._listeners.present)
        self._keep_news(batch.reports)
        self._each(sorted(batch.reports), HOSTS, batch.reports, self._listeners.report)
        self._each(sorted(batch.states), HOSTS, batch.states, self._router_states)
        self._each(sorted(batch.members), HOSTS, batch.members, self._listeners.members)
        self._each(sorted(batch.traffic), HOSTS, batch.traffic, self._listeners.traffic)

    def _each(
        self, names: Sequence[str], size: int, news: dict[str, Any], listener: Callable[[Tx, Mapping[str, Any]], None]
    ) -> None:
        """Tell a listener the news of some hosts at a time."""
        for hosts in _chunks(names, size):
            try:
                self._tell(listener, {host: news[host] for host in hosts})
            except TRANSIENT:
                raise
            except Exception:
                LOG.exception("some of what these hosts tell is wrong: each is heard alone", hosts=hosts)
                for host in hosts:
                    self._alone(host, news[host], listener)
            for host in hosts:
                del news[host]

    def _alone(self, host: str, news: object, listener: Callable[[Tx, Mapping[str, Any]], None]) -> None:
        try:
            self._tell(listener, {host: news})
        except TRANSIENT:
            raise
        except Exception:
            LOG.exception("what a host tells cannot be taken: it is to tell everything anew", host=host)
            self._refuse(host)

    def _tell(self, listener: Callable[[Tx, Mapping[str, Any]], None], news: Mapping[str, Any]) -> None:
        with self._store.write() as tx:
            listener(tx, news)

    def _router_states(self, tx: Tx, states: Mapping[str, Mapping[str, str]]) -> None:
        for host, those in states.items():
            self._listeners.router_states(tx, host, those)

    def _keep_news(self, reports: dict[str, Report]) -> None:
        """Leave of complete reports what is not known yet, and none of those that tell nothing new."""
        complete = [host for host, report in reports.items() if report.complete]
        for hosts in _chunks(sorted(complete), HOSTS):
            with self._store.read() as tx:
                known = _known(tx, hosts)
            for host in hosts:
                told = {status.fragment for status in reports[host].statuses}
                fresh = [status for status in reports[host].statuses if known[host].get(status.fragment) != status]
                if gone := sorted(known[host].keys() - told):
                    reports[host] = Report(fresh, gone)
                elif fresh:
                    reports[host] = Report(fresh)
                else:
                    del reports[host]


def merged(older: Report, newer: Report) -> Report:
    """Two reports of one connection, or of two after each other, as one."""
    if newer.complete:
        return newer
    statuses = {status.fragment: status for status in (*older.statuses, *newer.statuses)}
    told = {status.fragment for status in newer.statuses}
    gone = {*older.gone, *newer.gone} - told
    return Report([each for name, each in statuses.items() if name not in gone], sorted(gone), older.complete)


def _known(tx: Tx, hosts: Collection[str]) -> dict[str, dict[str, Status]]:
    known: dict[str, dict[str, Status]] = {host: {} for host in hosts}
    table = APPLIED.c
    statement = sa.select(table.host, table.fragment, table.version, table.state, table.reason)
    for host, fragment, version, state, reason in tx.tuples(statement.where(among(tx, table.host, hosts))):
        known[host][fragment] = Status(fragment, version, state, reason)
    return known


def _chunks(hosts: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (hosts[i : i + size] for i in range(0, len(hosts), size))
