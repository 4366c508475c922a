"""The two kinds of instances: containers, and machines with kernels of their own."""

import contextlib
import os
import pty
import signal
import subprocess
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Protocol

from netloom.host import channels, machine, relay, taps
from netloom.host.container import Held, Process, entering, signal_process
from netloom.host.limits import limit_memory
from netloom.host.nics import plug
from netloom.state import Instance, Nic

_EMULATOR_MB = 256
"""What the emulator may need beside the memory of its machine."""


class HeldInstance(Protocol):
    """An instance on its way: spawned, mapped, ready, released. Many can be at each step at the same time."""

    process: Process

    def map(self) -> None:
        """Learn its process."""

    def ready(self) -> None:
        """Wait until it needs nothing but its release."""

    def release(self) -> None:
        """Let it boot."""

    def close(self) -> None:
        """Let go of it; it ends unless it was released."""


class Driver(Protocol):
    """What one kind of instances needs. All of it raises OSError when it cannot be done."""

    def hold(self, instance: Instance, directory: Path) -> HeldInstance:
        """Spawn an instance that waits for its release."""

    def limit(self, instance: Instance, process: Process | None = None) -> None:
        """Limit an instance to what it may have, from now on with this process."""

    def fit(self, instance: Instance, process: Process) -> None:
        """Give a held instance its cards."""

    def attach(
        self, instance: Instance, directory: Path, process: Process, nics: Sequence[Nic], used: set[str]
    ) -> None:
        """Give a running instance more cards than those with the names in ``used``."""

    def detach(self, directory: Path, cards: Sequence[str]) -> None:
        """Take cards, which their names inside tell, away from a running instance; their devices are gone."""

    def ask_to_end(self, directory: Path, process: Process, keep: contextlib.ExitStack) -> None:
        """Ask an instance to power off; ``keep`` holds what must last until it has."""

    def run(self, directory: Path, process: Process, argv: Sequence[str], tty: bool) -> int:
        """Run a command in an instance; its exit status, negative when a signal ended it."""

    def open_console(self, directory: Path, process: Process) -> int:
        """Connect our standard input and output to the console of an instance; an exit status."""


class Containers:
    """The driver of containers: namespaces on the host's kernel."""

    def __init__(self, guest_root: Path, group: int) -> None:
        """``group`` is the device group of the outer ends of cards."""
        self._guest_root, self._group = guest_root, group

    def hold(self, instance: Instance, directory: Path) -> Held:
        """Spawn a container."""
        return Held(self._guest_root, directory / "disk", directory / "console.log", instance.hostname, instance.vcpus)

    def limit(self, instance: Instance, process: Process | None = None) -> None:
        """Limit its memory."""
        limit_memory(instance.id, instance.memory_mb, process.pid if process else None)

    def fit(self, instance: Instance, process: Process) -> None:
        """Make veths into it."""
        plug(instance.id, process.pid, [(f"eth{i}", nic) for i, nic in enumerate(instance.nics)], self._group)

    def attach(
        self, instance: Instance, directory: Path, process: Process, nics: Sequence[Nic], used: set[str]
    ) -> None:
        """Make more veths, and have it look."""
        free = (name for name in map("eth{}".format, count()) if name not in used)
        plug(instance.id, process.pid, [(next(free), nic) for nic in nics], self._group)
        signal_process(process, signal.SIGHUP)

    def detach(self, directory: Path, cards: Sequence[str]) -> None:
        """Nothing: cards go with their devices, and it is told when it is given the others."""

    def ask_to_end(self, directory: Path, process: Process, keep: contextlib.ExitStack) -> None:
        """Send TERM."""
        signal_process(process, signal.SIGTERM)

    def run(self, directory: Path, process: Process, argv: Sequence[str], tty: bool) -> int:
        """Enter its namespaces."""
        command = entering(process, argv)
        return os.waitstatus_to_exitcode(pty.spawn(command)) if tty else subprocess.call(command)

    def open_console(self, directory: Path, process: Process) -> int:
        """Let people log in: a container has no console that could be typed on. A pipe gets root's shell."""
        terminal = os.isatty(0)
        return self.run(directory, process, ["login"] if terminal else ["sh", "-l"], terminal)


class Machines:
    """The driver of machines."""

    def __init__(self, boot_files: Callable[[], Path], guest_root: Path, group: int) -> None:
        """
        Args:
            boot_files: makes the directory with ``kernel`` and ``initramfs``; it may say that there are none.
            guest_root: its owner is who emulators run as.
            group: device group of taps.
        """
        self._boot_files, self._guest_root, self._group = boot_files, guest_root, group

    def hold(self, instance: Instance, directory: Path) -> machine.HeldMachine:
        """Spawn a machine with its cards: they are among what it is born with."""
        machine.emulator()
        boot = self._boot_files()
        made = taps.make(instance.id, machine.placed(instance.nics, set()), self._group)
        return machine.HeldMachine(instance, directory, boot, self._guest_root.stat().st_uid, made)

    def limit(self, instance: Instance, process: Process | None = None) -> None:
        """Limit the emulator; the machine has no more memory than it is born with."""
        limit_memory(instance.id, instance.memory_mb + _EMULATOR_MB, process.pid if process else None)

    def fit(self, instance: Instance, process: Process) -> None:
        """Nothing: it has its cards."""

    def attach(
        self, instance: Instance, directory: Path, process: Process, nics: Sequence[Nic], used: set[str]
    ) -> None:
        """Plug cards into free slots."""
        if nics:
            placed = machine.placed(nics, used)
            machine.attach(directory, placed, taps.make(instance.id, placed, self._group))

    def detach(self, directory: Path, cards: Sequence[str]) -> None:
        """Take cards out of their slots."""
        machine.detach(directory, cards)

    def ask_to_end(self, directory: Path, process: Process, keep: contextlib.ExitStack) -> None:
        """Have its init power off."""
        connection = keep.enter_context(relay.connect(directory, channels.SIGNALS))
        connection.sendall(b"TERM\n")

    def run(self, directory: Path, process: Process, argv: Sequence[str], tty: bool) -> int:
        """Ask its SSH server."""
        return channels.run(directory, argv, terminal=tty)

    def open_console(self, directory: Path, process: Process) -> int:
        """Connect to its serial line."""
        channels.open_console(directory)
        return 0
