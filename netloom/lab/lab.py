"""A lab: a cloud of many hosts on one machine."""

import contextlib
import secrets
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from netloom.lab import configuration, faults, files, reading, record, wiring
from netloom.lab.errors import LabError
from netloom.lab.layout import Host, Layout
from netloom.lab.machine import Machine, environment, start_hosts, start_wires
from netloom.lab.readiness import Readiness
from netloom.lab.record import Record
from netloom.lab.start import Booting, founding, services

WIRES = "wires"
"""Name of the machine with the cables."""
READY_SECONDS = 60.0
PROCESSES = (*faults.PIDFILES, *faults.DAEMONS)
"""What can be killed."""

Progress = Callable[[str], AbstractContextManager[None]]
"""Called with each step of a longer work; the block is the step."""


def silent(_what: str) -> AbstractContextManager[None]:
    """No progress."""
    return contextlib.nullcontext()


class Lab:
    """A lab that runs, or did; everything is looked up anew, so several objects of one lab may be at work."""

    def __init__(self, name: str, layout: Layout) -> None:
        """A lab of this name and layout; ``up`` and ``open`` make these."""
        self.name = name
        self.layout = layout
        self._record = Record(name)
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
        with lab._record.locked():
            if lab._record.exists:
                raise LabError(f"there is a lab '{name}' already; see 'netloom lab list', or take it down first")
            try:
                lab._record.layout.write_text(reading.text(layout))
                lab._build(progress)
            except BaseException:
                lab._record.remove()
                raise
        return lab

    @classmethod
    def open(cls, name: str = "lab") -> "Lab":
        """A lab that was built before.

        Raises:
            LabError: there is no such lab.
        """
        try:
            text = Record(name).layout.read_text()
        except OSError:
            known = ", ".join(record.names()) or "none"
            raise LabError(f"there is no lab '{name}' (there are: {known}); build one with: netloom lab up") from None
        return cls(name, reading.parse(text, f"the layout of lab '{name}'", None))

    def down(self) -> None:
        """End everything and leave nothing behind; safe to repeat."""
        self.end(self.name)

    @staticmethod
    def end(name: str) -> None:
        """End the lab of this name, whatever there is of it; safe to repeat."""
        kept = Record(name)
        if kept.directory.exists():
            with kept.locked():
                kept.remove()

    def _build(self, progress: Progress) -> None:
        self._record.disks.mkdir()
        with progress(f"{len(self.layout.hosts)} hosts and their cables"):
            wires = start_wires(WIRES, self._record.disks)
            self._record.add({WIRES: wires})
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
        disks = {host.name: self._record.disks / host.name for host in hosts}
        speaking = [host.name for host in hosts if "internet" in host.roles]
        machines = {machine.name: machine for machine in start_hosts(wires, disks, speaking)}
        self._record.add(machines)
        faults.ip(wires, "".join(wiring.cables(self.layout, host, machines[host.name].pid) for host in hosts))
        return machines

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until the API answers, and all agents and hosts of compute are alive.

        Raises:
            LabError: that did not come true; the text says who is missing.
        """
        self.host(self._first)
        Readiness(self.layout, self.machines, self._started, self.wanting).wait(seconds)

    @property
    def _first(self) -> str:
        """The server that has founded the cloud."""
        return self.layout.servers[0].name

    # Its machines

    @property
    def machines(self) -> dict[str, Machine]:
        """All machines, dead or alive, by name: the one with the cables first, then the hosts."""
        return self._record.machines

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
        with self._record.locked():
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
        if entry.names:
            wanted.append("dnsmasq")
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
