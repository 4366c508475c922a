"""Routers, and the elections of the host that is active."""

import msgspec

from netloom.feed.fragments.base import Fragment
from netloom.feed.fragments.networks import HostRoute


class RouterPort(msgspec.Struct, frozen=True):
    """An interface or the gateway of a router, or the VIP of a load balancer."""

    port_id: str
    network_id: str
    mac: str
    mtu: int
    addresses: tuple[str, ...]
    """With prefix lengths: ``10.0.0.1/24``."""
    subnets: tuple[str, ...]
    """Ids of the subnets, in the order of ``addresses``."""


class FloatingIp(msgspec.Struct, frozen=True):
    """A floating IP that is associated through this router."""

    id: str
    floating_address: str
    fixed_address: str
    port_id: str


class HaPort(msgspec.Struct, frozen=True):
    """The port from which a host takes part in the election of the active host of a router or load balancer."""

    host: str
    port_id: str
    mac: str
    address: str
    """With its prefix length: ``169.254.192.1/18``."""


class HaGroup(msgspec.Struct, frozen=True):
    """The hosts that carry one router or load balancer, of which one is active (VRRP, RFC 5798)."""

    network_id: str
    """The network on which they hear each other: a hidden one for routers."""
    mtu: int
    vrid: int
    """Virtual router id, 1 to 255; unique on the network."""
    ports: tuple[HaPort, ...]
    """In the order of the hosts' names."""


class Router(Fragment, frozen=True, tag="router"):
    """A router, to each host that carries it."""

    project_id: str
    admin_state_up: bool
    enable_snat: bool
    interfaces: tuple[RouterPort, ...]
    gateway: RouterPort | None
    gateway_routes: tuple[str, ...]
    """Next hops of the default routes: the gateway addresses of the external subnets in use."""
    floating_ips: tuple[FloatingIp, ...]
    routes: tuple[HostRoute, ...]
    ha: HaGroup | None = None
    """None: the router lives on one host."""
