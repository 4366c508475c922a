"""How long a floating IP is silent when something befalls the active host of its router, in a lab of many hosts."""

import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.results import Result
from netloom.cli.terminal import step
from netloom.lab import reading
from tests.faults.lab_town import FAULTS, PATIENCE, Fault, LabTown
from tests.lab.cloud import lab_cloud
from tests.sandbox import eventually

GROUP = "failover"
MEDIAN, WORST = 300.0, 1000.0
"""Targets: milliseconds of silence of a ping every 10 ms."""
SOURCE_ADVERT_INT = 2
"""Seconds between advertisements in the scenario of the OpenStack Networking Guide, by VRRPv2."""
WAYS = ("floating", "pushed outside")
"""A ping, UDP and TCP to the floating IP; and a TCP connection from behind SNAT on which only the other side sends."""
ROUNDS, QUICK_ROUNDS = 6, 1
SOURCE_ROUNDS = 2


@dataclass
class Seen:
    """What one fault did, each time."""

    silences: list[float] = field(default_factory=list)
    """Milliseconds."""
    lost: list[int] = field(default_factory=list)
    """Of packets every 10 ms."""
    lost_at_return: list[int] = field(default_factory=list)
    broken: int = 0
    """TCP connections."""


def measure(quick: bool) -> list[Result]:
    """Each fault several times, with the advertisements of this release and then with those of the source."""
    ours = _rounds("", QUICK_ROUNDS if quick else ROUNDS)
    theirs = _rounds(f"ha_vrrp_advert_int = {SOURCE_ADVERT_INT}", QUICK_ROUNDS if quick else SOURCE_ROUNDS)
    return [*_results(ours), *_comparison(ours, theirs)]


def _rounds(option: str, rounds: int) -> Mapping[Fault, Seen]:
    seen: dict[Fault, Seen] = defaultdict(Seen)
    name = option or "advertisements as by default"
    with _layout(option) as layout, lab_cloud(layout) as cloud:
        town = LabTown(cloud)
        try:
            for number in range(rounds):
                with step(f"{GROUP}: {name}, round {number + 1} of {rounds}"):
                    for fault in FAULTS:
                        _befall(town, fault, seen[fault])
        finally:
            town.close()
    return seen


@contextmanager
def _layout(option: str) -> Iterator[Path]:
    """The shipped layout with one more option."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ha.toml"
        path.write_text(reading.text("ha").replace("[config.DEFAULT]\n", f"[config.DEFAULT]\n{option}\n"))
        yield path


def _befall(town: LabTown, fault: Fault, seen: Seen) -> None:
    active, standby = town.settled()
    with town.traffic(*WAYS) as traffic:
        with traffic.phase("fault"):
            fault.befall(town, active)
            if fault.moves and fault.lasts:
                eventually(lambda: town.actives() == [standby], PATIENCE, "the other host active")
                eventually(town.reached, PATIENCE, "an answer of the floating IP")
            elif fault.lasts:
                town.stays(active)
            else:
                town.settled()
        with traffic.phase("return"):
            town.lab.heal()
            town.lab.wait_ready()
            now, _ = town.settled()
            town.stays(now)
    loss = traffic.losses("fault")["floating icmp"]
    seen.silences.append(loss.gap * 1000 if loss.lost else 0.0)
    seen.lost.append(loss.lost)
    seen.lost_at_return.append(traffic.losses("return")["floating icmp"].lost)
    seen.broken += len(traffic.broken)


def _results(ours: Mapping[Fault, Seen]) -> Iterator[Result]:
    for fault, seen in ours.items():
        yield Result(GROUP, f"{fault.name}, silence, median", statistics.median(seen.silences), "ms", MEDIAN)
        yield Result(GROUP, f"{fault.name}, silence, longest", max(seen.silences), "ms", WORST)
        if not fault.moves:
            yield Result(GROUP, f"{fault.name}, lost at most", max(seen.lost), "packets", 1.0)
        else:
            yield Result(GROUP, f"{fault.name}, lost at most", max(seen.lost), "packets")
        yield Result(
            GROUP, f"{fault.name}, lost at the return, median", statistics.median(seen.lost_at_return), "packets"
        )
        yield Result(GROUP, f"{fault.name}, lost at the return, at most", max(seen.lost_at_return), "packets", 100.0)
    count = sum(len(seen.silences) for seen in ours.values())
    yield Result(GROUP, f"TCP connections broken, of {count * len(WAYS)}", _broken(ours), "connections", 1.0)


def _comparison(ours: Mapping[Fault, Seen], theirs: Mapping[Fault, Seen]) -> Iterator[Result]:
    for fault, seen in theirs.items():
        if fault.moves:
            median = statistics.median(seen.silences)
            own = statistics.median(ours[fault].silences)
            what = f"{fault.name}, advertised every {SOURCE_ADVERT_INT} s, silence, median"
            yield Result(GROUP, what, median, "ms")
            if own:
                yield Result(GROUP, f"{what}, to ours", median / own, "times")


def _broken(seen: Mapping[Fault, Seen]) -> float:
    return float(sum(each.broken for each in seen.values()))
