"""Instances as containers: what there is, and how to make it what is wanted.

Ours are the directories below ``instances/`` of the state directory, one an instance:

- ``record``: the instance as applied last and its first process (JSON); written before anything else comes;
- ``disk/``: what the guest changed of its root file system; survives reboots;
- ``console.log``: what the guest said.

A process is an instance's when the record names it by number and start time, a device when its alias names the
instance. Both outlive the agent. A process without a record cannot be: until it is recorded it waits for the
agent, and ends with it. A directory without a readable record is a leftover, shown as a stopped instance.
"""

import contextlib
import os
import pty
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TypeVar

import msgspec

from netloom.host.container import Held, Process, entering, signal_process, stop, tail
from netloom.host.failures import failure
from netloom.host.isolation import card_group
from netloom.host.layout import Layout
from netloom.host.limits import forget_limit, limit_memory
from netloom.host.nics import Card, cards, plug, unplug
from netloom.state import Changes, Failure, Instance, Nic

_GRACE = 2.0
"""Seconds that a guest has to power off."""
_CONSOLE_LIMIT = 1 << 20
"""Bytes of console log that are kept over a boot, and that are read."""
_NOBODY = Process(0, "")
T = TypeVar("T")


class _Record(msgspec.Struct, frozen=True):
    """What is written down of an instance."""

    instance: Instance
    process: Process = _NOBODY


