"""One cloud for all end-to-end tests of a run, and what each module makes in it."""

from collections.abc import Iterator

import pytest

from tests.e2e.cloud import CONFIG, Cloud
from tests.e2e.world import World
from tests.sandbox import Sandbox, sandbox

CONFIGURATION = """\
[DEFAULT]
metadata_proxy_shared_secret = a secret of the tests
agent_down_time = 12
[netloom]
standalone = true
roles = openvswitch, l3, dhcp, metadata, loadbalancer, compute
[ovs]
bridge_mappings = public:br-ex, physnet:br-vlan
local_ip = 127.0.0.1
[agent]
report_interval = 2
tunnel_types = vxlan, gre, geneve
[ml2_type_flat]
flat_networks = *
[ml2_type_vlan]
network_vlan_ranges = physnet:1000:2000
"""
"""An operator's own: it has a second physical network."""
ADD_PHYSICAL_BRIDGE = ("ovs-vsctl", "add-br", "br-vlan", "--", "set", "bridge", "br-vlan", "datapath_type=netdev")
QUOTAS = "--secgroups -1 --secgroup-rules -1 --routers -1 --instances -1 --cores -1 --ram -1"


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    with sandbox() as machine:
        machine.run("ip", "address", "add", "8.8.8.8/32", "dev", "lo")  # an address of the Internet
        configure(machine)
        made = Cloud(machine)
        machine.run(*ADD_PHYSICAL_BRIDGE)
        made.openstack(f"quota set {QUOTAS} admin")
        yield made
        machine.run("ovs-vsctl", "del-br", "br-vlan")
        made.down()
        assert leftovers(made) == []


def configure(machine: Sandbox) -> None:
    """Write the configuration that ``netloom up`` finds."""
    machine.run("sh", "-c", f"mkdir {CONFIG} && umask 077 && cat > {CONFIG}/netloom.conf", text=CONFIGURATION)


@pytest.fixture(scope="module")
def world(cloud: Cloud) -> Iterator[World]:
    made = World(cloud)
    try:
        yield made
    finally:
        made.sweep()


def leftovers(cloud: Cloud) -> list[str]:
    """What a cloud that is down has left on its machine."""
    machine = cloud.machine
    namespaces = machine.run("ip", "netns", "list").stdout.split()
    links = [line.split(":")[1].strip() for line in machine.run("ip", "-o", "link").stdout.splitlines()]
    processes = machine.run("ps", "-ww", "-N", "-p1", "-o", "pid=,args=").stdout.splitlines()
    ours = [
        line for line in processes if any(word in line for word in ("netloom", "dnsmasq", "haproxy", "ovs", "radvd"))
    ]
    files = machine.run("find", "/run/netloom", "/var/lib/netloom", "/etc/netloom", check=False).stdout.split()
    rules = machine.run("nft", "list", "ruleset").stdout.split()
    return [*namespaces, *(link for link in links if link not in ("lo",)), *ours, *files, *rules]
