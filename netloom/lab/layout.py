"""What a lab consists of: networks, hosts, their links and roles. Plain data; ``reading`` makes it of a file."""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

Prefix = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Kind = Literal["management", "tunnel", "vlan", "external"]
Options = Mapping[str, Mapping[str, str]]
"""Values of options by section and name, as in a configuration file."""

AGENT_ROLES = ("openvswitch", "l3", "dhcp", "metadata", "loadbalancer", "compute")
"""What an agent does."""
ROLES = ("server", *AGENT_ROLES, "internet")
"""What a host may be; ``internet`` is the world outside: addresses and names to reach and to be reached from."""


@dataclass(frozen=True, slots=True)
class Network:
    """A segment that hosts are plugged into."""

    name: str
    kind: Kind
    prefixes: tuple[Prefix, ...] = ()
    mtu: int = 1500
    """Octets of an IP packet."""
    bridge: str = ""
    """The Open vSwitch bridge that has this link as a port, on hosts with Open vSwitch; empty: none."""


@dataclass(frozen=True, slots=True)
class Link:
    """One cable of a host."""

    network: str
    addresses: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Host:
    """One host."""

    name: str
    roles: frozenset[str]
    links: tuple[Link, ...]
    """In the order of the host's devices eth0, eth1, …"""
    config: Options = field(default_factory=dict)
    config_files: Mapping[str, str] = field(default_factory=dict)
    """Contents of configuration files that are taken as they are, by name; they are read after ``config``."""
    addresses: tuple[str, ...] = ()
    """Further addresses of this host itself; for the Internet."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Names of the Internet, and their addresses; this host answers for them by DNS."""

    @property
    def has_agent(self) -> bool:
        """Whether an agent, and so an Open vSwitch, runs on it."""
        return bool(self.roles & set(AGENT_ROLES))


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole lab."""

    networks: Mapping[str, Network]
    hosts: Mapping[str, Host]
    database: Literal["sqlite", "postgresql"] = "sqlite"

    @property
    def servers(self) -> list[Host]:
        """The hosts that run the API; the first one has the database."""
        return [host for host in self.hosts.values() if "server" in host.roles]

    @property
    def agents(self) -> list[Host]:
        """The hosts that run an agent."""
        return [host for host in self.hosts.values() if host.has_agent]

    def links(self, host: Host, *kinds: Kind) -> Iterator[tuple[int, Link, Network]]:
        """The host's links of these kinds (all, when none is named) with their numbers and networks."""
        for number, link in enumerate(host.links):
            network = self.networks[link.network]
            if not kinds or network.kind in kinds:
                yield number, link, network

    def address(self, host: Host, kind: Kind = "management") -> str:
        """The first address of the host on a network of this kind; empty when it has none."""
        addresses = (str(address.ip) for _, link, _ in self.links(host, kind) for address in link.addresses)
        return next(addresses, "")
