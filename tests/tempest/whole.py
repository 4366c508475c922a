"""A whole cloud for Tempest: the one that runs on this machine, or one in a sandbox, gone at the end."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.sandbox import environment, sandbox

CONFIG = Path("/etc/netloom")
CONFIGURATION = """\
[DEFAULT]
metadata_proxy_shared_secret = a secret of the tests

[netloom]
standalone = true
roles = openvswitch, l3, dhcp, metadata, loadbalancer, compute

[ovs]
bridge_mappings = public:br-ex, physnet1:br-physnet1
local_ip = 127.0.0.1

[agent]
tunnel_types = vxlan, gre, geneve

[ml2]
external_network_type = flat

[ml2_type_vlan]
network_vlan_ranges = physnet1:100:199

[quotas]
quota_router = 100
quota_floatingip = 500
quota_security_group = 150
quota_security_group_rule = 1000
"""
"""As ``netloom up`` writes it, with VLANs, and quotas as high as some tests need."""
ADD_PHYSICAL_BRIDGE = (
    "ovs-vsctl",
    "add-br",
    "br-physnet1",
    "--",
    "set",
    "bridge",
    "br-physnet1",
    "datapath_type=netdev",
)
Enter = Callable[[Sequence[str]], list[str]]
"""Makes of a command the one that runs it on the machine where the cloud is."""


@contextmanager
def in_sandbox() -> Iterator[Enter]:
    """A cloud of its own."""
    with sandbox() as machine:
        machine.run("sh", "-c", f"mkdir {CONFIG} && umask 077 && cat > {CONFIG}/netloom.conf", text=CONFIGURATION)
        machine.run("netloom", "up", timeout=90)
        machine.run(*ADD_PHYSICAL_BRIDGE)
        try:
            yield machine.enter
        finally:
            machine.run("ovs-vsctl", "del-br", "br-physnet1")
            machine.run("netloom", "down", timeout=90)


@contextmanager
def at_hand() -> Iterator[Enter]:
    """The cloud of this machine if there is one, else one in a sandbox."""
    if (CONFIG / "clouds.yaml").exists():
        print(f"Tempest tests the cloud of this machine ({CONFIG}).", flush=True)
        yield list
        return
    print("No cloud runs on this machine: Tempest tests one of its own, which goes at the end.", flush=True)
    with in_sandbox() as enter:
        yield enter


def configure(enter: Enter, directory: Path) -> None:
    """Write ``tempest.conf`` into ``directory``.

    Raises:
        SystemExit: the cloud does not answer, or lacks what tests need; the command has said why.
    """
    argv = ["netloom", "tempest-config", "--output", str(directory / "tempest.conf")]
    if code := subprocess.run(enter(argv), env=environment(), check=False).returncode:
        raise SystemExit(code)
