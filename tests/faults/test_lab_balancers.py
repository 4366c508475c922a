"""A load balancer that two hosts of the lab carry, whatever befalls them, and whenever."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from netloom.lab.errors import LabError
from tests.faults.lab_balancer import LabBalancer
from tests.faults.lab_town import CARRIERS, PATIENCE, LabTown
from tests.sandbox import eventually

Befall = Callable[[LabBalancer, str], object]
SILENCE = 1.0
"""Seconds within which somebody serves again."""
UNDER_WAY = 15
"""Requests that may be under way with a busy host when it is no longer the active one; one begins every 10 ms. Those
that begin after that wait for the next one."""


@pytest.fixture(scope="module")
def balancer(lab_town: LabTown) -> Iterator[LabBalancer]:
    made = LabBalancer(lab_town)
    try:
        yield made
    finally:
        made.lab.heal()
        made.lab.wait_ready()
        made.close()


@pytest.fixture
def serving(balancer: LabBalancer) -> LabBalancer:
    if not balancer.id:
        balancer.create()
    return balancer


def kill_haproxy(balancer: LabBalancer, host: str) -> None:
    kill(*balancer.haproxy(host))


def kill_worker(balancer: LabBalancer, host: str) -> None:
    kill(*balancer.haproxy(host, workers=True))


def kill(*pids: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


MOVING: dict[str, Befall] = {
    "host powered off": lambda balancer, host: balancer.lab.power_off(host),
    "keepalived killed": lambda balancer, host: balancer.lab.kill(host, "keepalived", balancer.id),
    "tunnel link cut": lambda balancer, host: balancer.lab.cut(f"{host}/tunnels"),
}
"""Another host serves then."""
STAYING: dict[str, Befall] = {
    "haproxy killed": kill_haproxy,
    "haproxy's worker killed": kill_worker,
}
"""The same host serves then, as soon as its agent has started haproxy anew: who asks meanwhile is refused."""


@pytest.mark.parametrize("fault", [*MOVING, *STAYING])
def test_it_serves_again_within_a_second(serving: LabBalancer, fault: str) -> None:
    active, standby = serving.settled()
    with serving.asking() as told:
        time.sleep(0.5)  # requests before it
        (MOVING | STAYING)[fault](serving, active)
        if fault in MOVING:
            eventually(lambda: serving.actives() == [standby], PATIENCE, f"{standby} alone active")
        time.sleep(1.5)  # and after it
    requests = told()
    since, until = requests.silence()
    print(f"{fault}: silent for {until - since:.3f} s; lost {len(requests.lost)} of {len(requests.all)}")
    serving.lab.heal()
    serving.lab.wait_ready()
    assert until - since < SILENCE
    assert requests.lost_outside(since, until) == [], "others than those of the silence"
    assert fault in STAYING or len(requests.lost) < UNDER_WAY, "others than those under way"
    serving.settled()


def serve_already(balancer: LabBalancer) -> bool:
    return all(map(balancer.haproxy, CARRIERS))


VICTIMS: dict[str, tuple[Befall, Callable[[LabBalancer], object]]] = {
    "server": (lambda balancer, _: balancer.lab.kill("controller", "server"), lambda _: True),
    "agent": (lambda balancer, host: balancer.lab.kill(host, "agent"), lambda balancer: balancer.remains(CARRIERS[0])),
    "haproxy": (kill_haproxy, serve_already),
    "keepalived": (lambda balancer, host: balancer.lab.kill(host, "keepalived", balancer.id), serve_already),
}
"""Who dies, and when while a balancer is being made."""


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_death_at_any_step_only_delays(balancer: LabBalancer, victim: str) -> None:
    kill, moment = VICTIMS[victim]

    def dies(host: str) -> None:
        with contextlib.suppress(LabError, LookupError):  # it may be gone already
            kill(balancer, host)
        balancer.lab.heal()
        eventually(lambda: balancer.api.ask("GET", "/healthcheck")[0] == 200, PATIENCE, "the server's answer")

    if balancer.id:
        balancer.delete()
        eventually(balancer.gone, PATIENCE, "its end")
    balancer.create()
    eventually(lambda: bool(moment(balancer)), PATIENCE, "the moment")
    dies(CARRIERS[0])
    active, _ = balancer.settled()
    balancer.change(limit=100)
    dies(active)
    active, _ = balancer.settled()
    balancer.delete()
    dies(active)
    eventually(balancer.gone, PATIENCE, "its end")
    for host in CARRIERS:
        eventually(lambda host=host: balancer.remains(host) == [], PATIENCE, f"nothing left on {host}")  # type: ignore[misc]
    balancer.id = ""
