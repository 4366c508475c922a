"""Starting what runs on hosts: each is told what to prepare, all at once, and then to start its services."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Mapping

from netloom.lab import configuration, wiring
from netloom.lab.errors import BootError
from netloom.lab.layout import Host, Layout
from netloom.lab.machine import Machine, environment


class Booting:
    """Hosts on their way up."""

    def __init__(
        self, layout: Layout, machines: Mapping[str, Machine], founding: Mapping[str, object] | None = None
    ) -> None:
        """Let these machines prepare themselves, servers first; ``founding`` is for a lab's first start."""
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._prepared: set[str] = set()
        self.keys: dict[str, str] = {}
        """Keys that were made for hosts."""
        hosts = sorted((layout.hosts[name] for name in machines), key=lambda host: "server" not in host.roles)
        for host in hosts:
            process = subprocess.Popen(
                machines[host.name].enter([sys.executable, "-m", "netloom.lab.boot"]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment(),
                text=True,
            )
            self._processes[host.name] = process
            preparation = dataclasses.asdict(wiring.preparation(layout, host))
            order: dict[str, object] = {"preparation": preparation, "services": services(host)}
            if founding and host.name == layout.servers[0].name:
                order |= founding
            self._tell(host.name, json.dumps(order))

    def __enter__(self) -> "Booting":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell(self, name: str, line: str) -> None:
        stream = self._processes[name].stdin
        assert stream
        stream.write(line + "\n")
        stream.flush()

    def prepared(self, name: str) -> None:
        """Wait until a host is prepared.

        Raises:
            BootError: it cannot be.
        """
        if name in self._prepared:
            return
        output = self._processes[name].stdout
        assert output
        said = output.readline()
        if not said.startswith("{"):
            raise BootError(f"the host {name} did not start: {said}{output.read()}".strip())
        self.keys |= json.loads(said)
        self._prepared.add(name)

    def release(self) -> None:
        """Let all start their services, and wait until they have done so.

        Raises:
            BootError: one of them does not start.
        """
        for name in self._processes:
            self.prepared(name)
            self._tell(name, "go")
        for name, process in self._processes.items():
            said, _ = process.communicate()
            if process.returncode:
                raise BootError(f"the services of {name} did not start: {said}")

    def close(self) -> None:
        """Give up what is still on its way."""
        for process in self._processes.values():
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()


def founding(layout: Layout, database_password: str) -> dict[str, object]:
    """What the order of a lab's first server has besides, at the first start."""
    first = layout.servers[0]
    hosts = [host.name for host in layout.agents]
    cloud = {"files": configuration.config_files(first), "url": configuration.url(first), "hosts": hosts}
    return {"cloud": cloud, "database_password": database_password}


def services(host: Host) -> dict[str, list[str]]:
    """The services of a host: the words of their command lines."""
    files = [word for path in configuration.config_files(host) for word in ("--config-file", path)]
    wanted = {"server": "server" in host.roles, "agent": host.has_agent}
    return {service: [*files, service] for service, there in wanted.items() if there}
