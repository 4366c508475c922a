"""A highly available router of the lab, whatever befalls its hosts, under traffic on all ways.

Bounds are for busy machines, several times of what ``python -m bench failover`` measures.
"""

import json
from collections.abc import Iterator

import pytest

from tests.faults.lab_town import CARRIERS, FAULTS, PATIENCE, Fault, LabTown, Traffic
from tests.sandbox import eventually

FAILOVER = 3.0
"""Seconds of silence of datagrams; of TCP, which doubles its waits, twice as long."""
MANY = 49
"""Routers besides that of the town."""
TOLD = 3.0
"""Seconds from a failover until the API tells of it."""


@pytest.fixture
def town(lab_town: LabTown) -> LabTown:
    return lab_town


@pytest.fixture(autouse=True)
def healed(town: LabTown) -> Iterator[None]:
    yield
    town.lab.heal()


def quick(traffic: Traffic, phase: str) -> None:
    """See that there was at most the silence of one failover."""
    losses = traffic.losses(phase)
    print(phase, {way: (loss.lost, loss.gap) for way, loss in losses.items()})
    assert {way: loss for way, loss in losses.items() if loss.gap > FAILOVER * (1 + way.endswith("tcp"))} == {}
    assert {way: loss for way, loss in losses.items() if loss.lost > FAILOVER * 100} == {}


def unharmed(traffic: Traffic, phase: str) -> None:
    """See that nothing was lost."""
    assert {way: loss for way, loss in traffic.losses(phase).items() if loss.lost} == {}


def whole(traffic: Traffic) -> None:
    """See that connections went on, and that nobody answered besides."""
    assert traffic.broken == {}
    assert traffic.doubled == {}


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.moves], ids=lambda fault: fault.name)
def test_another_host_takes_over_and_connections_go_on(town: LabTown, fault: Fault) -> None:
    active, standby = town.settled()
    with town.traffic() as traffic:
        with traffic.phase("fault"):
            fault.befall(town, active)
            if fault.lasts:
                eventually(lambda: town.actives() == [standby], PATIENCE, f"{standby} the only active one")
                eventually(lambda: town.told_active() == [standby], TOLD, "the API's word of it")
                eventually(town.reached, PATIENCE, "an answer of the floating IP")
            else:
                standby, _ = town.settled()
            town.stays(standby)
        with traffic.phase("return"):
            town.lab.heal()
            town.lab.wait_ready()
            now, _ = town.settled()
            town.stays(now)
    quick(traffic, "fault")
    quick(traffic, "return")
    whole(traffic)


@pytest.mark.parametrize("victim", ["active", "standby"])
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if not fault.moves], ids=lambda fault: fault.name)
def test_nothing_is_lost_and_nothing_moves(town: LabTown, fault: Fault, victim: str) -> None:
    active, standby = town.settled()
    with town.traffic() as traffic, traffic.phase("all"):
        fault.befall(town, active if victim == "active" else standby)
        town.stays(active)
        town.lab.heal()
        town.lab.wait_ready()
        assert town.settled() == (active, standby)
        town.stays(active)
    unharmed(traffic, "all")
    whole(traffic)


def test_the_death_of_the_one_that_stands_by_changes_nothing(town: LabTown) -> None:
    active, standby = town.settled()
    with town.traffic() as traffic, traffic.phase("all"):
        town.lab.power_off(standby)
        town.stays(active)
        town.lab.heal(standby)
        town.lab.wait_ready()
        assert town.settled() == (active, standby)
        town.stays(active)
    unharmed(traffic, "all")
    whole(traffic)


def test_a_failover_needs_no_server_and_is_told_when_there_is_one(town: LabTown) -> None:
    active, standby = town.settled()
    with town.traffic() as traffic, traffic.phase("all"):
        town.lab.kill("controller", "server")
        town.lab.kill(active, "keepalived", town.router)
        eventually(lambda: town.actives() == [standby], PATIENCE, f"{standby} the only active one")
        town.stays(standby)
        town.lab.heal("controller")
        town.lab.wait_ready()
        assert town.settled() == (standby, active)
    quick(traffic, "all")
    whole(traffic)


def test_a_failover_needs_no_agent(town: LabTown) -> None:
    active, standby = town.settled()
    with town.traffic() as traffic, traffic.phase("all"):
        for host in CARRIERS:
            town.lab.kill(host, "agent")
        town.lab.kill(active, "keepalived", town.router)
        eventually(lambda: town.actives() == [standby], PATIENCE, f"{standby} the only active one")
        town.stays(standby)
        town.lab.heal()
        town.lab.wait_ready()
        assert town.settled() == (standby, active)
    quick(traffic, "all")
    whole(traffic)


def test_a_host_is_emptied_before_maintenance_and_filled_again(town: LabTown) -> None:
    active, standby = town.settled()
    with town.traffic() as traffic:
        with traffic.phase("emptied"):
            town.enable("L3 agent", active, False)
            eventually(lambda: town.states() == {standby: "active"}, PATIENCE, f"{standby} alone")
            eventually(lambda: town.actives() == [standby], PATIENCE, f"{standby} active")
            town.stays(standby)
        with traffic.phase("filled"):
            town.enable("L3 agent", active, True)
            assert town.settled() == (standby, active)
            town.stays(standby)
    quick(traffic, "emptied")
    unharmed(traffic, "filled")
    whole(traffic)


def test_agents_of_many_routers_start_anew_and_nothing_is_lost(town: LabTown) -> None:
    many = town.make_routers(*(f"many{number}" for number in range(MANY)))
    routers = {*many, town.router}

    def elected() -> bool:
        found = town.all_actives()
        return found.keys() >= routers and all(len(found[router]) == 1 for router in routers)

    eventually(elected, 2 * PATIENCE, f"one active host of each of {len(routers)} routers")
    before, daemons = town.all_actives(), town.daemons()
    pinging = town.probe("ping", *town.gateways(many))
    with town.traffic() as traffic, traffic.phase("all"):
        for host in CARRIERS:
            town.lab.kill(host, "agent")
        town.lab.heal()
        town.lab.wait_ready()
        town.settled()
    told = json.loads(pinging.end())
    assert {address: one["lost"] for address, one in told.items() if one["lost"]} == {}
    unharmed(traffic, "all")
    whole(traffic)
    assert town.all_actives() == before
    assert town.daemons() == daemons
    town.delete_routers(many)
