"""A load balancer from its creation to changes under load, in a private machine."""

import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from bench.results import Result, latencies
from netloom.cli.terminal import step
from tests.sandbox import ROOT, sandbox

GROUP = "loadbalancers"
ENOUGH = 600.0
"""Seconds that all of it may take."""
THROUGH, ALONE, CABLES = "through the balancer", "haproxy alone, same wires", "haproxy alone, plain cables"
"""Ways to the same members."""
FAILED = "failed while members were added and removed"
SERVING = 2.0
"""Target: seconds from create to the first answer."""


def measure(quick: bool) -> list[Result]:
    """All measurements of load balancers; ``bench.inside_loadbalancers`` takes them, on a machine of its own."""
    seen: dict[str, list[float]] = defaultdict(list)
    with sandbox() as machine:
        argv = [sys.executable, "-m", "bench.inside_loadbalancers", *(["--quick"] if quick else [])]
        with step(f"{GROUP}: create to serving, requests per second, members that come and go"):
            done = machine.run(*argv, env={"PYTHONPATH": str(ROOT)}, timeout=ENOUGH)
    for line in done.stdout.splitlines():
        what, value = json.loads(line)
        seen[what].append(value)
    return [*_times(seen), *_rates(seen), *_changes(seen)]


def _times(seen: Mapping[str, Sequence[float]]) -> Iterator[Result]:
    for what, below in (("create to ACTIVE", None), ("create to the first answer", SERVING)):
        yield from latencies(GROUP, what, seen[what], below=below, unit="s")


def _rates(seen: Mapping[str, Sequence[float]]) -> Iterator[Result]:
    rates = {way: statistics.median(seen[way]) for way in (THROUGH, ALONE, CABLES)}
    for way, rate in rates.items():
        yield Result(GROUP, f"requests {way}", rate, "/s")
    for way in (ALONE, CABLES):
        ratios = [ours / theirs for ours, theirs in zip(seen[THROUGH], seen[way], strict=True)]
        yield Result(GROUP, f"requests {THROUGH} to {way}", statistics.median(ratios), "times")


def _changes(seen: Mapping[str, Sequence[float]]) -> Iterator[Result]:
    yield from latencies(GROUP, "a member added or removed, to ACTIVE", seen["change"], unit="s")
    (requests,), (failed,) = seen["requests"], seen[FAILED]
    yield Result(GROUP, f"of {requests:,.0f} requests {FAILED} ({len(seen['change'])} changes)", failed, "", below=1.0)
