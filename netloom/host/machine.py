"""Machines: QEMU with a kernel of its own for an instance, by KVM where it works and by emulation elsewhere.

The emulator has no rights: it is nobody of the host (the ids of the guests), may start nothing, and all that it uses
comes as open descriptors: its kernel, its cards, its log and the sockets by which people reach it. It shares nothing
with the agent and outlives it.

Like a container it starts held: a shell with those descriptors waits until it is released, and only then becomes the
emulator. When the agent dies before, it ends, and with it all that was made for it.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from netloom.host import channels, relay
from netloom.host.container import Process, started, tail
from netloom.host.qmp import Monitor
from netloom.state import Instance, Nic

_EMULATOR = "qemu-system-x86_64"
_SEARCH = "/usr/local/bin:/usr/bin:/usr/libexec:/bin"
_KVM = Path("/dev/kvm")
_FIRST_SLOT, _LAST_SLOT = 3, 31
"""PCI slots of cards; those before have the board's own devices and the channels."""
_START_TIMEOUT = 20.0
"""Seconds that a step of the start may take."""
_PLUG_TIMEOUT = 5.0
"""Seconds that a guest has to let go of a card."""
_KERNEL_WORDS = (
    "console=ttyS0 rdinit=/sbin/machine quiet panic=1 no_timer_check tsc=reliable nowatchdog audit=0 mitigations=off"
    " random.trust_cpu=on"
)

# A background process of a shell has no input of its own, so it gets a copy.
_SPAWN = """exec 3<&0; { read -r released && exec "$0" "$@" <&- >&2 3<&-; } <&3 & echo $!"""


class MachinesUnavailable(OSError):
    """This host cannot run machines; the text says what is missing and how to get it."""


def emulator() -> str:
    """Path of the emulator.

    Raises:
        MachinesUnavailable: it is not installed.
    """
    found = shutil.which(_EMULATOR, path=_SEARCH)
    if found is None:
        raise MachinesUnavailable(
            f"this host cannot run virtual machines: {_EMULATOR} is not installed: apt-get install qemu-system-x86"
        )
    return found


def placed(nics: Sequence[Nic], used: set[str]) -> list[tuple[str, Nic]]:
    """Cards with their names inside, which tell their slots: ``ens3`` is in slot 3. Those in ``used`` are taken.

    Raises:
        OSError: there are not enough slots.
    """
    free = [name for name in (f"ens{slot}" for slot in range(_FIRST_SLOT, _LAST_SLOT + 1)) if name not in used]
    if len(nics) > len(free):
        raise OSError(0, f"a machine has at most {_LAST_SLOT - _FIRST_SLOT + 1} network cards")
    return list(zip(free, nics, strict=False))


