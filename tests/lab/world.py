"""What a module of tests makes in a lab."""

import sys

from tests.e2e.world import Guest, World
from tests.faults.plant import PROBE, Probe
from tests.lab.cloud import LabCloud
from tests.sandbox import Machine

OUTSIDE = (
    "--network {network} --subnet-range 203.0.113.0/24 --no-dhcp --gateway 203.0.113.1"
    " --allocation-pool start=203.0.113.101,end=203.0.113.200"
)


class LabWorld(World):
    """Makes things under names of its own, and deletes them."""

    def __init__(self, cloud: LabCloud, external: bool = True) -> None:
        """``external``: with the network "public" around the Internet's host, where routers have their gateways."""
        super().__init__(cloud)
        self.lab = cloud.lab
        self.labs = cloud
        if external:
            kind = "--provider-network-type flat --provider-physical-network external"
            public = self.openstack(f"network create --external {kind} public")["id"]
            self.made("network", public)
            self.openstack(f"subnet create {OUTSIDE.format(network=public)} public")

    def on(self, host: str) -> Machine:
        """The machine of a host."""
        return self.labs.on(host)

    def guest_on(self, host: str, network: str, base: str, options: str = "", user: str = "admin") -> Guest:
        """An instance on a host of compute, with an address."""
        place = f"--availability-zone nova:{host}"
        return self.ready(self.boot(f"--network {network} {place} {options}", base, user=user))

    def pings(self, address: str, *options: str) -> bool:
        """Whether the Internet gets an answer within a second."""
        argv = ("ping", "-c2", "-i0.2", "-W1", *options, address)
        return self.labs.outside.run(*argv, check=False).returncode == 0

    def probe(self, where: Machine | Guest, *words: str) -> Probe:
        """Start the probe (``echo ADDRESS PORT``, ``send ADDRESS PORT``) on a host or in an instance."""
        python = [sys.executable, PROBE, *words]
        if isinstance(where, Guest):
            return Probe(where.machine.enter(["nsenter", f"--target={where.process}", "--net", *python]))
        return Probe(where.enter(python))
