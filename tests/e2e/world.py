"""What a module of end-to-end tests makes in the cloud that all modules share."""

import contextlib
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from netloom.host.container import Process, entering
from tests.e2e.cloud import Clients
from tests.sandbox import Machine, eventually

DELETIONS = ("server", "floating ip", "router", "port", "network", "security group", "keypair", "subnet pool", "flavor")
"""Kinds of what is made, in the order in which it can be deleted."""
INTERFACES = {"network:router_interface", "network:ha_router_replicated_interface"}
"""Owners of the ports that join routers and networks."""


IN_MACHINE = (
    "import sys; from pathlib import Path; from netloom.host import channels; "
    "sys.exit(channels.run(Path(sys.argv[1]), sys.argv[2:], terminal=False))"
)
"""What ``netloom exec`` does for virtual machines, without the time that it takes to start."""


class Guest:
    """A running instance, with a shell to it that costs no Python."""

    def __init__(self, cloud: Clients, id: str, name: str) -> None:
        self.id, self.name = id, name
        self._cloud = cloud

    @property
    def machine(self) -> Machine:
        """Where it runs."""
        return self._cloud.machine_of(self.id)

    @property
    def process(self) -> int:
        """Its first process, as its machine numbers it."""
        root = Path(f"/proc/{self.machine.pid}/root")
        record = json.loads((root / f"var/lib/netloom/host/instances/{self.id}/record").read_text())
        return int(record["process"]["pid"])

    def card(self, number: int) -> str:
        """Name of a network card inside."""
        return f"eth{number}"

    def _enter(self, argv: tuple[str, ...]) -> list[str]:
        return entering(Process(self.process, ""), argv)

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a command inside to its end; its output."""
        return self.machine.run(*self._enter(argv), check=check).stdout

    def sh(self, script: str, check: bool = True) -> str:
        """Run a shell script inside to its end; its output."""
        return self.run("sh", "-c", script, check=check)

    def start(self, script: str) -> None:
        """Run a shell script inside that goes on by itself."""
        self.sh(f"({script}) >/dev/null 2>&1 </dev/null &")

    def succeeds(self, *argv: str) -> bool:
        """Whether a command inside ends with 0."""
        return self.machine.run(*self._enter(argv), check=False).returncode == 0

    def popen(self, *argv: str) -> "subprocess.Popen[str]":
        """Start a command inside."""
        return self.machine.popen(*self._enter(argv))

    def on_its_cards(self, *argv: str) -> str:
        """Run a program of the host on the instance's network cards, to do what no decent guest would; its output."""
        return self.machine.run("nsenter", f"--net=/proc/{self.process}/ns/net", *argv).stdout

    def pings(self, address: str, *options: str) -> bool:
        """Whether one of two echo requests is answered within a second."""
        return self.succeeds("ping", "-c", "2", "-i", "0.2", "-W", "1", *options, address)

    def fetches(self, url: str) -> str:
        """The body of what is at a URL; empty when nobody answers within a second."""
        return self.run("timeout", "1", "wget", "-q", "-O", "-", url, check=False)

    def address(self, card: int = 0) -> str:
        """The IPv4 address that a card has; empty without one."""
        shown = self.run("ip", "-4", "-o", "addr", "show", self.card(card), check=False).split()
        return shown[3].split("/")[0] if len(shown) > 3 else ""

    def serve(self, *ports: int, text: str = "") -> None:
        """Answer HTTP requests on ports with a text, by default the instance's name."""
        self.sh(f"mkdir -p /srv && echo {text or self.name} > /srv/index.html")
        for port in ports:
            self.run("httpd", "-p", str(port), "-h", "/srv")


