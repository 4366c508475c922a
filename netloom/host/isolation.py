"""Keeps this host's own network stack away from what instances and namespaces send to the switch.

Open vSwitch's userspace datapath reads frames by a packet socket, so the kernel goes on to take them for its own: an
instance could talk with any address of the host, and be forwarded by it, past all flows. What comes in by an outer
end is dropped right after the packet socket has seen it. (The kernel datapath takes frames away before.)

A Linux bridge between an instance and the switch hands frames on, whatever the kernel's datapath; those that are for
the host itself, or to be forwarded by it, are dropped as well.

All are told by their device groups, numbers made of the agent's mark; so is the name of the tables.
"""

import subprocess
import zlib

from netloom.host.layout import Layout

_TABLES = """\
table {family} {name}
delete table {family} {name}
"""
_RULES = """\
table inet {name} {{
    chain prerouting {{
        type filter hook prerouting priority raw
        iifgroup {{ {groups} }} drop
    }}
    chain input {{
        type filter hook input priority filter
        iifgroup {bridges} drop
    }}
    chain forward {{
        type filter hook forward priority filter
        iifgroup {bridges} oifgroup != {bridges} drop
    }}
}}
table arp {name} {{
    chain input {{
        type filter hook input priority filter
        iifgroup {{ {groups}, {bridges} }} drop
    }}
}}
"""


def link_group(layout: Layout) -> int:
    """Device group of the outer ends of pairs into namespaces."""
    return _number(layout.mark)


def card_group(layout: Layout) -> int:
    """Device group of the outer ends of instances' cards."""
    return _number(f"{layout.mark} cards")


def pair_group(layout: Layout) -> int:
    """Device group of both ends of pairs between Linux bridges and the switch."""
    return _number(f"{layout.mark} pairs")


def bridge_group(layout: Layout) -> int:
    """Device group of the Linux bridges of instances' cards."""
    return _number(f"{layout.mark} bridges")


def ensure(layout: Layout) -> None:
    """Drop what they send to the host; repeated calls change nothing.

    Raises:
        OSError: nftables refused.
    """
    groups = ", ".join(str(group(layout)) for group in (link_group, card_group, pair_group))
    _load(_without(layout) + _RULES.format(name=_name(layout), groups=groups, bridges=bridge_group(layout)))


def remove(layout: Layout) -> None:
    """Take the rules away.

    Raises:
        OSError: nftables refused.
    """
    _load(_without(layout))


def _without(layout: Layout) -> str:
    return "".join(_TABLES.format(family=family, name=_name(layout)) for family in ("inet", "arp"))


def _name(layout: Layout) -> str:
    return f"netloom-{link_group(layout):08x}"


def _number(text: str) -> int:
    return zlib.crc32(text.encode()) & 0x7FFFFFFF


def _load(rules: str) -> None:
    done = subprocess.run(["nft", "-f", "-"], input=rules, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(0, f"nft: {done.stderr.strip()}")