class HeldMachine:
    """A machine on its way: spawned, released."""

    def __init__(self, instance: Instance, directory: Path, boot: Path, user: int, taps: Mapping[str, int]) -> None:
        """Spawn it.

        Args:
            instance: what it is to be.
            directory: the instance's own.
            boot: directory with the files ``kernel`` and ``initramfs``.
            user: id of the user and group that it runs as.
            taps: descriptors of its cards' taps by the cards' names; they are closed here.

        Raises:
            OSError: it cannot start; the text says why.
        """
        self._directory = directory
        with contextlib.ExitStack() as kept:
            cards = {name: _above_ten(tap, kept) for name, tap in taps.items()}
            program = emulator()
            files = {name: _above_ten(os.open(boot / name, os.O_RDONLY), kept) for name in ("kernel", "initramfs")}
            log = os.open(directory / "console.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            log = _above_ten(log, kept)
            names = (channels.CONSOLE, channels.MONITOR, channels.SIGNALS, *channels.EXEC)
            ways = {name: _above_ten(channels.listen(directory, name).detach(), kept) for name in names}
            argv = [program, *_arguments(instance, files, log, ways, cards)]
            self._starter = subprocess.Popen(
                ["/bin/sh", "-c", _SPAWN, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                pass_fds=[*cards.values(), *files.values(), log, *ways.values()], user=user, group=user,
                extra_groups=_groups(), cwd="/", env={}, umask=0o077, start_new_session=True, bufsize=0,
            )  # fmt: skip
        self.process = Process(0, "")

    def map(self) -> None:
        """Learn its process.

        Raises:
            OSError: it could not start.
        """
        assert self._starter.stdout
        line = self._starter.stdout.readline()
        self._starter.wait(_START_TIMEOUT)
        if not line:
            raise OSError(f"the machine does not start: {self._last_words()}")
        pid = int(line)
        self.process = Process(pid, started(pid))

    def ready(self) -> None:
        """It needs nothing but its release."""

    def release(self) -> None:
        """Let it boot.

        Raises:
            OSError: it does not run; the text says why.
        """
        assert self._starter.stdin
        self._starter.stdin.write(b"\n")
        self.close()
        try:
            with monitor(self._directory, _START_TIMEOUT) as connection:
                connection.execute("query-status")
        except OSError as error:
            raise OSError(f"the machine does not start: {self._last_words() or error}") from None

    def close(self) -> None:
        """Let go of it; it ends unless it was released."""
        for pipe in (self._starter.stdin, self._starter.stdout):
            if pipe:
                pipe.close()

    def _last_words(self) -> str:
        lines = tail(self._directory / "console.log", 1000).strip().splitlines()
        return next((line for line in reversed(lines) if line.startswith(_EMULATOR)), "")


def _above_ten(descriptor: int, kept: contextlib.ExitStack) -> int:
    """The descriptor by a number that no shell uses for itself, until ``kept`` is closed."""
    try:
        number = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    finally:
        os.close(descriptor)
    kept.callback(os.close, number)
    return number


def _groups() -> list[int]:
    """The group that may use KVM, where there is one (Debian's ``kvm``)."""
    if not _KVM.exists():
        return []
    told = _KVM.stat()
    return [told.st_gid] if told.st_gid and told.st_mode & stat.S_IWGRP else []


def _processor() -> list[str]:
    """How to run a machine: by KVM, by emulation where it does not work. What is emulated is an old processor with a
    source of randomness: the fewer features, the quicker the boot."""
    emulated = ["-accel", "tcg,tb-size=32"]
    usable = _groups() or (_KVM.exists() and _KVM.stat().st_mode & stat.S_IWOTH)
    return ["-accel", "kvm", *emulated, "-cpu", "max"] if usable else [*emulated, "-cpu", "Nehalem,+rdrand"]


def _arguments(
    instance: Instance, files: Mapping[str, int], log: int, ways: Mapping[str, int], taps: Mapping[str, int]
) -> list[str]:
    """The emulator's command line, in which numbers are descriptors."""
    cpus = max(1, min(instance.vcpus, os.cpu_count() or 1))
    words = [
        "-name", f"guest={instance.hostname}", "-uuid", instance.id, "-machine", "pc,graphics=off,vmport=off",
        *_processor(), "-smp", str(cpus), "-m", str(instance.memory_mb),
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-kernel", f"/proc/self/fd/{files['kernel']}", "-initrd", f"/proc/self/fd/{files['initramfs']}",
        "-append", f"{_KERNEL_WORDS} netloom.hostname={instance.hostname}",
        "-add-fd", f"fd={log},set=1",
        "-chardev", f"{_served('console', ways)},logfile=/dev/fdset/1,logappend=on", "-serial", "chardev:console",
        "-chardev", _served("monitor", ways), "-mon", "chardev=monitor,mode=control",
        "-device", "virtio-serial-pci,id=channels,addr=2,max_ports=16",
    ]  # fmt: skip
    for name in (channels.SIGNALS, *channels.EXEC):
        words += ["-chardev", _served(name, ways)]
        words += ["-device", f"virtserialport,bus=channels.0,chardev={name},name=netloom.{name}"]
    macs = dict(zip(taps, instance.nics, strict=True))
    for name, tap in taps.items():
        device = ",".join(f"{key}={value}" for key, value in _device(name, macs[name]).items())
        words += ["-netdev", f"tap,id={name},fd={tap}", "-device", device.removeprefix("driver=")]
    return words


def _served(name: str, ways: Mapping[str, int]) -> str:
    return f"socket,id={name},fd={ways[name]},server=on,wait=off"


def _device(name: str, nic: Nic) -> dict[str, object]:
    slot = f"0x{int(name.removeprefix('ens')):x}"
    return {
        "driver": "virtio-net-pci", "id": name, "netdev": name, "mac": nic.mac, "addr": slot, "romfile": "",
        "host_mtu": nic.mtu,
    }  # fmt: skip


def monitor(directory: Path, timeout: float) -> Monitor:
    """A connection to the monitor of an instance's machine.

    Raises:
        OSError: it does not run.
    """
    return Monitor(relay.connect(directory, channels.MONITOR), timeout)


def attach(directory: Path, nics: Sequence[tuple[str, Nic]], taps: Mapping[str, int]) -> None:
    """Give a running machine cards; the descriptors of their taps are closed here.

    Raises:
        OSError: it refuses.
    """
    try:
        with channels.reserved(directory, [channels.MONITOR]), monitor(directory, _PLUG_TIMEOUT) as machine:
            for name, nic in nics:
                machine.execute("getfd", {"fdname": name}, taps[name])
                machine.execute("netdev_add", {"type": "tap", "id": name, "fd": name})
                machine.execute("device_add", _device(name, nic))
    finally:
        for tap in taps.values():
            os.close(tap)


def detach(directory: Path, names: Sequence[str]) -> None:
    """Take cards away from a running machine. A guest that does not let go of one keeps it, without a network.

    Raises:
        OSError: it refuses.
    """
    with channels.reserved(directory, [channels.MONITOR]), monitor(directory, _PLUG_TIMEOUT) as machine:
        for name in names:
            machine.execute("device_del", {"id": name})
            if machine.wait("DEVICE_DELETED", name):
                machine.execute("netdev_del", {"id": name})
