"""What was measured: numbers with units, their targets, and the machine they belong to."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from netloom.cli.terminal import table


@dataclass(frozen=True, slots=True)
class Result:
    """One number."""

    group: str
    what: str
    value: float
    unit: str
    below: float | None = None
    """Target: less than this."""
    above: float | None = None
    """Target: more than this."""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.below is not None:
            return self.value < self.below
        return None if self.above is None else self.value > self.above

    @property
    def target(self) -> str:
        """The target as people read it."""
        if self.below is not None:
            return f"< {self.below:g}"
        return "" if self.above is None else f"> {self.above:g}"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which a ``share`` (0 to 1) of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def latencies(
    group: str, what: str, seconds: Sequence[float], *, below: float | None = None, unit: str = "ms"
) -> list[Result]:
    """Median and 99th percentile of durations; the target ``below`` is of the median."""
    scale = 1000 if unit == "ms" else 1
    median, p99 = statistics.median(seconds) * scale, percentile(seconds, 0.99) * scale
    return [Result(group, f"{what}, median", median, unit, below), Result(group, f"{what}, p99", p99, unit)]


def machine() -> dict[str, Any]:
    """What kind of machine this is, and how busy others keep it."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average_1_min": round(os.getloadavg()[0], 2),
    }


def show(results: Sequence[Result]) -> None:
    """Print a table."""
    verdicts = {True: "ok", False: "MISSED", None: ""}
    rows = [[r.group, r.what, f"{r.value:,.4g}", r.unit, r.target, verdicts[r.met]] for r in results]
    table(["group", "what", "value", "unit", "target", ""], rows)


def document(results: Sequence[Result], start: dict[str, Any]) -> dict[str, Any]:
    """All that is known, for ``--json``."""
    return {"machine": start, "load_average_after": os.getloadavg()[0], "results": [asdict(r) for r in results]}
