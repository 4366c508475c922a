"""Two instances behind a highly available router of a lab, and what can befall the router's hosts."""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from netloom.lab import faults
from tests.e2e.world import INTERFACES
from tests.faults.plant import PORT, PROBE, Probe
from tests.lab.cloud import LabCloud
from tests.sandbox import eventually

CARRIERS = ("network1", "network2")
INTERNET = "8.8.8.8"
PUSH_PORT = "7778"
ELECTED = " 169.254.0."
"""With this begins the address, as ``ip`` shows it, that is on a router's active host alone."""
PATIENCE = 40.0
"""Seconds that a busy machine may take to come to rest."""
SLACK = 0.02
"""Seconds that a packet may have been under way when something happened."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that befalls a host of the router."""

    name: str
    befall: Callable[["LabTown", str], object]
    """Makes it happen on a host."""
    moves: bool = True
    """Whether another host takes over when it befalls the active one."""
    lasts: bool = True
    """Whether it stays there until healed: else both hosts may be elected afterwards."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What one way missed."""

    lost: int
    gap: float
    """Seconds of the longest silence."""


def _kill_keepalived(which: slice) -> Callable[["LabTown", str], None]:
    def befall(town: "LabTown", host: str) -> None:
        for pid in sorted(faults.find(town.lab.host(host), "keepalived", town.router))[which]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    return befall


def _kill(process: str) -> Callable[["LabTown", str], object]:
    return lambda town, host: town.lab.kill(host, process)


def _cut(link: str) -> Callable[["LabTown", str], object]:
    return lambda town, host: town.lab.cut(f"{host}/{link}")


FAULTS = (
    Fault("keepalived killed", _kill_keepalived(slice(None))),
    Fault("keepalived's parent killed", _kill_keepalived(slice(0, 1))),
    Fault("keepalived's child killed", _kill_keepalived(slice(1, 2))),
    Fault("agent killed", _kill("agent"), moves=False),
    Fault("conntrackd killed", _kill("conntrackd"), moves=False),
    Fault("vswitchd killed", _kill("vswitchd"), lasts=False),
    Fault("HA link cut", _cut("vlan")),
    Fault("tunnel link cut", _cut("tunnels")),
    Fault("external link cut", _cut("external")),
    Fault("management link cut", _cut("management"), moves=False),
    Fault("host frozen", lambda town, host: town.lab.freeze(host)),
    Fault("host powered off", lambda town, host: town.lab.power_off(host)),
)