class VirtualMachine(Guest):
    """An instance with a kernel of its own; a command costs some tenths of a second."""

    def card(self, number: int) -> str:
        """Name of a network card inside."""
        return f"ens{3 + number}"

    def _enter(self, argv: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-c", IN_MACHINE, f"/var/lib/netloom/host/instances/{self.id}", *argv]


G = TypeVar("G", bound=Guest)


class Captured:
    """Packets, as tcpdump prints them."""

    text = ""


class World:
    """Makes things under names of its own, and deletes them."""

    def __init__(self, cloud: Clients) -> None:
        self.cloud, self.machine, self.openstack = cloud, cloud.machine, cloud.openstack
        self._run = secrets.token_hex(2)
        self._made: list[tuple[str, str]] = []

    def name(self, base: str) -> str:
        """A name that nobody else uses."""
        return f"{base}-{self._run}"

    def made(self, kind: str, id: str) -> None:
        """Delete it at the end, unless the test does."""
        self._made.append((kind, id))

    def create(self, kind: str, options: str, base: str, *more: str, user: str = "admin") -> dict[str, Any]:
        """Run ``openstack KIND create OPTIONS MORE NAME``."""
        found = self.openstack(f"{kind} create {options}", *more, self.name(base), user=user)
        self.made(kind, found["name"] if kind == "keypair" else found["id"])
        return found

    def network(self, base: str, *subnets: str, options: str = "", user: str = "admin") -> dict[str, Any]:
        """A network with subnets, each given by its prefix and further options."""
        made = self.create("network", options, base, user=user)
        for number, subnet in enumerate(subnets):
            prefix, _, more = subnet.partition(" ")
            version = 6 if ":" in prefix else 4
            words = f"--network {made['id']} --ip-version {version} --subnet-range {prefix} {more}"
            self.openstack(f"subnet create {words}", self.name(f"{base}-{number}"), user=user)
        return made

    def router(self, base: str, *networks: str, gateway: bool = True, options: str = "") -> dict[str, Any]:
        """A router on the first subnets of networks (by their base names), by default with a gateway."""
        outside = "--external-gateway public" if gateway else ""
        made = self.create("router", f"{outside} {options}", base)
        for network in networks:
            self.openstack(f"router add subnet {made['id']} {self.name(network + '-0')}")
        return made

    def open_group(self, base: str = "open", user: str = "admin") -> str:
        """Id of a security group that lets everything in."""
        made = self.create("security group", "", base, user=user)
        for version in ("IPv4", "IPv6"):
            self.openstack(f"security group rule create --ethertype {version} --protocol any {made['id']}", user=user)
        return str(made["id"])

    def boot(self, options: str, base: str, *more: str, user: str = "admin") -> Guest:
        """Start an instance without waiting for it."""
        made = self.create("server", f"--image cirros --flavor m1.tiny {options}", base, *more, user=user)
        return Guest(self.cloud, made["id"], made["name"])

    def boot_machine(self, options: str, base: str, *more: str) -> VirtualMachine:
        """Start a virtual machine without waiting for it."""
        flavor = self.name("machine")
        if not any(each == ("flavor", flavor) for each in self._made):
            words = "--ram 128 --vcpus 1 --disk 0 --property capabilities:hypervisor_type=qemu"
            self.openstack(f"flavor create {words} --id {flavor} {flavor}")
            self.made("flavor", flavor)
        made = self.create("server", f"--image cirros --flavor {flavor} {options}", base, *more)
        return VirtualMachine(self.cloud, made["id"], made["name"])

    def guests(self, options: str, *bases: str, user: str = "admin") -> list[Guest]:
        """Instances of the same options that have their addresses."""
        made = [self.boot(options, base, user=user) for base in bases]
        for guest in made:
            self.ready(guest)
        return made

    def ready(self, guest: G) -> G:
        """Wait until an instance has an address on its first card."""
        seconds = 90 if isinstance(guest, VirtualMachine) else 20
        eventually(lambda: _booted(guest), seconds, what=f"an address of {guest.name}")
        return guest

    def port_of(self, guest: Guest, number: int = 0) -> dict[str, Any]:
        """The port of an instance's card."""
        found = self.openstack(f"port list --server {guest.id}")
        return self.openstack(f"port show {found[number]['ID']}")

    def namespace(self, namespace: str, *argv: str, check: bool = True, machine: Machine | None = None) -> str:
        """Run a command in a network namespace of a host; its output."""
        return (machine or self.machine).run("ip", "netns", "exec", namespace, *argv, check=check).stdout

    def pings(self, address: str, *options: str) -> bool:
        """Whether the machine itself gets an answer within a second."""
        return self.machine.run("ping", "-c2", "-i0.2", "-W1", *options, address, check=False).returncode == 0

    def device(self, prefix: str, router: str, owner: str) -> str:
        """The device of a router's only port with this owner."""
        (port,) = self.openstack(f"port list --router {router} --device-owner {owner}")
        return prefix + str(port["ID"])[:11]

    @contextlib.contextmanager
    def capture(self, device: str, matching: str, count: int, machine: Machine | None = None) -> Iterator["Captured"]:
        """Watch a device of a host during a block, for at most so many packets; the text is there afterwards."""
        argv = [
            "tcpdump",
            "--immediate-mode",
            "-l",
            "-e",
            "-n",
            "-v",
            "-c",
            str(count),
            "-i",
            device,
            *matching.split(),
        ]
        process = (machine or self.machine).popen(*argv)
        assert process.stdout
        captured = Captured()
        try:
            while "listening on" not in (line := process.stdout.readline()):
                assert line, f"{' '.join(argv)} ended"
            yield captured
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(3)
        finally:
            process.terminate()
            captured.text = process.communicate(timeout=5)[0]

    def sweep(self) -> None:
        """Delete all that was made."""
        by_kind: dict[str, list[str]] = {kind: [] for kind in DELETIONS}
        for kind, id in self._made:
            by_kind[kind].append(id)
        troubles = []
        for kind, ids in by_kind.items():
            for router in ids if kind == "router" else ():
                self._empty_router(router)
            if ids:
                wait = "--wait" if kind == "server" else ""
                said = self.openstack(f"{kind} delete {wait} {' '.join(ids)}", check=False)
                troubles += [line for line in said.splitlines() if not _gone(line)]
        assert not troubles, troubles

    def _empty_router(self, router: str) -> None:
        self.openstack(f"router set --no-route {router}", check=False)
        ports = self.openstack(f"port list --router {router} --long", check=False)
        for port in ports if isinstance(ports, list) else []:
            if port["Device Owner"] in INTERFACES:
                self.openstack(f"router remove port {router} {port['ID']}")


def _gone(line: str) -> bool:
    """Whether a complaint is only that a thing, or one of several, is not there any more."""
    return not line or ("No " in line and " found" in line) or "failed to delete" in line


def _booted(guest: Guest) -> bool:
    try:
        return bool(guest.address())
    except FileNotFoundError:
        return False
