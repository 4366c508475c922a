"""What can go wrong with a host: pulled cables, dead and frozen processes. Each is looked up, never remembered.

A frozen host's processes are stopped, and what its kernel would do without them is kept from the network: its links
have their carrier, and nothing comes or goes. Userspace switches stop with their processes.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from netloom.host.vswitch import Process, daemon_pid
from netloom.lab.machine import END_SECONDS, Machine, stopped
from netloom.lab.wiring import CLOSED, OPEN

PIDFILES: Mapping[str, str] = {
    "agent": "/run/netloom/agent.pid",
    "server": "/run/netloom/server.pid",
    "vswitchd": "/run/openvswitch/ovs-vswitchd.pid",
    "ovsdb": "/run/openvswitch/ovsdb-server.pid",
}
"""Processes that can be killed, of which a host has one, and the file that it holds locked."""
DAEMONS: Mapping[str, str] = {
    "keepalived": "keepalived",
    "conntrackd": "conntrackd",
    "dnsmasq": "dnsmasq",
    "haproxy": "haproxy",
    "radvd": "radvd",
    "postgresql": "postgres",
}
"""Further processes that can be killed, and the names of their programs."""


@dataclass(frozen=True, slots=True)
class Running:
    """A process of a host, by its number here."""

    pid: int
    program: str
    network: int
    """Number of its network namespace."""


def cut(wires: Machine, ends: Iterable[str]) -> None:
    """Take the carrier from links, given by their outer ends."""
    ip(wires, "".join(f"link set {end} down\n" for end in ends))


def plug(wires: Machine, ends: Iterable[str]) -> None:
    """Give links their carrier again."""
    ip(wires, "".join(f"link set {end} up\n" for end in ends))


def pull(wires: Machine, ends: Iterable[str]) -> None:
    """Remove links that are there, at once."""
    there = _links(wires)
    present = [end for end in ends if end in there]
    cut(wires, present)
    ip(wires, "".join(f"link delete {end}\n" for end in present))


def dead_links(wires: Machine) -> set[str]:
    """Outer ends of the links that are cut."""
    return {name for name, flags in _links(wires).items() if "UP" not in flags}


def freeze(wires: Machine, machine: Machine, ends: Iterable[str]) -> None:
    """Stop a host: all its processes, and its kernel's packets."""
    _signal_all(machine, signal.SIGSTOP)
    _bridge_ports(wires, ends, CLOSED)


def thaw(wires: Machine, machine: Machine, ends: Iterable[str]) -> None:
    """Let it go on."""
    _bridge_ports(wires, ends, OPEN)
    _signal_all(machine, signal.SIGCONT)


def frozen(machine: Machine) -> bool:
    """Whether a host is frozen."""
    return stopped(machine.pid)


def processes(machine: Machine) -> Iterator[Running]:
    """The host's own processes, in whichever network namespace; those inside of instances are not among them."""
    home = os.stat(f"/proc/{machine.pid}/ns/pid").st_ino
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if os.stat(f"/proc/{entry}/ns/pid").st_ino == home:
                network = os.stat(f"/proc/{entry}/ns/net").st_ino
                yield Running(int(entry), Path(f"/proc/{entry}/comm").read_text().strip(), network)
        except (FileNotFoundError, ProcessLookupError, PermissionError):  # ended meanwhile, or not for us
            continue


def find(machine: Machine, what: str, of: str = "") -> list[int]:
    """The processes that ``kill`` would kill.

    Raises:
        LookupError: no namespace belongs to the object ``of``.
    """
    if what in PIDFILES:
        pid = daemon_pid(machine.place(PIDFILES[what]))
        return [pid] if pid else []
    found = [one for one in processes(machine) if one.program == DAEMONS[what]]
    if of:
        networks = _networks(machine, of)
        found = [one for one in found if one.network in networks]
    return [one.pid for one in found]


def kill(machine: Machine, what: str, of: str = "") -> list[int]:
    """Kill processes by SIGKILL and wait for their end; returns their numbers, none when none ran.

    ``what`` is one of ``PIDFILES`` or ``DAEMONS``; ``of`` chooses those of one router or network, by its id.

    Raises:
        LookupError: no namespace belongs to the object ``of``.
    """
    pids = find(machine, what, of)
    held = []
    for pid in pids:
        try:
            held.append(Process(pid))
        except ProcessLookupError:
            continue
    for process in held:
        process.signal(signal.SIGKILL)
    for process in held:
        process.wait(END_SECONDS)
        process.close()
    return pids


def _networks(machine: Machine, of: str) -> set[int]:
    """Numbers of the network namespaces of an object, as ``qrouter-ID``."""
    folder = machine.place("/run/netns")
    found = {path.stat().st_ino for path in folder.glob(f"*-{of}")}
    if not found:
        known = ", ".join(sorted(path.name for path in folder.iterdir())) or "none"
        raise LookupError(f"{machine.name} has no namespace of '{of}'; it has: {known}")
    return found


def _signal_all(machine: Machine, number: signal.Signals) -> None:
    """Signal all of a host's processes, those of its instances too, in one go; the first one tells its state."""
    # kill(2) with -1 reaches all processes of the caller's pid namespace and those below, but for the first one.
    argv = ["nsenter", f"--target={machine.pid}", "--pid", "sh", "-c", f"kill -{number.name.removeprefix('SIG')} -1"]
    subprocess.run(argv, check=False)
    os.kill(machine.pid, number)


def _bridge_ports(wires: Machine, ends: Iterable[str], state: int) -> None:
    commands = "".join(f"link set dev {end} state {state}\n" for end in ends)
    _run(wires, ["bridge", "-batch", "-"], commands)


def _links(wires: Machine) -> dict[str, list[str]]:
    """Flags of the devices in the machine with the cables."""
    return {link["ifname"]: link["flags"] for link in json.loads(_run(wires, ["ip", "-j", "link"]))}


def ip(wires: Machine, commands: str) -> None:
    """Run commands of ``ip`` in a machine's network; process numbers in them are ours.

    Raises:
        OSError: one of them failed.
    """
    _run(wires, ["ip", "-batch", "-"], commands)


def _run(wires: Machine, argv: list[str], text: str = "") -> str:
    entering = ["nsenter", f"--target={wires.pid}", "--net"]
    done = subprocess.run([*entering, *argv], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(0, f"the lab's cables: {done.stderr.strip()}")
    return done.stdout
