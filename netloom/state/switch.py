"""Open vSwitch: bridges, their ports, and flows."""

import hashlib
from dataclasses import dataclass

from netloom.state.element import Element, Key

COOKIE_MARK = 0x6E6C
"""Top 16 bits ("nl") of the cookie of every flow that is ours; flows without it are never touched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge(Element):
    """A bridge that the agent makes itself (br-int, br-tun, trunk bridges).

    Bridges of physical networks belong to the operator: the plan only puts patch ports and flows on them.
    """

    name: str
    datapath_type: str
    """``system`` (kernel) or ``netdev`` (userspace)."""
    error: str = ""
    """Observed only: why the switch cannot use it. It differs from any plan, so it is tried again."""

    @property
    def key(self) -> Key:
        return (self.name,)

    def __str__(self) -> str:
        error = f" error={self.error}" if self.error else ""
        return f"bridge {self.name} datapath_type={self.datapath_type}{error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchPort(Element):
    """A port of a bridge with its one interface.

    A device that somebody else plugged (os-vif's tap) is planned with ``kind``, ``options`` and
    ``external_ids`` empty: only its tag, VLAN mode, trunks and ``other_config`` are ours to set.
    """

    bridge: str
    name: str
    kind: str = ""
    """Interface type: ``""`` (a system device such as a veth or tap), ``patch``, ``vxlan``, ``gre``, ``geneve``."""
    tag: int | None = None
    vlan_mode: str = ""
    trunks: tuple[int, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    external_ids: tuple[tuple[str, str], ...] = ()
    """Of the interface, as os-vif writes them: attached-mac, iface-id, iface-status, vm-uuid. Sorted."""
    other_config: tuple[tuple[str, str], ...] = ()
    """Of the port: ``net_uuid``, from which a restarted agent learns its local VLANs. Sorted."""
    error: str = ""
    """Observed only: why the switch cannot use it. It differs from any plan, so it is tried again."""

    @property
    def key(self) -> Key:
        return (self.name,)

    def __str__(self) -> str:
        words = [f"port {self.name} bridge={self.bridge}"]
        words += [f"type={self.kind}"] if self.kind else []
        words += [f"tag={self.tag}"] if self.tag is not None else []
        words += [f"vlan_mode={self.vlan_mode}"] if self.vlan_mode else []
        words += ["trunks=" + ",".join(map(str, self.trunks))] if self.trunks else []
        words += [f"options:{k}={v}" for k, v in self.options]
        words += [f"external_ids:{k}={v}" for k, v in self.external_ids]
        words += [f"other_config:{k}={v}" for k, v in self.other_config]
        words += [f"error={self.error}"] if self.error else []
        return " ".join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow(Element):
    """One OpenFlow flow, as ovs-ofctl reads it; ports are written by name (``in_port=tap…``).

    The switch prints matches and actions in its own words, so flows are not compared by text: the cookie
    is a digest of the whole flow, and a flow on the switch is the planned one exactly when its cookie is.
    Where the flow names ports, the driver's digest has their numbers too (``netloom.host.openflow.cookie``).
    """

    bridge: str
    table: int
    priority: int
    match: str
    """Comma separated, e.g. ``in_port=tap1,arp,arp_spa=10.0.0.5``; empty matches everything."""
    actions: str

    @property
    def key(self) -> Key:
        return (self.bridge, str(self.table), str(self.priority), self.match)

    @property
    def cookie(self) -> int:
        """64 bits: ``COOKIE_MARK`` and 48 bits of a digest of the flow; on a switch, of one that names no port."""
        digest = hashlib.blake2b(str(self).encode(), digest_size=6).digest()
        return COOKIE_MARK << 48 | int.from_bytes(digest, "big")

    def __str__(self) -> str:
        match = f",{self.match}" if self.match else ""
        return f"flow {self.bridge} table={self.table},priority={self.priority}{match} actions={self.actions}"
