"""A lab with unmodified clients on its first server."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from netloom.lab.lab import Lab
from tests.e2e.cloud import Clients
from tests.faults.api import Api
from tests.sandbox import Machine


class LabCloud(Clients):
    """The cloud of a lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        super().__init__(self.on(lab.layout.servers[0].name))
        self.api = Api(self.machine.pid)
        """Its API as admin, quicker than a client."""
        self._host_of = cache(self._ask_host_of)

    def on(self, host: str) -> Machine:
        """The machine of a host, as it is now: after its power was off, it is another one."""
        return Machine(self.lab.host(host).pid)

    @property
    def outside(self) -> Machine:
        """The Internet."""
        return self.on(next(host.name for host in self.lab.layout.hosts.values() if "internet" in host.roles))

    def machine_of(self, server: str) -> Machine:
        """The host of an instance, by its id."""
        return self.on(self._host_of(server))

    def host_of(self, server: str) -> str:
        """The name of the host of an instance, by its id."""
        return self._host_of(server)

    def _ask_host_of(self, server: str) -> str:
        shown = self.api.call("GET", f"{self.api.compute}/servers/{server}")["server"]
        return str(shown["OS-EXT-SRV-ATTR:host"])


@contextmanager
def lab_cloud(layout: str | Path) -> Iterator[LabCloud]:
    """A lab under a name of its own, for a block; nothing is left of it."""
    lab = Lab.up(str(layout), f"test-{secrets.token_hex(3)}")
    try:
        cloud = LabCloud(lab)
        try:
            yield cloud
        finally:
            cloud.close()
    finally:
        lab.down()
    assert leftovers(lab.name) == []


def leftovers(name: str) -> list[str]:
    """What a lab of this name has left on the machine."""
    place = f"/run/netloom-lab/{name}"
    found = [str(path) for path in (Path(place),) if path.exists()]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if place in line]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "environ").read_bytes(), (process / "mountinfo").read_bytes()
        except OSError:  # ended meanwhile, or not for us
            continue
        if any(f"{place}/".encode() in text for text in told):
            found.append(f"{process.name} {(process / 'cmdline').read_bytes()!r}")
    return found
