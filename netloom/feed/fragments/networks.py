"""Networks and what is on them: ports, their filters, addresses that are given to them, trunks."""

import msgspec

from netloom.feed.fragments.base import Fragment


class FixedIp(msgspec.Struct, frozen=True):
    """An address of a port."""

    subnet_id: str
    address: str


class AddressPair(msgspec.Struct, frozen=True):
    """An allowed address pair: an address or prefix, and the MAC it may come from."""

    prefix: str
    mac: str


class DhcpOption(msgspec.Struct, frozen=True):
    """An extra DHCP option of a port."""

    name: str
    value: str
    ip_version: int


class Port(Fragment, frozen=True, tag="port"):
    """A port: to its own host, and to the hosts that serve its network (DHCP, routers, metadata)."""

    network_id: str
    mac: str
    project_id: str
    device_id: str
    device_owner: str
    host: str
    """Host that it is bound to; empty when unbound."""
    admin_state_up: bool
    port_security: bool
    fixed_ips: tuple[FixedIp, ...]
    address_pairs: tuple[AddressPair, ...]
    security_groups: tuple[str, ...]
    dhcp_options: tuple[DhcpOption, ...]
    vnic_type: str = "normal"
    dns_name: str = ""
    wirings: int = 0
    """Counts how often its status began anew, so that its host tells of it again even if all else is as before."""


class HostRoute(msgspec.Struct, frozen=True):
    """A route: of a subnet (offered by DHCP), or of a router."""

    destination: str
    nexthop: str


class Subnet(msgspec.Struct, frozen=True):
    """A subnet as a part of its network's fragment."""

    id: str
    cidr: str
    ip_version: int
    gateway: str
    """Empty when there is none."""
    enable_dhcp: bool
    dns_nameservers: tuple[str, ...]
    host_routes: tuple[HostRoute, ...]
    ra_mode: str
    """``slaac``, ``dhcpv6-stateless``, ``dhcpv6-stateful`` or empty."""
    address_mode: str
    pools: tuple[tuple[str, str], ...]
    """Allocation pools: first and last address."""


class Network(Fragment, frozen=True, tag="network"):
    """A network with its subnets."""

    project_id: str
    mtu: int
    network_type: str
    """``flat``, ``vlan``, ``vxlan``, ``gre``, ``geneve`` or ``local``."""
    physical_network: str
    segmentation_id: int
    """0 when the type has none."""
    admin_state_up: bool
    external: bool
    subnets: tuple[Subnet, ...]
    vlan_transparent: bool = False


class SecurityRule(msgspec.Struct, frozen=True):
    """A security group rule, normalised: protocol as a number (-1: any), no redundant remotes."""

    direction: str
    """``ingress`` or ``egress``."""
    ip_version: int
    protocol: int
    """IANA number, -1 for any. ICMPv6 is 58."""
    port_min: int = -1
    """First port; ICMP type; -1 for any."""
    port_max: int = -1
    """Last port; ICMP code; -1 for any."""
    remote_prefix: str = ""
    remote_set: str = ""
    """Name of an ``addresses/…`` fragment (a remote group or an address group)."""


class SecurityGroup(Fragment, frozen=True, tag="security_group"):
    """A security group's rules, to every host with a member port."""

    stateful: bool
    rules: tuple[SecurityRule, ...]


class AddressSet(Fragment, frozen=True, tag="addresses"):
    """The addresses that a remote security group (its member ports') or an address group stands for."""

    prefixes: tuple[str, ...]


class DhcpServer(msgspec.Struct, frozen=True):
    """A host that serves DHCP for a network, and the port from which it does."""

    host: str
    port_id: str


class DhcpNetwork(Fragment, frozen=True, tag="dhcp"):
    """The hosts with this fragment serve DHCP for the network of this id; the leases are those of its ports."""

    servers: tuple[DhcpServer, ...]
    """In the order of the hosts' names."""
    isolated_subnets: tuple[str, ...]
    """Subnets without a router: their metadata is served from the DHCP namespace."""
    dns_domain: str = ""
    lease_seconds: int = 86400


class SubPort(msgspec.Struct, frozen=True):
    """A sub-port of a trunk."""

    port_id: str
    vlan: int
    """Tag by which the instance behind the trunk knows its network, 1 to 4094."""


class Trunk(Fragment, frozen=True, tag="trunk"):
    """A trunk, to the host of its parent port; the sub-ports are bound to that host, too."""

    port_id: str
    """The parent port: its network reaches the instance without a tag."""
    sub_ports: tuple[SubPort, ...]
    """In the order of their tags."""
