"""Fragments: the units in which intent reaches the hosts.

A fragment is computed once and shared by all hosts that are interested in it. Its name is ``kind/id``; its
version is a digest of its contents, so that any server gives the same version to the same intent, and an
agent that reconnects only says what it holds. Lists are sorted by the server: equal intent, equal bytes.
"""

from netloom.feed.fragments.base import Fragment
from netloom.feed.fragments.load_balancers import (
    Certificate,
    HealthMonitor,
    L7Policy,
    L7Rule,
    Listener,
    LoadBalancer,
    Member,
    Pool,
    SessionPersistence,
)
from netloom.feed.fragments.networks import (
    AddressPair,
    AddressSet,
    DhcpNetwork,
    DhcpOption,
    DhcpServer,
    FixedIp,
    HostRoute,
    Network,
    Port,
    SecurityGroup,
    SecurityRule,
    Subnet,
    SubPort,
    Trunk,
)
from netloom.feed.fragments.overlay import Neighbour, TunnelPeer
from netloom.feed.fragments.routers import FloatingIp, HaGroup, HaPort, Router, RouterPort
from netloom.feed.fragments.servers import Nic, Server

__all__ = [
    "AddressPair",
    "AddressSet",
    "AnyFragment",
    "Certificate",
    "DhcpNetwork",
    "DhcpOption",
    "DhcpServer",
    "FixedIp",
    "FloatingIp",
    "Fragment",
    "HaGroup",
    "HaPort",
    "HealthMonitor",
    "HostRoute",
    "L7Policy",
    "L7Rule",
    "Listener",
    "LoadBalancer",
    "Member",
    "Neighbour",
    "Network",
    "Nic",
    "Pool",
    "Port",
    "Router",
    "RouterPort",
    "SecurityGroup",
    "SecurityRule",
    "Server",
    "SessionPersistence",
    "SubPort",
    "Subnet",
    "Trunk",
    "TunnelPeer",
]

AnyFragment = (
    Port
    | Network
    | SecurityGroup
    | AddressSet
    | DhcpNetwork
    | Router
    | Server
    | TunnelPeer
    | Neighbour
    | Trunk
    | LoadBalancer
)
