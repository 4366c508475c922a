"""Where a lab is: its directory, and the first processes of its machines."""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from netloom.lab.machine import Machine

DIRECTORY = Path("/run/netloom-lab")
_MACHINES = "machines.json"


def names() -> list[str]:
    """The labs that there are."""
    return sorted(path.parent.name for path in DIRECTORY.glob(f"*/{_MACHINES}"))


class Record:
    """The directory of one lab."""

    def __init__(self, name: str) -> None:
        self.directory = DIRECTORY / name
        self.layout = self.directory / "layout.toml"
        self.disks = self.directory / "disk"
        """Where the machine with the cables has a file system in memory, with a directory for each host."""

    @property
    def exists(self) -> bool:
        """Whether there is a lab, or what is left of one."""
        return (self.directory / _MACHINES).exists()

    @property
    def machines(self) -> dict[str, Machine]:
        """All machines, dead or alive, by name, in the order of their first start."""
        try:
            recorded: dict[str, Any] = json.loads((self.directory / _MACHINES).read_text())
        except FileNotFoundError:
            return {}
        return {name: Machine(name, pid, born) for name, (pid, born) in recorded.items()}

    def add(self, machines: Mapping[str, Machine]) -> None:
        """Note machines that have been started; whoever takes the lab down finds them from here on."""
        known = {**self.machines, **machines}
        new = self.directory / f"{_MACHINES}.new"
        new.write_text(json.dumps({name: (machine.pid, machine.born) for name, machine in known.items()}))
        new.replace(self.directory / _MACHINES)

    def remove(self) -> None:
        """End all machines and forget the lab; safe to repeat."""
        for machine in reversed(self.machines.values()):
            machine.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        with contextlib.suppress(OSError):
            DIRECTORY.rmdir()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody else build this lab, or take it down, meanwhile; the directory is there."""
        descriptor = self._lock()
        try:
            yield
        finally:
            os.close(descriptor)

    def _lock(self) -> int:
        while True:
            try:
                self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:  # the last lab has just gone
                continue
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), self.directory.stat()):
                    return descriptor
            os.close(descriptor)  # the one that had the lock has removed it