class Instances:
    """The driver of instances."""

    def __init__(self, layout: Layout, guest_root: Path) -> None:
        """
        Args:
            layout: where things are; instances live below its state directory.
            guest_root: root file system of the built-in guest. Its owner is the host id of the guests' root.
        """
        self._group = card_group(layout)
        self._home = layout.state_dir / "instances"
        self._guest_root = guest_root
        self._held: dict[str, tuple[Instance, Held]] = {}
        self._deaths: dict[Process, int] = {}

    def _root(self, image: str) -> Path:
        """Root file system of an image: every image boots the built-in guest."""
        del image
        return self._guest_root

    # What there is

    def observe(self) -> Iterator[Instance]:
        """The instances of this host. The cards of a running one are those that are there."""
        directories = self._directories()
        present = cards() if directories else {}  # looking at all links takes time
        found = [self._observe(path.name, present) for path in directories]
        self._watch({process for _, process in found if process.alive})
        return iter([instance for instance, _ in found])

    def _directories(self) -> list[Path]:
        return sorted(self._home.iterdir()) if self._home.is_dir() else []

    def _observe(self, instance_id: str, present: Mapping[str, Card]) -> tuple[Instance, Process]:
        record = self._read(instance_id)
        if not record.process.alive:
            return replace(record.instance, running=False), record.process
        nics = tuple(_present(record.instance, present))
        return replace(record.instance, running=True, nics=nics), record.process

    def deaths(self) -> list[int]:
        """File descriptors, one for each instance that ran when last observed; readable when it has ended.

        They stay valid until the next observation.
        """
        return list(self._deaths.values())

    def _watch(self, living: set[Process]) -> None:
        for process in self._deaths.keys() - living:
            os.close(self._deaths.pop(process))
        for process in living - self._deaths.keys():
            with contextlib.suppress(ProcessLookupError):
                self._deaths[process] = os.pidfd_open(process.pid)

    def _read(self, instance_id: str) -> _Record:
        try:
            return msgspec.json.decode((self._home / instance_id / "record").read_bytes(), type=_Record)
        except (OSError, msgspec.MsgspecError):
            return _Record(Instance(id=instance_id, hostname="", image="", memory_mb=0, vcpus=0, running=False))

    def _process(self, instance_id: str) -> Process:
        return self._read(instance_id).process

    def _write(self, instance: Instance, process: Process) -> None:
        directory = self._home / instance.id
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = directory / "record.new"
        fresh.write_bytes(msgspec.json.encode(_Record(replace(instance, running=process.alive), process)))
        fresh.replace(directory / "record")

    # How it changes

    def prepare(self, changes: Changes[Instance]) -> list[Failure]:
        """Carry out changes, but hold the instances that start until ``start``: their devices are there, plugged.

        Instances that stop or start anew have two seconds to power off, all at the same time.
        """
        wanted = [*changes.create, *(want for _, want in changes.update)]
        running = [(have, want) for have, want in changes.update if have.running]
        ending = [(have, want) for have, want in running if _ends(have, want)]
        staying = [pair for pair in running if pair not in ending]
        failures = self._delete(changes.delete)
        self._stop([have.id for have, _ in ending], _GRACE)
        other_images = [(want, have) for have, want in changes.update if have.image != want.image]
        failures += _each(other_images, lambda want, _: _remove(self._home / want.id / "disk"))
        # A card may move from one instance to another: take away first, then record, then give.
        failures += _each(staying, lambda have, want: unplug(n.device for n in have.nics if n not in want.nics))
        failures += _each([(want, want) for want in wanted], lambda _, want: self._record(want))
        failures += _each(staying, self._adapt)
        return failures + self._boot([want for want in wanted if want.running and not self._process(want.id).alive])

    def start(self) -> list[Failure]:
        """Let the held instances boot."""
        failures = _each([(one, held) for one, held in self._held.values()], lambda _, held: held.release())
        for _, held in self._held.values():
            held.close()
        self._held.clear()
        return failures

    def _record(self, instance: Instance) -> None:
        process = self._process(instance.id)
        self._write(instance, process if process.alive else _NOBODY)

    def _adapt(self, have: Instance, want: Instance) -> None:
        """Change a running instance."""
        process = self._process(want.id)
        if have.memory_mb != want.memory_mb:
            limit_memory(want.id, want.memory_mb)
        used = {card.inner for card in cards().values() if card.instance_id == want.id}
        free = (name for name in map("eth{}".format, count()) if name not in used)
        plug(want.id, process.pid, [(next(free), nic) for nic in want.nics if nic not in have.nics], self._group)
        signal_process(process, signal.SIGHUP)  # look for new cards

    def _boot(self, instances: Sequence[Instance]) -> list[Failure]:
        """Start containers up to where they wait, all at the same time: each step for all, then the next."""
        failures: list[Failure] = []
        for step in (self._spawn, self._map, self._fit, self._await):
            failed = _each([(one, step) for one in instances], lambda one, step: step(one))
            failures += failed
            lost = {failure.element for failure in failed}
            self._release(one.id for one in instances if str(one) in lost)
            instances = [one for one in instances if str(one) not in lost]
        return failures

    def _spawn(self, instance: Instance) -> None:
        directory = self._home / instance.id
        console = directory / "console.log"
        if console.exists() and console.stat().st_size > _CONSOLE_LIMIT:
            console.write_text(tail(console, _CONSOLE_LIMIT // 2))
        unplug(device for device, card in cards().items() if card.instance_id == instance.id)  # of one that died
        held = Held(self._root(instance.image), directory / "disk", console, instance.hostname)
        self._held[instance.id] = instance, held

    def _map(self, instance: Instance) -> None:
        _, held = self._held[instance.id]
        held.map()
        self._write(instance, held.process)
        limit_memory(instance.id, instance.memory_mb, held.process.pid)

    def _fit(self, instance: Instance) -> None:
        _, held = self._held[instance.id]
        plug(instance.id, held.process.pid, [(f"eth{i}", nic) for i, nic in enumerate(instance.nics)], self._group)

    def _await(self, instance: Instance) -> None:
        self._held[instance.id][1].ready()

    def _release(self, instance_ids: Iterable[str]) -> None:
        """Let go of held instances; they end."""
        for instance_id in instance_ids:
            if instance_id in self._held:
                self._held.pop(instance_id)[1].close()

    def _stop(self, instance_ids: Sequence[str], grace: float) -> None:
        if not instance_ids:
            return
        self._release(instance_ids)
        stop([self._process(instance_id) for instance_id in instance_ids], grace)
        unplug([device for device, card in cards().items() if card.instance_id in instance_ids])
        for instance_id in instance_ids:
            forget_limit(instance_id)

    def _delete(self, instances: Sequence[Instance]) -> list[Failure]:
        self._stop([instance.id for instance in instances], 0)
        failures = _each([(one, self._home / one.id) for one in instances], lambda _, path: _remove(path))
        with contextlib.suppress(OSError):  # others are left
            self._home.rmdir()
        return failures

    # What people ask of one

    def exec_in(self, instance_id: str, argv: Sequence[str], *, tty: bool = False) -> int:
        """Run a command inside an instance, as its root, on the caller's standard streams.

        Args:
            instance_id: which one.
            argv: the command and its arguments, found on the guest's own path.
            tty: give it a terminal of its own, which the caller's terminal shows.

        Returns:
            The command's exit status; 128 and the signal's number when a signal ended it.

        Raises:
            ProcessLookupError: the instance does not run.
        """
        process = self._process(instance_id)
        if not process.alive:
            raise ProcessLookupError(f"instance {instance_id} does not run on this host: start it first")
        command = entering(process, argv)
        status = os.waitstatus_to_exitcode(pty.spawn(command)) if tty else subprocess.call(command)
        return status if status >= 0 else 128 - status

    def console_log(self, instance_id: str, lines: int | None = None) -> str:
        """The last lines of what an instance said, at most a megabyte; empty when it never ran."""
        path = self._home / instance_id / "console.log"
        said = tail(path, _CONSOLE_LIMIT).splitlines(keepends=True) if path.exists() else []
        return "".join(said if lines is None else said[max(0, len(said) - lines) :])


def _present(instance: Instance, present: Mapping[str, Card]) -> Iterator[Nic]:
    """The cards of the record that are there, as they are."""
    for nic in instance.nics:
        card = present.get(nic.device)
        if card and card.instance_id == instance.id:
            yield replace(nic, mtu=card.mtu)


def _ends(have: Instance, want: Instance) -> bool:
    """Whether a running instance must stop, for good or to start anew."""
    return not want.running or want.boot != have.boot or want.image != have.image


def _remove(path: Path) -> None:
    """Remove a directory that a guest filled, however deep and odd.

    Raises:
        OSError: something is left.
    """
    done = subprocess.run(["rm", "-rf", "--", path], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"cannot remove {path}: {done.stderr.strip()}")


def _each(pairs: Iterable[tuple[Instance, T]], action: Callable[[Instance, T], None]) -> list[Failure]:
    """Do something to each; what fails does not keep the others from it."""
    failures = []
    for instance, other in pairs:
        try:
            action(instance, other)
        except (OSError, subprocess.SubprocessError) as error:
            failures.append(failure(instance, error))
    return failures
