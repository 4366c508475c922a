"""News of agents on their way to the rules: many at a time, none lost, none in the way of others."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from netloom.feed.inbox import Batch, Beat, Inbox, Listeners, merged
from netloom.feed.protocol import Report, Role, Status, Traffic
from netloom.rules import status
from netloom.store.database import Store
from netloom.store.tables.feed import APPLIED

ROLES = [Role("Open vSwitch agent", "neutron-openvswitch-agent", "N/A", {})]


class Rules:
    """What the rules were told, transaction by transaction; reports are stored."""

    def __init__(self) -> None:
        self.present: list[dict[str, Beat]] = []
        self.reports: list[tuple[str, Sequence[Status], set[str]]] = []
        self.states: list[tuple[str, dict[str, str]]] = []
        self.members: list[dict[str, Any]] = []
        self.traffic: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.failures: list[Exception] = []
        self.poison = ""

    def take_present(self, tx, beats):
        tx.execute(sa.select(1))
        if self.failures:
            raise self.failures.pop()
        if self.poison in beats:
            raise ValueError("such a host cannot be")
        self.present.append(dict(beats))

    def take_report(self, tx, reports):
        self.reports += [(host, each.statuses, set(each.gone)) for host, each in reports.items()]
        for host, each in reports.items():
            told = {one.fragment: (one.state, one.version, one.reason) for one in each.statuses}
            status.report(tx, host, told, each.gone)

    def take_states(self, _tx, host, states):
        self.states.append((host, dict(states)))

    def take_members(self, _tx, told):
        self.members.append(dict(told))

    def take_traffic(self, _tx, told):
        self.traffic.append(dict(told))

    def listeners(self) -> Listeners:
        return Listeners(self.take_present, self.take_report, self.take_states, self.take_members, self.take_traffic)


@pytest.fixture
def rules() -> Rules:
    return Rules()


@contextmanager
def writes(store: Store) -> Iterator[list[None]]:
    """Write transactions in the block."""
    seen: list[None] = []

    def begin(connection):
        if connection.get_execution_options().get("writes"):
            seen.append(None)

    sa.event.listen(store.engine, "begin", begin)
    try:
        yield seen
    finally:
        sa.event.remove(store.engine, "begin", begin)


def deliver(store: Store, rules: Rules, *batches: Batch, done) -> None:
    """Put news into an inbox, and run it until ``done()``."""

    async def run() -> None:
        inbox = Inbox(store, rules.listeners(), rules.refused.append)
        running = asyncio.create_task(inbox.run())
        for batch in batches:
            inbox.put(batch)
        deadline = time.monotonic() + 10
        while not done():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        running.cancel()

    asyncio.run(run())


def beat(at: float = 1.0, news: bool = False, started: bool = False) -> Beat:
    return Beat(at, ROLES, news, started)


def applied(*fragments: str, complete: bool = False, version: str = "1") -> Report:
    return Report([Status(fragment, version, "applied") for fragment in fragments], complete=complete)


def test_heartbeats_of_all_are_written_together_and_count_when_they_came(store, rules):
    with writes(store) as seen:
        batches = [Batch(beats={f"h{number}": beat(at=number)}) for number in range(300)]
        deliver(store, rules, *batches, done=lambda: rules.present)
    assert len(seen) == 1
    assert {host: each.at for host, each in rules.present[0].items()} == {f"h{n}": n for n in range(300)}


def test_a_newer_heartbeat_keeps_what_an_older_one_told_of(store, rules):
    batches = [Batch(beats={"h": each}) for each in (beat(1, news=True, started=True), beat(2))]
    deliver(store, rules, *batches, done=lambda: rules.present)
    assert rules.present == [{"h": beat(2, news=True, started=True)}]


def test_news_need_not_wait_for_heartbeats(store, rules):
    began = time.monotonic()
    deliver(store, rules, Batch(states={"h": {"r": "active"}}), done=lambda: rules.states)
    assert time.monotonic() - began < 0.5


def test_reports_that_tell_nothing_new_cost_no_write(store, rules):
    first = Batch(reports={f"h{number}": applied("port/a", "port/b", complete=True) for number in range(60)})
    deliver(store, rules, first, done=lambda: len(rules.reports) == 60)
    again = Batch(reports={f"h{number}": applied("port/b", "port/a", complete=True) for number in range(60)})
    again.reports["h7"] = applied("port/a", "port/c", complete=True)
    rules.reports.clear()
    with writes(store) as seen:
        deliver(store, rules, again, done=lambda: rules.reports)
    assert len(seen) == 1
    assert rules.reports == [("h7", [Status("port/c", "1", "applied")], {"port/b"})]
    with store.read() as tx:
        stored = set(tx.tuples(sa.select(APPLIED.c.fragment).where(APPLIED.c.host == "h7")))
    assert stored == {("port/a",), ("port/c",)}


def test_reports_in_a_row_are_one(store, rules):
    older = Report([Status("port/a", "1", "applied"), Status("port/b", "1", "waiting")], ["port/x"], complete=True)
    newer = Report([Status("port/b", "2", "applied"), Status("port/x", "1", "applied")], ["port/a"])
    told = merged(older, newer)
    assert {each.fragment: each.version for each in told.statuses} == {"port/b": "2", "port/x": "1"}
    assert (told.gone, told.complete) == (["port/a"], True)
    assert merged(newer, older) == older


@pytest.mark.parametrize("failures", [1, 2])
def test_what_cannot_be_written_now_is_written_later(store, rules, failures, monkeypatch):
    monkeypatch.setattr("netloom.feed.inbox.RETRY", 0.05)
    rules.failures = [sa.exc.OperationalError("UPDATE", {}, Exception("gone")) for _ in range(failures)]
    news = Batch({"h": beat(5, news=True)}, {"h": applied("port/a")}, {"h": {"r": "standby"}})
    deliver(store, rules, news, done=lambda: rules.states)
    assert rules.present == [{"h": beat(5, news=True)}]
    assert [host for host, _, _ in rules.reports] == ["h"]
    assert rules.refused == []


def test_wrong_news_of_one_are_in_nobodys_way(store, rules):
    rules.poison = "bad"
    news = Batch(beats={host: beat(news=True) for host in ("a", "bad", "z")}, states={"a": {"r": "active"}})
    deliver(store, rules, news, done=lambda: rules.states)
    assert [host for beats in rules.present for host in beats] == ["a", "z"]
    assert rules.refused == ["bad"]


@pytest.mark.parametrize("trouble", ["database", "stall"])
def test_silence_means_nothing_while_agents_cannot_be_heard(store, rules, trouble, monkeypatch):
    monkeypatch.setattr("netloom.feed.inbox.RETRY", 0.05)
    monkeypatch.setattr("netloom.feed.inbox.LATE", 0.4)
    monkeypatch.setattr("netloom.feed.inbox.BEAT", 0.1)

    async def run() -> None:
        inbox = Inbox(store, rules.listeners(), rules.refused.append)
        running = asyncio.create_task(inbox.run())
        await asyncio.sleep(0.6)
        assert inbox.attentive > 0.5
        if trouble == "stall":
            time.sleep(0.6)
            assert inbox.attentive == 0
        else:
            rules.failures = [sa.exc.OperationalError("UPDATE", {}, Exception("gone"))]
            inbox.put(Batch(beats={"h": beat(news=True)}))
        await asyncio.sleep(0.3)
        assert inbox.attentive < 0.5
        running.cancel()

    asyncio.run(run())


def test_newer_news_of_load_balancers_replace_older_ones(store, rules):
    first = Batch(
        members={"h": {"b1": {"m1": "up"}, "b2": {"m2": "up"}}},
        traffic={"h": {"l1": {"w1": Traffic(bytes_in=5)}, "l2": {"w1": Traffic(bytes_in=1)}}},
    )
    second = Batch(
        members={"h": {"b1": {"m1": "down"}, "b3": None}},
        traffic={"h": {"l1": {"w2": Traffic(bytes_in=2)}}},
    )
    deliver(store, rules, first, second, done=lambda: rules.traffic)
    assert rules.members == [{"h": {"b1": {"m1": "down"}, "b2": {"m2": "up"}, "b3": None}}]
    ended = {"w1": Traffic(bytes_in=5), "w2": Traffic(bytes_in=2)}
    assert rules.traffic == [{"h": {"l1": ended, "l2": {"w1": Traffic(bytes_in=1)}}}]
