"""A small town in the cloud: two instances behind a router, one of them with a floating IP, and traffic on all ways."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.faults.plant import PATIENCE, PORT, Plant, Probe
from tests.sandbox import Sandbox, eventually

INTERNET = "8.8.8.8"


class Town(Plant):
    """The cloud with something in it."""

    def __init__(self, machine: Sandbox) -> None:
        machine.run("ip", "address", "add", f"{INTERNET}/32", "dev", "lo")
        super().__init__(machine)
        self.bare = self.at_rest()
        api = self.api
        self.public = api.all("networks", "router:external=True")[0]["id"]
        self.network = api.make("network", name="town")["id"]
        four = {"ip_version": 4, "cidr": "10.7.0.0/24"}
        six = {"ip_version": 6, "cidr": "fd07::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
        self.router = api.make("router", name="town", external_gateway_info={"network_id": self.public})["id"]
        for family in (four, six):
            subnet = api.make("subnet", network_id=self.network, **family)["id"]
            api.call("PUT", f"/v2.0/routers/{self.router}/add_router_interface", {"subnet_id": subnet})
        (self.group,) = (group["id"] for group in api.all("security-groups", f"project_id={api.project}&name=default"))
        for ethertype in ("IPv4", "IPv6"):
            rule = {"security_group_id": self.group, "direction": "ingress", "ethertype": ethertype}
            api.call("POST", "/v2.0/security-group-rules", {"security_group_rule": rule})
        api.boot("town", self.network, 2)
        self.one, self.two = (server["id"] for server in sorted(self.ready("town", 2), key=lambda each: each["name"]))
        floating = api.make("floatingip", floating_network_id=self.public, port_id=self.port_of(self.one)["id"])
        self.floating = floating["floating_ip_address"]
        self.echoes = [self.probe("echo", "", PORT, inside=self.one), self.probe("echo", INTERNET, PORT)]
        eventually(self.reaches, PATIENCE, "an answer of the floating IP")
        self.at_rest()

    def port_of(self, server: str) -> dict[str, Any]:
        """The port of an instance."""
        (port,) = self.api.all("ports", f"device_id={server}")
        return port

    def fixed(self, server: str) -> str:
        """The IPv4 address of an instance."""
        fixed = self.port_of(server)["fixed_ips"]
        return next(str(each["ip_address"]) for each in fixed if "." in each["ip_address"])

    def pings(self, address: str) -> bool:
        """Whether the first instance reaches an address."""
        return (
            self.machine.run(
                "nsenter", f"--target={self.instance(self.one)}", "--net", "ping", "-c1", "-W1", address, check=False
            ).returncode
            == 0
        )

    def reaches(self) -> bool:
        """Whether packets get through on all ways."""
        inner = self.inside("town-2", f"ping -c1 -W1 {self.fixed(self.one)} && ping -c1 -W1 {INTERNET} && echo yes")
        return "yes" in inner and self.machine.run("ping", "-c1", "-W1", self.floating, check=False).returncode == 0

    @contextmanager
    def traffic(self) -> Iterator["Traffic"]:
        """Packets on all ways during the block: inside the network, to the floating IP, and outwards through SNAT."""
        ways = {
            "inside": self.probe("send", self.fixed(self.one), PORT, inside=self.two),
            "floating": self.probe("send", self.floating, PORT),
            "outwards": self.probe("send", INTERNET, PORT, inside=self.two),
        }
        traffic = Traffic(ways)
        try:
            yield traffic
        finally:
            traffic.end()

    def close(self) -> None:
        """End what we started."""
        for echo in self.echoes:
            echo.end()


class Traffic:
    """What became of it; known after the block."""

    def __init__(self, ways: dict[str, Probe]) -> None:
        self._ways = ways
        self.told: dict[str, dict[str, Any]] = {}

    def end(self) -> None:
        """Stop sending and count."""
        for probe in self._ways.values():
            probe.stop()
        for way, probe in self._ways.items():
            for protocol, told in json.loads(probe.end()).items():
                self.told[f"{way} {protocol}"] = told
        print({way: {name: told[name] for name in ("sent", "lost", "gap")} for way, told in self.told.items()})

    @property
    def losses(self) -> dict[str, Any]:
        """What was lost or broken, by way and protocol."""
        return {way: told for way, told in self.told.items() if told["lost"] or told["broken"]}

    @property
    def gap(self) -> float:
        """The longest silence on any way, in seconds."""
        return max(float(told["gap"]) for told in self.told.values())
