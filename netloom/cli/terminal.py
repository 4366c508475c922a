"""What commands say to people: progress, tables and trouble."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Trouble(Exception):
    """A command cannot do what was asked; the text says why and what to do."""


def require_root(what: str) -> None:
    """Insist on being root.

    Raises:
        Trouble: we are not.
    """
    if os.geteuid() != 0:
        raise Trouble(f"{what} needs root (network namespaces, Open vSwitch): run it with sudo")


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show a step of a longer work: what is being done, and then how long it took."""
    began = time.monotonic()
    print(f"  {what:<58}", end="", flush=True)
    try:
        yield
    except BaseException:
        print(" failed", flush=True)
        raise
    print(f" {time.monotonic() - began:5.1f} s", flush=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under headings."""
    texts = [list(columns), *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in texts) for i in range(len(columns))]
    for row in texts:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
