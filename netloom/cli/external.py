"""The all-in-one cloud's way outside: a bridge with an address of this machine, so that it reaches floating IPs.

Traffic from the external network to elsewhere is masqueraded; the machine is its gateway.
"""

import ipaddress
import subprocess
from pathlib import Path

from netloom.cli.terminal import Trouble
from netloom.host.ovsdb import Ovsdb

BRIDGE = "br-ex"
PHYSICAL_NETWORK = "public"
TABLE = "netloom"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def ensure(
    ovsdb: Ovsdb, datapath_type: str, interface: ipaddress.IPv4Interface, device: str | None, state_dir: Path
) -> None:
    """Make the bridge with its address, a device of the machine when one is given, and the masquerading.

    Repeated calls change nothing.

    Raises:
        Trouble: something of it cannot be made.
    """
    for failure in ovsdb.ensure_bridge(BRIDGE, datapath_type, [device] if device else []):
        raise Trouble(f"the bridge {BRIDGE} could not be made: {failure.reason}")
    if device:
        # What the segment knows of this machine is the device's MAC; without a word the bridge takes any of its ports'.
        mac = Path(f"/sys/class/net/{device}/address").read_text().strip()
        _run("ovs-vsctl", "set", "bridge", BRIDGE, f"other_config:hwaddr={mac}")
        _run("ip", "link", "set", device, "up")
    _run("ip", "address", "replace", str(interface), "dev", BRIDGE)
    _run("ip", "link", "set", BRIDGE, "up")
    _run("ethtool", "-K", BRIDGE, "tx", "off")  # the userspace datapath passes on partial checksums
    before = state_dir / "ip_forward.before"
    if not before.exists():
        before.write_text(FORWARDING.read_text())
    FORWARDING.write_text("1")
    _nft(f"table ip {TABLE}\ndelete table ip {TABLE}\n{_masquerade(interface.network)}")


def remove(state_dir: Path) -> None:
    """Take the masquerading away; the bridge goes with its switch, or by ``remove_bridge``."""
    _nft(f"table ip {TABLE}\ndelete table ip {TABLE}\n")
    before = state_dir / "ip_forward.before"
    if before.exists():
        FORWARDING.write_text(before.read_text())
        before.unlink()


def _masquerade(network: ipaddress.IPv4Network) -> str:
    # Linux bridges of instances hand frames on as they are, but the kernel asks about those, too.
    return f"""
table ip {TABLE} {{
    chain postrouting {{
        type nat hook postrouting priority srcnat
        ip saddr {network} oifname != "{BRIDGE}" oifname != "qbr*" masquerade
    }}
}}
"""


def _nft(rules: str) -> None:
    _run("nft", "-f", "-", text=rules)


def _run(*argv: str, text: str = "") -> None:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble(f"'{' '.join(argv)}' failed: {done.stderr.strip()}")
