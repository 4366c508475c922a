"""How far above the floor requests are: these numbers compare between machines."""

from collections.abc import Sequence

from bench.results import Result

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def measure(results: Sequence[Result]) -> list[Result]:
    """Ratios of what was measured in this run to the floors of this run."""
    known = {(result.group, result.what): result.value for result in results}
    bare = known.get(("floor", "bare request, 1 client, median"))
    if bare is None:
        return []
    ratios = []
    for group, name in NAMES.items():
        write = bare + known.get(("floor", f"durable commit, {name}, median"), 0.0)
        for what, floor in (("port show", bare), ("port create", write), ("port update", write)):
            if (value := known.get((group, f"{what}, median"))) is not None:
                ratios.append(Result("ratio", f"{what} to its floor, {name}", value / floor, "times"))
    return ratios