class LabTown:
    """One instance with a floating IP, one without, on two hosts, and a router that two others carry."""

    def __init__(self, cloud: LabCloud) -> None:
        """Make it all; ``close`` deletes it, even what there is of it after a failure."""
        self.cloud, self.lab, self.api = cloud, cloud.lab, cloud.api
        self._made: list[tuple[str, str]] = []
        self._services: list[Probe] = []
        self._processes: dict[str, int] = {}
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        flat = {"provider:network_type": "flat", "provider:physical_network": "external"}
        self.public = self.make("network", name="town-public", **flat, **{"router:external": True})["id"]
        pool = [{"start": "203.0.113.101", "end": "203.0.113.200"}]
        outside = {"cidr": "203.0.113.0/24", "gateway_ip": "203.0.113.1", "allocation_pools": pool}
        self.api.make("subnet", network_id=self.public, ip_version=4, enable_dhcp=False, **outside)
        network = self.make("network", name="town", **{"provider:network_type": "vxlan"})["id"]
        self.subnet = subnet = self.api.make("subnet", network_id=network, ip_version=4, cidr="10.7.0.0/24")["id"]
        self.router = self.make_routers("town")[0]
        self.api.call("PUT", f"/v2.0/routers/{self.router}/add_router_interface", {"subnet_id": subnet})
        group = self.make("security-group", name="town")["id"]
        rule = {"security_group_id": group, "direction": "ingress", "ethertype": "IPv4"}
        self.api.call("POST", "/v2.0/security-group-rules", {"security_group_rule": rule})
        ports = [self.make("port", network_id=network, security_groups=[group])["id"] for _ in range(2)]
        self.one, self.two = (
            self._boot(f"town-{host}", port, host) for port, host in zip(ports, ("compute1", "compute2"), strict=True)
        )
        floating = self.make("floatingip", floating_network_id=self.public, port_id=ports[0])
        self.floating = str(floating["floating_ip_address"])
        eventually(lambda: self._status(self.one) == self._status(self.two) == "ACTIVE", PATIENCE, "active instances")
        for verb, port in (("echo", PORT), ("push", PUSH_PORT)):
            self._services += [self.probe(verb, "", port, inside=self.one), self.probe(verb, INTERNET, port)]
        self.settled()

    def make(self, kind: str, **attributes: Any) -> Any:
        """Create a networking object that ``close`` deletes."""
        made = self.api.make(kind, **attributes)
        self._made.append((f"/v2.0/{kind}s", made["id"]))
        return made

    def make_routers(self, *names: str) -> list[str]:
        """Create routers with a gateway, however many, which ``close`` deletes; returns their ids."""
        self.api.call("PUT", f"/v2.0/quotas/{self.api.project}", {"quota": {"router": -1, "port": -1}})
        gateway = {"network_id": self.public}
        return [self.make("router", name=name, ha=True, external_gateway_info=gateway)["id"] for name in names]

    def delete_routers(self, routers: Sequence[str]) -> None:
        """Delete routers without interfaces."""
        for router in routers:
            self.api.call("DELETE", f"/v2.0/routers/{router}")
            self._made.remove(("/v2.0/routers", router))

    def gateways(self, routers: Sequence[str]) -> list[str]:
        """The addresses of routers outside."""
        shown = self.api.all("routers", "fields=id&fields=external_gateway_info")
        gateway = {router["id"]: router["external_gateway_info"] for router in shown}
        return [str(gateway[router]["external_fixed_ips"][0]["ip_address"]) for router in routers]

    def _boot(self, name: str, port: str, host: str) -> str:
        image = self.api.call("GET", "/image/v2/images")["images"][0]["id"]
        flavor = self.api.call("GET", f"{self.api.compute}/flavors")["flavors"][0]["id"]
        place = {"networks": [{"port": port}], "availability_zone": f"nova:{host}"}
        body = {"server": {"name": name, "imageRef": image, "flavorRef": flavor, **place}}
        made = str(self.api.call("POST", f"{self.api.compute}/servers", body)["server"]["id"])
        self._made.append((f"{self.api.compute}/servers", made))
        return made

    def _status(self, server: str) -> str:
        return str(self.api.call("GET", f"{self.api.compute}/servers/{server}")["server"]["status"])

    def probe(self, *words: str, inside: str = "") -> Probe:
        """Start the probe in the Internet, or in the network of an instance."""
        return self.program(PROBE, *words, inside=inside)

    def program(self, path: str, *words: str, inside: str = "") -> Probe:
        """The same with another program that speaks like the probe."""
        argv = [sys.executable, path, *words]
        if not inside:
            return Probe(self.cloud.outside.enter(argv))
        machine = self.cloud.machine_of(inside)
        if inside not in self._processes:
            record = machine.place(f"/var/lib/netloom/host/instances/{inside}/record")
            self._processes[inside] = json.loads(record.read_text())["process"]["pid"]
        entering = ["nsenter", f"--target={self._processes[inside]}", "--net"]
        return Probe(machine.enter([*entering, *argv]))

    def close(self) -> None:
        """Undo all faults, and delete what was made."""
        for service in self._services:
            service.end()
        self.lab.heal()
        self.api.call("DELETE", f"/v2.0/quotas/{self.api.project}")
        servers = f"{self.api.compute}/servers"
        for collection, made in reversed(self._made):
            if collection == "/v2.0/routers":
                for port in self.api.all("ports", f"device_id={made}&fields=id&fields=device_owner"):
                    if port["device_owner"] in INTERFACES:
                        body = {"port_id": port["id"]}
                        self.api.ask("PUT", f"/v2.0/routers/{made}/remove_router_interface", body)
            self.api.call("DELETE", f"{collection}/{made}")
            if collection == servers:
                eventually(lambda path=f"{servers}/{made}": self.api.ask("GET", path)[0] == 404, PATIENCE, "its end")

    def enable(self, kind: str, host: str, up: bool) -> None:
        """Set the admin state of an agent."""
        (agent,) = self.api.all("agents", f"agent_type={quote(kind)}&host={host}&fields=id")
        self.api.call("PUT", f"/v2.0/agents/{agent['id']}", {"agent": {"admin_state_up": up}})

    # Who is active

    def actives(self, router: str = "") -> list[str]:
        """The hosts that run and bear the router's addresses."""
        return [host for host in self._running() if self._bears(host, router or self.router)]

    def _running(self) -> list[str]:
        machines = self.lab.machines
        return [host for host in CARRIERS if machines[host].alive and not faults.frozen(machines[host])]

    def _bears(self, host: str, router: str) -> bool:
        argv = ("ip", "-n", f"qrouter-{router}", "-o", "address")
        return ELECTED in self.cloud.on(host).run(*argv, check=False).stdout

    def all_actives(self) -> dict[str, list[str]]:
        """The hosts that bear the addresses of each router, by its id."""
        found: dict[str, list[str]] = {}
        look = "cd /run/netns && for ns in qrouter-*; do echo $ns $(ip -n $ns -o -4 addr); done"
        for host in self._running():
            for line in self.cloud.on(host).run("sh", "-c", look).stdout.splitlines():
                namespace, _, shown = line.partition(" ")
                found.setdefault(namespace.removeprefix("qrouter-"), []).extend([host] if ELECTED in shown else [])
        return found

    def daemons(self) -> dict[str, list[tuple[int, str]]]:
        """The processes of elections and of their connections on each host."""
        wanted = {"keepalived", "conntrackd"}
        return {
            host: sorted(
                (each.pid, each.program) for each in faults.processes(self.lab.host(host)) if each.program in wanted
            )
            for host in self._running()
        }

    def states(self) -> dict[str, str]:
        """What the API tells of each host."""
        agents = self.api.call("GET", f"/v2.0/routers/{self.router}/l3-agents")["agents"]
        return {agent["host"]: agent["ha_state"] for agent in agents}

    def told_active(self) -> list[str]:
        """The hosts that the API tells to be active."""
        return [host for host, state in self.states().items() if state == "active"]

    def settled(self) -> tuple[str, str]:
        """Wait until one host is active, the other one stands by, and packets pass; returns the two."""

        def one() -> bool:
            actives = self.actives()
            return len(actives) == 1 and self.told_active() == actives

        eventually(one, PATIENCE, "one active host")
        eventually(lambda: sorted(self.states().values()) == ["active", "standby"], PATIENCE, "one that stands by")
        eventually(self.reached, PATIENCE, "an answer of the floating IP")
        (active,) = self.actives()
        (standby,) = set(CARRIERS) - {active}
        return active, standby

    def stays(self, active: str, seconds: float = 1.0) -> None:
        """See that this host is the only active one for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.actives() == [active]
            time.sleep(0.05)

    def reached(self) -> bool:
        """Whether the floating IP answers the Internet."""
        argv = ("ping", "-c1", "-W1", self.floating)
        return self.cloud.outside.run(*argv, check=False).returncode == 0

    # Traffic

    @contextmanager
    def traffic(self, *ways: str) -> Iterator["Traffic"]:
        """Packets every 10 ms during the block, by default on all ways."""
        all_ways: Mapping[str, Callable[[], Probe]] = {
            "floating": lambda: self.probe("send", self.floating, PORT),
            "outwards": lambda: self.probe("send", INTERNET, PORT, inside=self.two),
            "pushed by floating": lambda: self.probe("pull", self.floating, PUSH_PORT),
            "pushed outside": lambda: self.probe("pull", INTERNET, PUSH_PORT, inside=self.two),
        }
        traffic = Traffic({way: all_ways[way]() for way in ways or all_ways})
        try:
            yield traffic
        finally:
            traffic.end()


class Traffic:
    """What became of packets; known after its end."""

    def __init__(self, ways: Mapping[str, Probe]) -> None:
        self._ways = ways
        self._phases: dict[str, tuple[float, float]] = {}
        self.told: dict[str, Any] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Tell apart by ``losses`` what happens during the block."""
        began = time.monotonic() - SLACK
        try:
            yield
        finally:
            self._phases[name] = (began, time.monotonic())

    def end(self) -> None:
        """Stop sending and count."""
        for probe in self._ways.values():
            probe.stop()
        for way, probe in self._ways.items():
            for protocol, told in json.loads(probe.end()).items():
                self.told[f"{way} {protocol}"] = told

    def losses(self, phase: str) -> dict[str, Loss]:
        """What was missed in a phase, by way and protocol."""
        began, ended = self._phases[phase]
        found = {}
        for way, told in self.told.items():
            lost = sum(began <= at < ended for at in told["lost_at"])
            gaps = [until - since for since, until in told["silences"] if began <= until and since <= ended]
            found[way] = Loss(lost, round(max(gaps, default=0.0), 3))
        return found

    @property
    def broken(self) -> dict[str, str]:
        """Connections that broke, and why."""
        return {way: told["broken"] for way, told in self.told.items() if told["broken"]}

    @property
    def doubled(self) -> dict[str, int]:
        """Ways on which packets were answered twice."""
        return {way: told["doubled"] for way, told in self.told.items() if told["doubled"]}
