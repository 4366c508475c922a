"""A network with two web servers on it, as the tests of load balancers need it."""

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from tests.e2e.world import Guest, World
from tests.sandbox import eventually

NETWORK, GATEWAY = "172.24.17.0/24", "172.24.17.254"
SERVERS = ("vm1", "vm2")
INSIDE = ("172.24.17.2", "172.24.17.3")
"""Their addresses: the lowest ones that are free."""
WEB = {"icmp": "--protocol icmp", "http": "--protocol tcp --dst-port 80"}
"""What the security group of the servers lets in."""


class Site:
    """The network, its servers, and the way to ask who serves."""

    def __init__(self, world: World) -> None:
        """Make it: it takes as long as two instances need to boot."""
        self.world = world
        self.openstack = world.openstack
        self.network = str(world.network("lb", f"{NETWORK} --gateway {GATEWAY}")["id"])
        self.subnet = str(world.openstack(f"subnet show {world.name('lb-0')}")["id"])
        self.group = group(world, "web", *WEB.values())
        options = f"--security-group {self.group} --nic net-id={self.network},v4-fixed-ip="
        booted = [world.boot(options + address, base) for base, address in zip(SERVERS, INSIDE, strict=True)]
        self.guests: Mapping[str, Guest] = {base: world.ready(each) for base, each in zip(SERVERS, booted, strict=True)}
        for base, guest in self.guests.items():
            guest.serve(80, text=base)

    def curl(self, *words: str, check: bool = False) -> str:
        """What ``curl`` prints in the namespace of the network's DHCP server."""
        options = ("-s", "--max-time", "3", *words)
        return self.world.namespace(f"qdhcp-{self.network}", "curl", *options, check=check).strip()

    def served(self, url: str, times: int = 4) -> list[str]:
        """Who answers so many requests, one after the other."""
        return [self.curl(url) for _ in range(times)]

    def stop(self, base: str) -> None:
        """End the web server of an instance."""
        self.guests[base].sh("killall httpd")

    def start(self, base: str) -> None:
        """Start it again."""
        self.guests[base].run("httpd", "-p", "80", "-h", "/srv")

    def in_balancer(self, balancer: str, *argv: str) -> str:
        """Run a command in the namespace of a load balancer; its output."""
        return self.world.namespace(f"qlbaas-{balancer}", *argv)

    def haproxies(self, balancer: str) -> list[dict[str, str]]:
        """The processes of a load balancer: their users and command lines."""
        # -ww: whole lines, also where tests are told that the screen has 80 columns.
        rows = self.world.machine.run("ps", "-eww", "-o", "user=,args=").stdout.splitlines()
        split = [dict(zip(("user", "command"), row.split(None, 1), strict=True)) for row in rows]
        return [row for row in split if row["command"].startswith("haproxy ") and balancer in row["command"]]

    def remains(self, balancer: str) -> list[str]:
        """What the machine has of a load balancer."""
        machine = self.world.machine
        namespaces = [line for line in machine.run("ip", "netns", "list").stdout.splitlines() if balancer in line]
        files = machine.run("find", "/var/lib/netloom", "/run/netloom", "-name", f"*{balancer}*").stdout.split()
        return [*namespaces, *(row["command"] for row in self.haproxies(balancer)), *files]


class Balancer:
    """A load balancer, managed by today's unmodified client."""

    def __init__(self, site: Site, base: str, options: str = "") -> None:
        """Make it, and wait as users do."""
        self.site, self.name = site, site.world.name(base)
        words = f"loadbalancer create --name {self.name} --vip-subnet-id {site.subnet} {options} --wait"
        made = site.openstack(words)
        self.id, self.vip, self.port = (str(made[key]) for key in ("id", "vip_address", "vip_port_id"))
        assert made["provisioning_status"] == "ACTIVE"

    def run(self, command: str, *more: str) -> Any:
        """``openstack loadbalancer COMMAND``; then wait until the hosts have made it so."""
        said = self.site.openstack(f"loadbalancer {command}", *more)
        eventually(lambda: self.shown["provisioning_status"] == "ACTIVE", what=f"ACTIVE after {command}")
        return said

    @property
    def shown(self) -> dict[str, Any]:
        """How it is."""
        return dict(self.site.openstack(f"loadbalancer show {self.id}"))

    @property
    def tree(self) -> dict[str, Any]:
        """The statuses of it and all that it has; the command for it knows no formats."""
        words = ["loadbalancer", "status", "show", self.id]
        code, output, errors = self.site.world.cloud.client.run(words, self.site.world.cloud.environment())
        assert code == 0, errors
        return dict(json.loads(output)["loadbalancer"])

    def url(self, path: str = "", port: int = 80, scheme: str = "http") -> str:
        """Of its VIP."""
        return f"{scheme}://{self.vip}:{port}/{path}"

    def members(self, pool: str) -> dict[str, str]:
        """Operating statuses of a pool's members by their addresses."""
        rows = self.site.openstack(f"loadbalancer member list {pool}")
        return {row["address"]: row["operating_status"] for row in rows}

    def delete(self) -> None:
        """Remove it with all that it has, if it is still there."""
        self.site.openstack(f"loadbalancer delete --cascade {self.id}", check=False)
        eventually(lambda: not self.site.remains(self.id), what="nothing left of the load balancer")


def group(world: World, base: str, *rules: str) -> str:
    """Id of a security group that lets these in."""
    made = str(world.create("security group", "", base)["id"])
    for rule in rules:
        world.openstack(f"security group rule create {rule} {made}")
    return made


def alternating(answers: list[str]) -> bool:
    """Whether two servers answer strictly in turn."""
    return set(answers) == set(SERVERS) and all(one != other for one, other in pairwise(answers))
