"""Hosts that carry one router, an outside machine and one inside, joined by plain bridges.

Each host has its own network namespace, Open vSwitch and drivers. All are on one mount namespace, so the router bears
another id on each; its ports, MACs, addresses and VRRP id are the same everywhere.
"""

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from netloom.feed.fragments import FloatingIp, Fragment, HaGroup, HaPort, Network, Router, RouterPort
from netloom.host.host import Host
from netloom.host.layout import Layout
from netloom.host.namespaces import inside
from netloom.host.vswitch import VSwitch
from netloom.plan import Intent, PlanSettings, plan
from netloom.state import Failure, HostState
from tests.host.netlab import Lab, eventually
from tests.unit.plan import services as cloud

MEDIA = ("ha", "ext", "lan")
GATEWAY, FLOATING, SECOND = "203.0.113.101", "203.0.113.102", "203.0.113.103"
INSIDE, OUTSIDE, INSTANCE = "192.168.1.1", "203.0.113.1", "192.168.1.5"
QG, QR = "qg-38c8b13d-d4", "qr-db18e68a-8a"
ELECTED = "169.254.0.7"


def network(id: str, medium: str, cidr: str, **more: object) -> Network:
    """A network on the bridge of its medium."""
    return msgspec.structs.replace(
        cloud.network(f"net-{id}", cloud.subnet(f"sub-{id}", cidr, "", enable_dhcp=False), mtu=1500),
        network_type="flat",
        physical_network=medium,
        segmentation_id=0,
        **more,
    )


NETWORKS = (
    network("ha", "ha", "169.254.192.0/18"),
    network("ext", "ext", "203.0.113.0/24", external=True),
    network("lan", "lan", "192.168.1.0/24"),
)


def port(like: RouterPort, network_id: str, *addresses: str) -> RouterPort:
    subnet = network_id.replace("net", "sub")
    return msgspec.structs.replace(like, network_id=network_id, mtu=1500, addresses=addresses, subnets=(subnet,))


def floating(address: str) -> FloatingIp:
    return FloatingIp(id=address, floating_address=address, fixed_address=INSTANCE, port_id="p")


