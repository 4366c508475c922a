"""The metadata service at its limits, in a private machine."""

import json
import sys
from collections import defaultdict

from bench.results import Result, latencies
from netloom.cli.terminal import step
from tests.sandbox import ROOT, sandbox

GROUP = "metadata"
ENOUGH = 900.0
"""Seconds that all of it may take."""


def measure(quick: bool) -> list[Result]:
    """All measurements of metadata; ``bench.inside_metadata`` takes them, on a machine of its own."""
    seen: dict[str, list[float]] = defaultdict(list)
    with sandbox() as machine:
        argv = [sys.executable, "-m", "bench.inside_metadata", *(["--quick"] if quick else [])]
        with step(f"{GROUP}: instances that boot at once, clients that ask at once, many networks"):
            done = machine.run(*argv, env={"PYTHONPATH": str(ROOT)}, timeout=ENOUGH)
    for line in done.stdout.splitlines():
        what, value = json.loads(line)
        seen[what].append(value)
    results = []
    for what, values in seen.items():
        if len(values) > 1:
            results += latencies(GROUP, what, values, unit="s")
        elif "not told" in what:
            results.append(Result(GROUP, what, values[0], "", below=1.0))
        else:
            results.append(Result(GROUP, what, values[0], "MiB", below=100.0 if what.endswith("in all") else None))
    return results
