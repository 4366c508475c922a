"""A lab: a cloud of many hosts on one machine."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from netloom.lab import configuration, files, reading, wiring
from netloom.lab.api import Api, Unanswered
from netloom.lab.layout import Host, Layout
from netloom.lab.machine import Machine, environment, start_hosts, start_wires
from netloom.lab.start import Booting

DIRECTORY = Path("/run/netloom-lab")
WIRES = "wires"
"""Name of the machine with the cables."""
READY_SECONDS = 60.0
AGENT_TYPES = {
    "openvswitch": "Open vSwitch agent",
    "l3": "L3 agent",
    "dhcp": "DHCP agent",
    "metadata": "Metadata agent",
}

Progress = Callable[[str], AbstractContextManager[None]]
"""Called with each step of a longer work; the block is the step."""


class LabError(Exception):
    """A lab cannot do what was asked; the text says why and what to do."""


def silent(_what: str) -> AbstractContextManager[None]:
    """No progress."""
    return contextlib.nullcontext()


class Lab:
    """A lab that runs, or did; everything is looked up anew, so several objects of one lab may be at work."""

    def __init__(self, name: str, layout: Layout) -> None:
        """A lab of this name and layout; ``up`` and ``open`` make these."""
        self.name = name
        self.layout = layout
        self._directory = DIRECTORY / name

    # Up and down

    @classmethod
    def up(cls, layout: str, name: str = "lab", progress: Progress = silent) -> "Lab":
        """Build a lab and wait until its API answers and all its agents are alive.

        ``layout`` is a file, or the name of a layout that comes with Netloom.

        Raises:
            LayoutError: the layout is wrong.
            LabError: there is a lab of that name, or this one does not come up; nothing of it is left then.
        """
        lab = cls(name, reading.load(layout))
        if not name.replace("-", "").isalnum() or len(name) > 32:
            raise LabError(f"'{name}' is no name for a lab: letters, digits and '-', 32 at most")
        with _locked(lab._directory):
            if (lab._directory / "machines.json").exists():
                raise LabError(f"there is a lab '{name}' already; see 'netloom lab list', or take it down first")
            try:
                lab._build(reading.source(layout), progress)
            except BaseException:
                _remove(lab._directory)
                raise
        return lab

    @classmethod
    def open(cls, name: str = "lab") -> "Lab":
        """A lab that was built before.

        Raises:
            LabError: there is no such lab.
        """
        try:
            text = (DIRECTORY / name / "layout.toml").read_text()
        except OSError:
            known = ", ".join(names()) or "none"
            raise LabError(f"there is no lab '{name}' (there are: {known}); build one with: netloom lab up") from None
        return cls(name, reading.parse(text, f"the layout of lab '{name}'", DIRECTORY / name))

    def down(self) -> None:
        """End everything and leave nothing behind; safe to repeat."""
        self.end(self.name)

    @staticmethod
    def end(name: str) -> None:
        """End the lab of this name, whatever there is of it; safe to repeat."""
        directory = DIRECTORY / name
        if directory.exists():
            with _locked(directory):
                _remove(directory)

    def _build(self, source: Mapping[str, str], progress: Progress) -> None:
        disk = self._directory / "disk"
        disk.mkdir(exist_ok=True)
        for file, text in source.items():
            path = self._directory / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        with progress(f"{len(self.layout.hosts)} hosts and their cables"):
            wires = start_wires(WIRES, disk)
            self._record({WIRES: wires})
            _ip(wires, wiring.bridges(self.layout))
            password = secrets.token_urlsafe(24) if self.layout.database == "postgresql" else ""
            machines = self._start_machines(list(self.layout.hosts.values()))
            files.write_configuration(self.layout, machines, secrets.token_urlsafe(24), password)
        booting = Booting(self.layout, machines, password, found=True)
        try:
            with progress("Open vSwitch, database, credentials and keys"):
                booting.prepared(self._first)
                files.hand_out(self.layout, machines, booting.keys)
            with progress("server and agents"):
                booting.release()
                self.wait_ready()
        finally:
            booting.close()

    def _start_machines(self, hosts: Sequence[Host]) -> dict[str, Machine]:
        """Start hosts and plug them in."""
        wires = self.wires
        disks = {host.name: self._directory / "disk" / host.name for host in hosts}
        speaking = [host.name for host in hosts if "internet" in host.roles]
        machines = {machine.name: machine for machine in start_hosts(wires, disks, speaking)}
        self._record(self.machines | machines)
        _ip(wires, "".join(wiring.cables(self.layout, host, machines[host.name].pid) for host in hosts))
        return machines

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until the API answers, and all agents and hosts of compute are alive.

        Raises:
            LabError: that did not come true; the text says who is missing.
        """
        api = Api(self.host(self.layout.servers[0].name))
        until = time.monotonic() + seconds
        while missing := self._missing(api):
            if time.monotonic() > until:
                raise LabError(f"not ready after {seconds:.0f} s: {missing}\n{self._last_words()}")
            time.sleep(0.1)

    def _missing(self, api: Api) -> str:
        """What is not there yet; empty when all is."""
        try:
            agents = {(one["agent_type"], one["host"]) for one in api.get("/v2.0/agents")["agents"] if one["alive"]}
            services = api.get(f"/compute/v2.1/{api.project_id}/os-services")["services"]
        except Unanswered as error:
            return f"the API does not answer ({error})"
        agents |= {("Compute", one["host"]) for one in services if one["state"] == "up"}
        types = AGENT_TYPES | {"compute": "Compute"}
        wanted = {(types[role], host.name) for host in self.layout.agents for role in host.roles if role in types}
        return ", ".join(f"{kind} on {host}" for kind, host in sorted(wanted - agents))

    def _last_words(self) -> str:
        """The ends of the logs of all services."""
        ends = []
        for name, machine in self.machines.items():
            for log in sorted(machine.place(LOG).glob("*.log")) if name != WIRES else ():
                ends.append(f"{name}, {log.name}:\n" + "".join(log.read_text(errors="replace").splitlines(True)[-3:]))
        return "\n".join(ends)

    @property
    def _first(self) -> str:
        return self.layout.servers[0].name

    # Its machines

    @property
    def machines(self) -> dict[str, Machine]:
        """All machines, dead or alive, by name: the one with the cables first, then the hosts."""
        return _machines(self._directory)

    def _record(self, machines: Mapping[str, Machine]) -> None:
        path = self._directory / "machines.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps({name: (machine.pid, machine.born) for name, machine in machines.items()}))
        new.replace(path)

    @property
    def wires(self) -> Machine:
        """The machine with the cables."""
        return self._machine(WIRES)

    def host(self, name: str) -> Machine:
        """The machine of a host.

        Raises:
            LabError: there is no such host, or it is off.
        """
        if name not in self.layout.hosts:
            raise LabError(f"there is no host '{name}' in lab '{self.name}'; there are: {', '.join(self.layout.hosts)}")
        return self._machine(name)

    def _machine(self, name: str) -> Machine:
        machine = self.machines.get(name)
        if machine is None or not machine.alive:
            raise LabError(f"'{name}' of lab '{self.name}' is off; start it with: netloom lab heal {name}")
        return machine

    # Commands on its hosts

    def credentials(self, user: str = "admin") -> dict[str, str]:
        """The environment that makes a client be ``admin`` or ``demo``; the files are on hosts with the role server."""
        return {
            "OS_CLIENT_CONFIG_FILE": f"{configuration.DIRECTORY}/clouds.yaml",
            "OS_CLOUD": f"netloom-{user}",
        }

    def command(self, host: str, argv: Sequence[str], user: str = "admin") -> tuple[list[str], dict[str, str]]:
        """The command line and the environment that run ``argv`` on a host, with the credentials of ``user``."""
        return self.host(host).enter(argv), environment(self.credentials(user))

    def exec(
        self,
        host: str,
        argv: Sequence[str],
        *,
        user: str = "admin",
        check: bool = True,
        text: str = "",
        timeout: float = 60,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command on a host to its end, with ``text`` as its input.

        Raises:
            LabError: with ``check``, it ended with another code than 0; the text has what it said.
        """
        line, variables = self.command(host, argv, user)
        done = subprocess.run(
            line, env=variables, input=text, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            raise LabError(f"{host}: {' '.join(argv)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def popen(self, host: str, argv: Sequence[str], *, user: str = "admin", **options: Any) -> "subprocess.Popen[str]":
        """Start a command on a host; ``options`` are those of ``subprocess.Popen``."""
        line, variables = self.command(host, argv, user)
        return subprocess.Popen(line, env=variables, text=True, **options)


LOG = f"{files.STATE}/log"


def names() -> list[str]:
    """The labs that there are."""
    return sorted(path.parent.name for path in DIRECTORY.glob("*/machines.json"))


def _machines(directory: Path) -> dict[str, Machine]:
    try:
        recorded: dict[str, Any] = json.loads((directory / "machines.json").read_text())
    except FileNotFoundError:
        return {}
    return {name: Machine(name, pid, born) for name, (pid, born) in recorded.items()}


def _remove(directory: Path) -> None:
    for machine in reversed(_machines(directory).values()):
        machine.kill()
    shutil.rmtree(directory, ignore_errors=True)
    with contextlib.suppress(OSError):
        DIRECTORY.rmdir()


def _ip(machine: Machine, commands: str) -> None:
    """Run commands of ``ip`` in a machine's network; process numbers in them are ours."""
    argv = ["nsenter", f"--target={machine.pid}", "--net", "ip", "-batch", "-"]
    done = subprocess.run(argv, input=commands, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"the lab's cables: {done.stderr.strip()}")


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let nobody else build this lab, or take it down, meanwhile."""
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
