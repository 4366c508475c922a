"""A whole cloud in a private machine: from intent to packets."""

import json
import sys
from collections import defaultdict

from bench.results import Result, latencies
from netloom.cli.terminal import step
from tests.sandbox import ROOT, sandbox

GROUP = "dataplane"
MEDIANS = {
    "port create to ACTIVE (device plugged meanwhile)": 0.150,
    "virtual machine create to answering ping": 15.0,
}
"""Targets, seconds."""
LIMITS = {
    "flows changed by an agent restart": 1.0,
    "processes changed by an agent restart": 1.0,
    "netloom up": 10.0,
    "1,000 sub-ports in one call, to ACTIVE": 10.0,
}
UNITS = {
    "flows changed by an agent restart": "flows",
    "processes changed by an agent restart": "processes",
    "memory of a virtual machine (RSS; 128 MiB are its own)": "MiB",
}


def measure(quick: bool) -> list[Result]:
    """All measurements of the data plane; ``bench.inside`` takes them, on a machine of its own."""
    seen: dict[str, list[float]] = defaultdict(list)
    with sandbox() as machine:
        argv = [sys.executable, "-m", "bench.inside", *(["--quick"] if quick else [])]
        with step(f"{GROUP}: netloom up, ports, servers, restart"):
            done = machine.run(*argv, env={"PYTHONPATH": str(ROOT)}, timeout=600)
    for line in done.stdout.splitlines():
        what, value = json.loads(line)
        seen[what].append(value)
    results = []
    for what, values in seen.items():
        if len(values) > 1 and what not in UNITS:
            results += latencies(GROUP, what, values, below=MEDIANS.get(what), unit="s")
        else:
            results.append(Result(GROUP, what, max(values), UNITS.get(what, "s"), below=LIMITS.get(what)))
    return results