class Carrier:
    """One host."""

    def __init__(self, world: "World", number: int) -> None:
        self.world, self.number = world, number
        self.name = f"host{number}"
        self.namespace = world.lab.namespace(f"nl-{world.lab.id}-h{number}")
        self.router = f"{world.lab.id}-router-{number}"
        self.qrouter = f"qrouter-{self.router}"
        self.device = f"ha-{number}{number}{number}{number}{number}{number}{number}{number}-00"
        self.home = Path(tempfile.mkdtemp(prefix=f"nl-{world.lab.id}-h{number}-"))
        self.told: list[str] = []
        world.lab.run(self.namespace, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        self.vswitch = VSwitch(self.home / "ovs", self.home / "db", self.namespace)
        self.vswitch.start()
        self.layout = Layout(
            state_dir=self.home / "state",
            run_dir=self.home / "run",
            ovsdb=self.vswitch.connection,
            ovs_rundir=self.vswitch.rundir,
        )
        for directory in (self.layout.state_dir, self.layout.run_dir):
            directory.mkdir()
        for medium in MEDIA:
            world.lab.link(world.hub, f"{medium}{number}", self.namespace, f"up-{medium}")
            world.lab.ip("-n", world.hub, "link", "set", f"{medium}{number}", "master", f"br-{medium}")
        self.host = self.begin()
        with inside(self.namespace):
            for medium in MEDIA:
                assert self.host._ovsdb.ensure_bridge(f"br-{medium}", "netdev", [f"up-{medium}"]) == []

    def begin(self) -> Host:
        """Start the agent's half."""
        with inside(self.namespace):
            return Host(self.layout, on_election=lambda: self.told.append(self.state()))

    def restart(self) -> None:
        """What a restarted agent does."""
        self.host.close()
        self.host = self.begin()
        assert self.converge() == []

    def state(self) -> str:
        return self.host.elections().get(self.router, "")

    def wanted(self) -> HostState:
        mappings = tuple((medium, f"br-{medium}") for medium in MEDIA)
        fragments = self.world.fragments(self)
        settings = PlanSettings(host=self.name, bridge_mappings=mappings, ha_vrrp_advert_int=self.world.advert_int)
        return plan(Intent({fragment.name: fragment for fragment in fragments}), self.host.facts(), settings)

    def converge(self, wanted: HostState | None = None) -> list[Failure]:
        with inside(self.namespace):
            return self.host.apply(self.wanted() if wanted is None else wanted)

    def addresses(self) -> set[str]:
        """What the router answers for here: on its devices, and as the elected one."""
        shown = self.world.lab.run("", "ip", "-n", self.qrouter, "-o", "address", check=False)
        found = re.findall(r"^\d+: (\S+) +inet6? (\S+)", shown, re.MULTILINE)
        return {cidr for device, cidr in found if device in (QG, QR) or cidr.startswith(f"{ELECTED}/")}

    def routes(self) -> str:
        return self.world.lab.ip("-n", self.qrouter, "route")

    def pids(self, program: str) -> list[int]:
        """The processes of a program in the router's namespace, the oldest first."""
        here = self.world.lab.ip("netns", "pids", self.qrouter).split()
        found = []
        for pid in map(int, here):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == program:
                    found.append(pid)
        return sorted(found)

    def kill(self, program: str) -> None:
        """kill -9, all of it at once."""
        for pid in self.pids(program):
            os.kill(pid, signal.SIGKILL)

    def stands(self) -> bool:
        """Whether its keepalived takes part in the election: it does not at once."""
        log = (self.layout.run_dir / "daemons" / f"keepalived-{self.router}" / "log").read_text()
        return len(self.pids("keepalived")) == 2 and "Entering" in log.rpartition("Starting VRRP child process")[2]

    def close(self) -> None:
        try:
            self.converge(HostState())
        finally:
            self.host.close()
            self.vswitch.stop(remove=True)
            shutil.rmtree(self.home, ignore_errors=True)


@dataclass
class Silence:
    """What a ping missed."""

    longest: float = 0.0
    """Seconds between two answers."""
    lost: int = 0


class World:
    """Two hosts or more, with one router."""

    def __init__(self, hosts: int = 2, advert_int: float = 0.1) -> None:
        self.lab = Lab()
        self.advert_int = advert_int
        self.floating = (FLOATING,)
        self.carriers: list[Carrier] = []
        try:
            self._build(hosts)
        except BaseException:
            self.close()
            raise

    def _build(self, hosts: int) -> None:
        lab = self.lab
        self.hub, self.out, self.vm = (lab.namespace(f"nl-{lab.id}-{name}") for name in ("hub", "out", "vm"))
        lab.run(self.hub, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        for medium in MEDIA:
            lab.ip("-n", self.hub, "link", "add", f"br-{medium}", "type", "bridge", "forward_delay", "0")
            lab.ip("-n", self.hub, "link", "set", f"br-{medium}", "up")
        for namespace, medium, cidr in ((self.out, "ext", f"{OUTSIDE}/24"), (self.vm, "lan", f"{INSTANCE}/24")):
            lab.link(self.hub, f"to-{medium}", namespace, "eth0")
            lab.ip("-n", self.hub, "link", "set", f"to-{medium}", "master", f"br-{medium}")
            lab.run(namespace, "ethtool", "-K", "eth0", "tx", "off")
            lab.address(namespace, "eth0", cidr)
        lab.ip("-n", self.vm, "route", "add", "default", "via", INSIDE)
        for number in range(1, hosts + 1):
            self.carriers.append(Carrier(self, number))

    def cut(self, carrier: "Carrier", medium: str, *, healed: bool = False) -> None:
        """Take the carrier from a host's uplink, or give it back."""
        self.lab.ip("-n", self.hub, "link", "set", f"{medium}{carrier.number}", "up" if healed else "down")

    def fragments(self, carrier: Carrier) -> list[Fragment]:
        """What a host is told."""
        group = HaGroup(
            network_id="net-ha",
            mtu=1500,
            vrid=7,
            ports=tuple(
                HaPort(
                    other.name, other.device[3:], f"fa:16:3e:00:01:0{other.number}", f"169.254.192.{other.number}/18"
                )
                for other in self.carriers
            ),
        )
        router: Router = cloud.router(
            id=carrier.router,
            interfaces=(port(cloud.INSIDE, "net-lan", f"{INSIDE}/24", "2001:db8:1::1/64"),),
            gateway=port(cloud.GATEWAY, "net-ext", f"{GATEWAY}/24", "2001:db8:e::7/64"),
            gateway_routes=(OUTSIDE,),
            floating_ips=tuple(map(floating, self.floating)),
            routes=(),
            ha=group,
        )
        return [*NETWORKS, router]

    def converge(self) -> None:
        for carrier in self.carriers:
            failed = carrier.converge()
            assert failed == [], failed

    def active(self) -> Carrier:
        """The one that is active, once it is exactly one, and the network reaches it."""
        eventually(lambda: len(self._active()) == 1, "one is active")
        eventually(self._reached, "the floating IP answers")
        (carrier,) = self._active()
        return carrier

    def _active(self) -> list[Carrier]:
        return [carrier for carrier in self.carriers if f"{ELECTED}/24" in carrier.addresses()]

    def _reached(self) -> bool:
        return "1 received" in self.lab.run(self.out, "ping", "-n", "-c1", "-W1", FLOATING, check=False)

    def settle(self) -> None:
        """All hosts are as planned, whatever was done to them, and one is active."""
        for carrier in self.carriers:
            eventually(lambda it=carrier: it.converge() == [] and it.stands(), f"{carrier.name} stands", 30)
        self.active()

    def others(self, carrier: Carrier) -> list[Carrier]:
        return [other for other in self.carriers if other is not carrier]

    @contextlib.contextmanager
    def silence(self, address: str = FLOATING, source: str = "", seconds: float = 1.0) -> Iterator["Silence"]:
        """Ping (from outside) every 10 ms meanwhile and for ``seconds`` on; then the answer is filled in."""
        argv = ["ip", "netns", "exec", source or self.out, "ping", "-n", "-D", "-i", "0.01", address]
        silence = Silence()
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        try:
            time.sleep(0.3)  # some answers before the event
            yield silence
            time.sleep(seconds)
        finally:
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=10)
        times = [float(at) for at in re.findall(r"^\[([\d.]+)\] \d+ bytes", output, re.MULTILINE)]
        assert len(times) > 10, output
        silence.longest = max(later - earlier for earlier, later in itertools.pairwise(times))
        answered = set(map(int, re.findall(r" icmp_seq=(\d+) ", output)))
        silence.lost = max(answered) - len(answered)  # the last ones may have been under way

    def close(self) -> None:
        for carrier in self.carriers:
            carrier.close()
        self.lab.close()
