"""Whether a lab is ready: its API answers, and all its agents and hosts of compute are alive."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from netloom.lab.api import Api, Unanswered
from netloom.lab.boot import LOG
from netloom.lab.errors import LabError
from netloom.lab.layout import Layout
from netloom.lab.machine import Machine

START_SECONDS = 25.0
"""After so long, a service that has been started runs, or never will."""
TYPES = {
    "openvswitch": "Open vSwitch agent",
    "l3": "L3 agent",
    "dhcp": "DHCP agent",
    "metadata": "Metadata agent",
    "loadbalancer": "Loadbalancer agent",
    "compute": "Compute",
}
"""How the APIs call what has a role."""


class Readiness:
    """What is known of a lab whose services have been started."""

    def __init__(
        self,
        layout: Layout,
        machines: Mapping[str, Machine],
        started: Mapping[str, float],
        wanting: Callable[[str], Sequence[str]],
    ) -> None:
        """``started``: when hosts' services were, seconds since the epoch; ``wanting``: what does not run on a host."""
        self._layout, self._machines = layout, machines
        self._started, self._wanting = started, wanting
        self._api = Api(machines[layout.servers[0].name])

    def wait(self, seconds: float) -> None:
        """Wait until it is ready.

        Raises:
            LabError: that did not come true; the text says who is missing.
        """
        began = time.monotonic()
        while missing := self._missing():
            waited = time.monotonic() - began
            dead = waited > START_SECONDS and self._dead()
            if waited > seconds or dead:
                raise LabError(f"not ready after {waited:.0f} s: {dead or missing}\n{self._last_words()}")
            time.sleep(0.1)

    def _missing(self) -> str:
        """What is not there yet; empty when all is."""
        try:
            agents = self._api.get("/v2.0/agents")["agents"]
            services = self._api.get(f"/compute/v2.1/{self._api.project_id}/os-services")["services"]
        except Unanswered as error:
            return f"the API does not answer ({error})"
        there = {(one["agent_type"], one["host"]) for one in agents if self._fresh(one)}
        there |= {("Compute", one["host"]) for one in services if one["state"] == "up"}
        wanted = {(TYPES[role], host.name) for host in self._layout.agents for role in host.roles if role in TYPES}
        return ", ".join(f"{kind} on {host}" for kind, host in sorted(wanted - there)) or self._dead()

    def _fresh(self, agent: Mapping[str, Any]) -> bool:
        """Whether an agent is alive, and was heard of since its host's services were started."""
        heard = datetime.fromisoformat(agent["heartbeat_timestamp"]).replace(tzinfo=UTC).timestamp()
        return bool(agent["alive"]) and heard >= int(self._started.get(agent["host"], 0))

    def _dead(self) -> str:
        """What should run and does not."""
        dead = {host: self._wanting(host) for host in self._layout.hosts}
        return "; ".join(f"{host} has no {', '.join(what)}" for host, what in dead.items() if what)

    def _last_words(self) -> str:
        """The ends of the logs of all services."""
        ends = []
        for name in self._layout.hosts:
            for log in sorted(self._machines[name].place(str(LOG)).glob("*.log")):
                ends.append(f"{name}, {log.name}:\n" + "".join(log.read_text(errors="replace").splitlines(True)[-3:]))
        return "\n".join(ends)
