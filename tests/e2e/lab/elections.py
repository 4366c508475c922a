"""Who of a router's hosts is the active one, and what each of them shows."""

import re

from tests.lab.cloud import LabCloud


class Election:
    """A highly available router on its hosts."""

    def __init__(self, cloud: LabCloud, router: str) -> None:
        """``router``: its id."""
        self._cloud, self._router = cloud, router

    def _agents(self) -> list[dict[str, object]]:
        return list(self._cloud.api.call("GET", f"/v2.0/routers/{self._router}/l3-agents")["agents"])

    def states(self) -> dict[str, str]:
        """What each host is for the router, as the API says."""
        return {str(agent["host"]): str(agent["ha_state"]) for agent in self._agents()}

    def alive(self) -> dict[str, bool]:
        """Whether the API holds the agents of the router's hosts to be alive."""
        return {str(agent["host"]): bool(agent["alive"]) for agent in self._agents()}

    def active(self) -> str:
        """The active host."""
        (found,) = (host for host, state in self.states().items() if state == "active")
        return found

    def standing_by(self) -> list[str]:
        """The hosts that stand by."""
        return [host for host, state in self.states().items() if state == "standby"]

    def inside(self, host: str, *argv: str) -> str:
        """Run a command in the router's namespace on a host; its output."""
        return self._cloud.on(host).run("ip", "netns", "exec", f"qrouter-{self._router}", *argv).stdout

    def shown(self, host: str) -> dict[str, str]:
        """What ``ip addr show`` tells of each device of the router on a host."""
        parts = re.split(r"^\d+: ", self.inside(host, "ip", "addr", "show"), flags=re.MULTILINE)
        return {re.split("[@:]", part)[0]: part for part in parts if part}

    def forwarded(self, host: str) -> int:
        """How many IPv4 packets the router has forwarded on a host."""
        names, values = (
            line.split() for line in self.inside(host, "cat", "/proc/net/snmp").splitlines() if line.startswith("Ip:")
        )
        return int(values[names.index("ForwDatagrams")])
