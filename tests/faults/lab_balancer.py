"""A load balancer that two hosts of a lab carry, two web servers behind it, and clients that ask them through it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from netloom.lab import faults
from tests import web
from tests.faults.lab_town import CARRIERS, PATIENCE, LabTown
from tests.sandbox import eventually

BALANCERS = "/load-balancer/v2.0/lbaas/loadbalancers"
SERVERS = ("one", "two")
CHECK = {"type": "HTTP", "delay": 1, "timeout": 1, "max_retries": 1, "max_retries_down": 1, "url_path": "/"}
PORT = 80


class LabBalancer:
    """The balancer; ``close`` deletes it."""

    def __init__(self, town: LabTown) -> None:
        self.town, self.api, self.lab = town, town.api, town.lab
        places = dict(zip(SERVERS, (town.one, town.two), strict=True))
        self.addresses = {name: self._address(server) for name, server in places.items()}
        self._servers = [
            town.program(web.__file__, "serve", name, self.addresses[name], str(PORT), inside=server)
            for name, server in places.items()
        ]
        self.id = self.vip = ""

    def _address(self, server: str) -> str:
        (port,) = self.api.all("ports", f"device_id={server}")
        return str(port["fixed_ips"][0]["ip_address"])

    def close(self) -> None:
        """Delete it, and end the servers."""
        for server in self._servers:
            server.end()
        if self.id:
            self.api.ask("DELETE", f"{BALANCERS}/{self.id}?cascade=true")
            eventually(self.gone, PATIENCE, "its end")

    # Through the API

    def create(self) -> None:
        """Ask for it, with all that it consists of."""
        members = [{"name": name, "address": self.addresses[name], "protocol_port": PORT} for name in SERVERS]
        pool = {"protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "healthmonitor": CHECK, "members": members}
        listener = {"protocol": "HTTP", "protocol_port": PORT, "default_pool": pool}
        body = {"name": "balanced", "vip_subnet_id": self.town.subnet, "listeners": [listener]}
        made = self.api.call("POST", BALANCERS, {"loadbalancer": body})["loadbalancer"]
        self.id, self.vip = made["id"], made["vip_address"]

    def change(self, limit: int) -> None:
        """Change something that makes haproxy reload."""
        (listener,) = self.shown()["listeners"]
        path = f"/load-balancer/v2.0/lbaas/listeners/{listener['id']}"
        self.api.call("PUT", path, {"listener": {"connection_limit": limit}})

    def delete(self) -> None:
        """Ask for its end."""
        self.api.call("DELETE", f"{BALANCERS}/{self.id}?cascade=true")

    def shown(self) -> dict[str, Any]:
        """What the API tells of it."""
        found: dict[str, Any] = self.api.call("GET", f"{BALANCERS}/{self.id}")["loadbalancer"]
        return found

    def gone(self) -> bool:
        """Whether the API knows it no more."""
        return self.api.ask("GET", f"{BALANCERS}/{self.id}")[0] == 404

    # On its hosts

    def actives(self) -> list[str]:
        """The hosts that run and bear the VIP."""
        running = [host for host in CARRIERS if self.lab.machines[host].alive]
        argv = ("ip", "-n", f"qlbaas-{self.id}", "-o", "address")
        return [host for host in running if f" {self.vip}/" in self.town.cloud.on(host).run(*argv, check=False).stdout]

    def remains(self, host: str) -> list[str]:
        """What a host has of it: files, namespaces, processes."""
        machine = self.town.cloud.on(host)
        places = ("/run/netns", "/var/lib/netloom", "/run/netloom")
        found = machine.run("find", *places, "-name", f"*{self.id}*", check=False).stdout.split()
        return found + machine.run("pgrep", "-f", self.id, check=False).stdout.split()

    def haproxy(self, host: str, *, workers: bool = False) -> list[int]:
        """The processes of its haproxy on a host, the master first; or the others alone."""
        try:
            return sorted(faults.find(self.lab.host(host), "haproxy", self.id))[int(workers) :]
        except LookupError:  # not even its namespace is there
            return []

    def settled(self) -> tuple[str, str]:
        """Wait until one host is active, both run it, all members serve, and the API says so; returns the two."""

        def whole() -> bool:
            shown = self.shown()
            told = shown["provisioning_status"], shown["operating_status"]
            return told == ("ACTIVE", "ONLINE") and len(self.actives()) == 1 and all(map(self.haproxy, CARRIERS))

        eventually(whole, PATIENCE, "one active host, and ACTIVE")
        # Not at once: a host that comes back may still take part in an election.
        eventually(lambda: self.answers() == set(SERVERS), PATIENCE, "both servers answer, and nobody else")
        (active,) = self.actives()
        (standby,) = set(CARRIERS) - {active}
        return active, standby

    # Requests

    def answers(self) -> set[str]:
        """What a fifth of a second's requests are answered."""
        with self.asking() as told:
            time.sleep(0.2)
        return {each.answer for each in told().all}

    @contextmanager
    def asking(self) -> Iterator[Callable[[], web.Requests]]:
        """A client beside a server that asks the VIP every 10 ms during the block; known afterwards."""
        client = self.town.program(web.__file__, "ask", self.vip, str(PORT), inside=self.town.one)
        told: list[web.Requests] = []
        try:
            yield lambda: told[0]
        finally:
            told.append(web.requests(client.end(), *SERVERS))
