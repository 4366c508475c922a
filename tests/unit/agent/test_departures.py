"""Routers are kept while this host is the active one, and no longer than others may take."""

from dataclasses import dataclass

import pytest

from netloom.agent import departures
from netloom.agent.departures import Departures
from netloom.feed.fragments import Fragment, HaGroup, HaPort, Network, Router

PATIENCE = 0.8


@dataclass
class Clock:
    now: float = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(departures, "time", made)
    return made


def router(number: int, hosts: tuple[str, ...] = ("here", "there")) -> Router:
    ports = tuple(HaPort(host, f"port-{host}", "fa:16:3e:00:00:01", "169.254.192.1/18") for host in hosts)
    group = HaGroup("hidden", 1450, number, ports) if hosts else None
    return Router(f"router{number}", "project", True, True, (), None, (), (), (), group)


HIDDEN = Network("hidden", "", 1450, "vxlan", "", 7, True, False, ())
OTHER = Network("other", "", 1450, "vxlan", "", 8, True, False, ())


def named(*fragments: Fragment) -> dict[str, Fragment]:
    return {fragment.name: fragment for fragment in fragments}


def test_a_router_stays_with_its_networks_until_another_host_is_active(clock):
    leaving, one = Departures(), router(1)
    all_of_it = named(one, HIDDEN, OTHER)
    assert leaving.keep(all_of_it, {"router1": "active"}, PATIENCE) == all_of_it
    assert leaving.due_in() is None
    assert leaving.keep({}, {"router1": "active"}, PATIENCE) == named(one, HIDDEN)
    assert list(leaving.routers) == ["router1"]
    clock.now += 0.5
    assert leaving.due_in() == pytest.approx(0.3)
    assert leaving.keep({}, {"router1": "active"}, PATIENCE) == named(one, HIDDEN)
    assert leaving.keep({}, {"router1": "standby"}, PATIENCE) == {}
    assert not leaving.routers


def test_one_that_nobody_takes_goes_all_the_same(clock):
    leaving = Departures()
    leaving.keep(named(router(1), HIDDEN), {}, PATIENCE)
    assert leaving.keep({}, {"router1": "active"}, PATIENCE) != {}
    clock.now += PATIENCE
    assert leaving.keep({}, {"router1": "active"}, PATIENCE) == {}
    assert leaving.keep({}, {"router1": "active"}, PATIENCE) == {}


def test_one_that_comes_back_stays_as_it_is_asked_for(clock):
    leaving, changed = Departures(), router(1, ("here", "there", "elsewhere"))
    leaving.keep(named(router(1), HIDDEN), {}, PATIENCE)
    leaving.keep(named(HIDDEN), {"router1": "active"}, PATIENCE)
    assert leaving.keep(named(changed, HIDDEN), {"router1": "active"}, PATIENCE) == named(changed, HIDDEN)
    assert not leaving.routers


@pytest.mark.parametrize(
    ("gone", "state"),
    [(router(1), "standby"), (router(1), "fault"), (router(1, ("here",)), "active"), (router(1, ()), "active")],
)
def test_others_go_at_once(clock, gone, state):
    leaving = Departures()
    leaving.keep(named(gone, HIDDEN), {"router1": state}, PATIENCE)
    assert leaving.keep(named(OTHER), {"router1": state}, PATIENCE) == named(OTHER)
