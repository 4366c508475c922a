"""Instances, containers and machines: what there is, and how to make it what is wanted.

Ours are the directories below ``instances/`` of the state directory, one an instance:

- ``record``: the instance as applied last and its first process (JSON); written before anything else comes;
- ``console.log``: what the guest said;
- ``disk/``: what a container changed of its root file system; survives reboots;
- sockets, and a lock for each: how a machine is reached (``netloom.host.channels``).

A process is an instance's when the record names it by number and start time, a device when its alias names the
instance. Both outlive the agent. A process without a record cannot be: until it is recorded it waits for the
agent, and ends with it. A directory without a readable record is a leftover, shown as a stopped instance.
"""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec

from netloom.host.container import Process, stop, tail
from netloom.host.drivers import Containers, Driver, HeldInstance, Machines
from netloom.host.failures import failure
from netloom.host.isolation import card_group
from netloom.host.layout import Layout
from netloom.host.limits import forget_limit
from netloom.host.nics import Card, cards, unplug
from netloom.state import Changes, Failure, Instance, Nic
from netloom.state.instances import CONTAINER, QEMU

_GRACE = 2.0
"""Seconds that a guest has to power off."""
_CONSOLE_LIMIT = 1 << 20
"""Bytes of console log after which half of them are forgotten, and that are read at most."""
_NOBODY = Process(0, "")
T = TypeVar("T")


class _Record(msgspec.Struct, frozen=True):
    """What is written down of an instance."""

    instance: Instance
    process: Process = _NOBODY


def no_machines() -> Path:
    """Of a host without virtual machines.

    Raises:
        FileNotFoundError: always.
    """
    raise FileNotFoundError("this host runs no virtual machines")


class Instances:
    """The driver of instances."""

    def __init__(self, layout: Layout, guest_root: Path, boot_files: Callable[[], Path] = no_machines) -> None:
        """
        Args:
            layout: where things are; instances live below its state directory.
            guest_root: root file system of the built-in guest, whatever the image. Its owner is the host id of the
                guests' root.
            boot_files: makes the directory with what machines boot: ``kernel`` and ``initramfs``.
        """
        group = card_group(layout)
        self._home = layout.state_dir / "instances"
        self._drivers: Mapping[str, Driver] = {
            CONTAINER: Containers(guest_root, group),
            QEMU: Machines(boot_files, guest_root, group),
        }
        self._held: dict[str, tuple[Instance, HeldInstance]] = {}
        self._deaths: dict[Process, int] = {}

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
        _shorten(self._home / instance_id / "console.log")
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
        born_anew = [(want, self._home / want.id / "disk") for have, want in changes.update if _born_anew(have, want)]
        failures += _each(born_anew, lambda _, disk: _remove(disk))
        # A card may move from one instance to another: take away first, then record, then give.
        failures += _each(staying, self._detach)
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

    def _driver(self, instance: Instance) -> Driver:
        try:
            return self._drivers[instance.hypervisor_type]
        except KeyError:
            raise OSError(0, f"this host runs no instances of type {instance.hypervisor_type}") from None

    def _detach(self, have: Instance, want: Instance) -> None:
        """Take cards away from a running instance."""
        devices = [nic.device for nic in have.nics if nic not in want.nics]
        if devices:
            present = cards()
            unplug(devices)
            self._driver(want).detach(self._home / want.id, [present[one].inner for one in devices if one in present])

    def _adapt(self, have: Instance, want: Instance) -> None:
        """Change a running instance."""
        process = self._process(want.id)
        if have.memory_mb != want.memory_mb:
            self._driver(want).limit(want)
        used = {card.inner for card in cards().values() if card.instance_id == want.id}
        nics = [nic for nic in want.nics if nic not in have.nics]
        self._driver(want).attach(want, self._home / want.id, process, nics, used)

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
        unplug(device for device, card in cards().items() if card.instance_id == instance.id)  # of one that died
        self._held[instance.id] = instance, self._driver(instance).hold(instance, directory)

    def _map(self, instance: Instance) -> None:
        _, held = self._held[instance.id]
        held.map()
        self._write(instance, held.process)
        self._driver(instance).limit(instance, held.process)

    def _fit(self, instance: Instance) -> None:
        _, held = self._held[instance.id]
        self._driver(instance).fit(instance, held.process)

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
        records = {record.process: record.instance for record in map(self._read, instance_ids)}
        with contextlib.ExitStack() as keep:

            def ask(process: Process) -> None:
                instance = records[process]
                with contextlib.suppress(OSError):  # then it is not asked
                    self._driver(instance).ask_to_end(self._home / instance.id, process, keep)

            stop(records, grace, ask)
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
        record = self._running(instance_id)
        return _status(self._driver(record.instance).run(self._home / instance_id, record.process, argv, tty))

    def open_console(self, instance_id: str) -> int:
        """Connect the caller's standard input and output to the console of an instance, until either ends it.

        Returns:
            An exit status, as of ``exec_in``.

        Raises:
            ProcessLookupError: the instance does not run.
            BlockingIOError: somebody else has it open.
        """
        record = self._running(instance_id)
        return _status(self._driver(record.instance).open_console(self._home / instance_id, record.process))

    def _running(self, instance_id: str) -> _Record:
        record = self._read(instance_id)
        if not record.process.alive:
            raise ProcessLookupError(f"instance {instance_id} does not run on this host: start it first")
        return record


def console_log(layout: Layout, instance_id: str) -> str | None:
    """What an instance said, at most the last megabyte of it; None when there is no such instance. From any thread."""
    path = layout.state_dir / "instances" / instance_id / "console.log"
    if path.parent.parent.name != "instances" or not path.parent.is_dir():
        return None
    return tail(path, _CONSOLE_LIMIT) if path.exists() else ""


def _shorten(console: Path) -> None:
    """Keep a guest from filling the host's disk; it goes on to write at the end."""
    with contextlib.suppress(OSError):
        if console.stat().st_size > _CONSOLE_LIMIT:
            console.write_text(tail(console, _CONSOLE_LIMIT // 2))


def _present(instance: Instance, present: Mapping[str, Card]) -> Iterator[Nic]:
    """The cards of the record that are there, as they are."""
    for nic in instance.nics:
        card = present.get(nic.device)
        if card and card.instance_id == instance.id:
            yield replace(nic, mtu=card.mtu)


def _ends(have: Instance, want: Instance) -> bool:
    """Whether a running instance must stop, for good or to start anew."""
    resized = want.hypervisor_type == QEMU and (want.memory_mb, want.vcpus) != (have.memory_mb, have.vcpus)
    return not want.running or want.boot != have.boot or _born_anew(have, want) or resized


def _born_anew(have: Instance, want: Instance) -> bool:
    """Whether nothing of what an instance was may stay."""
    return (want.image, want.life, want.hypervisor_type) != (have.image, have.life, have.hypervisor_type)


def _status(exit_code: int) -> int:
    """An exit code as shells have it."""
    return exit_code if exit_code >= 0 else 128 - exit_code


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
