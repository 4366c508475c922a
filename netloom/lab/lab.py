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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from netloom.lab import configuration, faults, files, reading, wiring
from netloom.lab.api import Api, Unanswered
from netloom.lab.layout import Host, Layout
from netloom.lab.machine import Machine, environment, start_hosts, start_wires
from netloom.lab.start import Booting, founding, services

DIRECTORY = Path("/run/netloom-lab")
WIRES = "wires"
"""Name of the machine with the cables."""
READY_SECONDS = 60.0
START_SECONDS = 25.0
"""After so long, a service that has been started runs, or never will."""
AGENT_TYPES = {
    "openvswitch": "Open vSwitch agent",
    "l3": "L3 agent",
    "dhcp": "DHCP agent",
    "metadata": "Metadata agent",
}

PROCESSES = (*faults.PIDFILES, *faults.DAEMONS)
"""What can be killed."""

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
        self._started: dict[str, float] = {}
        """When we have started the services of hosts, seconds since the epoch."""

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
                (lab._directory / "layout.toml").write_text(reading.text(layout))
                lab._build(progress)
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
        return cls(name, reading.parse(text, f"the layout of lab '{name}'", None))

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

    def _build(self, progress: Progress) -> None:
        disk = self._directory / "disk"
        disk.mkdir(exist_ok=True)
        with progress(f"{len(self.layout.hosts)} hosts and their cables"):
            wires = start_wires(WIRES, disk)
            self._record({WIRES: wires})
            faults.ip(wires, wiring.bridges(self.layout))
            password = secrets.token_urlsafe(24) if self.layout.database == "postgresql" else ""
            machines = self._start_machines(list(self.layout.hosts.values()))
            files.write_configuration(self.layout, machines, secrets.token_urlsafe(24), password)
        with Booting(self.layout, machines, founding(self.layout, password)) as booting:
            with progress("Open vSwitch, database, credentials and keys"):
                booting.prepared(self._first)
                files.hand_out(self.layout, machines, booting.keys)
            with progress("server and agents"):
                booting.release()
                self.wait_ready()

    def _start_machines(self, hosts: Sequence[Host]) -> dict[str, Machine]:
        """Start hosts and plug them in."""
        wires = self.wires
        disks = {host.name: self._directory / "disk" / host.name for host in hosts}
        speaking = [host.name for host in hosts if "internet" in host.roles]
        machines = {machine.name: machine for machine in start_hosts(wires, disks, speaking)}
        self._record(self.machines | machines)  # whoever takes the lab down finds them from here on
        faults.ip(wires, "".join(wiring.cables(self.layout, host, machines[host.name].pid) for host in hosts))
        return machines

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until the API answers, and all agents and hosts of compute are alive.

        Raises:
            LabError: that did not come true; the text says who is missing.
        """
        api = Api(self.host(self._first))
        began = time.monotonic()
        while missing := self._missing(api):
            waited = time.monotonic() - began
            dead = waited > START_SECONDS and self._dead_services()
            if waited > seconds or dead:
                raise LabError(f"not ready after {waited:.0f} s: {dead or missing}\n{self._last_words()}")
            time.sleep(0.1)

    def _missing(self, api: Api) -> str:
        """What is not there yet; empty when all is."""
        try:
            agents = {(one["agent_type"], one["host"]) for one in api.get("/v2.0/agents")["agents"] if self._fresh(one)}
            services = api.get(f"/compute/v2.1/{api.project_id}/os-services")["services"]
        except Unanswered as error:
            return f"the API does not answer ({error})"
        agents |= {("Compute", one["host"]) for one in services if one["state"] == "up"}
        types = AGENT_TYPES | {"compute": "Compute"}
        wanted = {(types[role], host.name) for host in self.layout.agents for role in host.roles if role in types}
        return ", ".join(f"{kind} on {host}" for kind, host in sorted(wanted - agents)) or self._dead_services()

    def _fresh(self, agent: Mapping[str, Any]) -> bool:
        """Whether an agent is alive, and was heard of since its host's services were started last."""
        heard = datetime.fromisoformat(agent["heartbeat_timestamp"]).replace(tzinfo=UTC).timestamp()
        return bool(agent["alive"]) and heard >= int(self._started.get(agent["host"], 0))

    def _dead_services(self) -> str:
        """What should run and does not."""
        dead = {host: self.wanting(host) for host in self.layout.hosts}
        return "; ".join(f"{host} has no {', '.join(what)}" for host, what in dead.items() if what)

    def _last_words(self) -> str:
        """The ends of the logs of all services."""
        ends = []
        for name, machine in self.machines.items():
            for log in sorted(machine.place(LOG).glob("*.log")) if name != WIRES else ():
                ends.append(f"{name}, {log.name}:\n" + "".join(log.read_text(errors="replace").splitlines(True)[-3:]))
        return "\n".join(ends)

    @property
    def _first(self) -> str:
        """The server that has founded the cloud."""
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
        self._known(name)
        return self._machine(name)

    def _machine(self, name: str) -> Machine:
        machine = self.machines.get(name)
        if machine is None or not machine.alive:
            raise LabError(f"'{name}' of lab '{self.name}' is off; start it with: netloom lab heal {name}")
        return machine

    # Faults

    def cut(self, link: str) -> None:
        """Pull a cable, ``HOST/NETWORK``: both ends lose their carrier.

        Raises:
            LabError: there is no such link, or its host is off.
        """
        faults.cut(self.wires, [self._end(link)])

    def kill(self, host: str, process: str, of: str = "") -> list[int]:
        """Kill processes of a host by SIGKILL, and wait for their end; returns their numbers, none when none ran.

        ``process`` is one of ``PROCESSES``; ``of`` chooses those of one router or network, by its id.

        Raises:
            LabError: there is no such host, process or object.
        """
        if process not in PROCESSES:
            raise LabError(f"'{process}' cannot be killed; it must be one of: {', '.join(PROCESSES)}")
        try:
            return faults.kill(self.host(host), process, of)
        except LookupError as error:
            raise LabError(str(error)) from None

    def freeze(self, host: str) -> None:
        """Stop a host as it is: it answers nothing and forwards nothing, though its links have their carrier.

        Raises:
            LabError: there is no such host, or it is off.
        """
        faults.freeze(self.wires, self.host(host), self._ends(host))

    def power_off(self, host: str) -> None:
        """Take everything of a host away at once; its disk stays (/etc and /var/lib). Nothing when it is off.

        Raises:
            LabError: there is no such host.
        """
        ends = self._ends(host)
        faults.pull(self.wires, ends)
        self.machines[host].kill()

    def power_on(self, *hosts: str) -> None:
        """Start hosts that are off, and what does not run on those that are on, as after a reboot.

        Raises:
            LabError: there is no such host.
            BootError: one does not start.
        """
        with _locked(self._directory):
            off = [self.layout.hosts[name] for name in hosts if not self._known(name).alive]
            if off:
                self._start_machines(off)
        with Booting(self.layout, {name: self.host(name) for name in hosts}) as booting:
            self._started |= dict.fromkeys(hosts, time.time())
            booting.release()

    def heal(self, target: str = "") -> None:
        """Undo faults: all of them, those of a host, or the cut of a link. What was killed is started again.

        Raises:
            LabError: there is no such host or link.
            BootError: a host does not start.
        """
        if "/" in target:
            faults.plug(self.wires, [self._end(target)])
            return
        for host in [target] if target else self.layout.hosts:
            machine = self._known(host)
            if machine.alive:
                faults.plug(self.wires, faults.dead_links(self.wires).intersection(self._ends(host)))
                if faults.frozen(machine):
                    faults.thaw(self.wires, machine, self._ends(host))
        names = [target] if target else list(self.layout.hosts)
        if wanting := [name for name in names if self.wanting(name)]:
            self.power_on(*wanting)

    def wanting(self, host: str) -> list[str]:
        """What should run on a host and does not: ``power``, or processes as ``kill`` names them."""
        machine = self._known(host)
        if not machine.alive:
            return ["power"]
        entry = self.layout.hosts[host]
        wanted = [*services(entry), *(("ovsdb", "vswitchd") if entry.has_agent else ())]
        if wiring.preparation(self.layout, entry).postgresql:
            wanted.append("postgresql")
        return [what for what in wanted if not faults.find(machine, what)]

    def faults(self, host: str) -> list[str]:
        """What is wrong with a host, for people to read."""
        missing = self.wanting(host)
        if missing == ["power"]:
            return ["off"]
        found = ["frozen"] if faults.frozen(self.machines[host]) else []
        dead = faults.dead_links(self.wires)
        ends = wiring.devices(self.layout, self.layout.hosts[host])
        found += [f"{end.network.name} cut" for end in ends if end.outer in dead]
        return found + [f"no {what}" for what in missing]

    def _known(self, host: str) -> Machine:
        """The machine of a host, dead or alive."""
        if host not in self.layout.hosts:
            raise LabError(f"there is no host '{host}' in lab '{self.name}'; there are: {', '.join(self.layout.hosts)}")
        return self.machines[host]

    def _ends(self, host: str) -> list[str]:
        """Outer ends of a host's links."""
        self._known(host)
        return [end.outer for end in wiring.devices(self.layout, self.layout.hosts[host])]

    def _end(self, link: str) -> str:
        """The outer end of a link."""
        host, _, network = link.partition("/")
        self.host(host)
        for end in wiring.devices(self.layout, self.layout.hosts[host]):
            if end.network.name == network:
                return end.outer
        known = ", ".join(f"{host}/{each.network}" for each in self.layout.hosts[host].links)
        raise LabError(f"there is no link '{link}'; {host} has: {known}")

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


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let nobody else build this lab, or take it down, meanwhile."""
    while True:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if directory.exists() and os.path.samestat(os.fstat(descriptor), directory.stat()):
                yield
                return  # else the one that had the lock has removed it
        finally:
            os.close(descriptor)
