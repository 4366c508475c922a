"""Fragments: the units in which intent reaches the hosts.

A fragment is computed once and shared by all hosts that are interested in it. Its name is ``kind/id``; its
version is a digest of its contents, so that any server gives the same version to the same intent, and an
agent that reconnects only says what it holds. Lists are sorted by the server: equal intent, equal bytes.
"""

import msgspec


class Fragment(msgspec.Struct, frozen=True, tag_field="kind", omit_defaults=True):
    """Base of all fragments. ``id`` is that of the API object."""

    id: str

    @property
    def name(self) -> str:
        """``kind/id``."""
        return f"{self.__struct_config__.tag}/{self.id}"


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


class Nic(msgspec.Struct, frozen=True):
    """A network card of an instance."""

    port_id: str
    mac: str
    mtu: int


class Server(Fragment, frozen=True, tag="server"):
    """An instance for the standalone compute role of its host."""

    name: str
    hostname: str
    project_id: str
    image_id: str
    memory_mb: int
    vcpus: int
    running: bool
    boot: int
    nics: tuple[Nic, ...]
    hypervisor_type: str = "container"
    """``container``, or ``qemu``: a machine with a kernel of its own."""
    life: int = 0
    """Counts the rebuilds asked for: nothing of the disk of another life stays."""


class TunnelPeer(Fragment, frozen=True, tag="peer"):
    """A host that shares an overlay network with those that get this fragment; ``id`` is its name."""

    address: str
    """Its end of the tunnels."""
    types: tuple[str, ...]
    """Tunnels that it has, sorted: ``geneve``, ``gre``, ``vxlan``."""


class Neighbour(Fragment, frozen=True, tag="neighbour"):
    """A port of an overlay network, to the other hosts of that network: no more than they need to reach it."""

    network_id: str
    mac: str
    addresses: tuple[str, ...]
    """Its fixed addresses and those of its allowed address pairs that it alone may have, without prefix lengths."""
    hosts: tuple[str, ...]
    """Where it is, sorted. Several: each carries the router whose port it is, and the active one answers, so the
    place of its MAC must be learned."""


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


class Certificate(msgspec.Struct, frozen=True):
    """What a listener shows to its clients. It holds a private key: only the hosts of its balancer get it."""

    id: str
    """Of the secret, or a digest of its reference: lower case letters, digits and dashes."""
    pem: str
    """Private key without a passphrase, certificate, then the intermediate ones."""

    def __repr__(self) -> str:
        return f"Certificate({self.id!r})"


class L7Rule(msgspec.Struct, frozen=True):
    """A condition of a policy."""

    type: str
    """``HOST_NAME``, ``PATH``, ``FILE_TYPE``, ``HEADER``, ``COOKIE``, ``SSL_CONN_HAS_CERT``, ``SSL_VERIFY_RESULT`` or
    ``SSL_DN_FIELD``."""
    compare_type: str
    """``REGEX``, ``STARTS_WITH``, ``ENDS_WITH``, ``CONTAINS`` or ``EQUAL_TO``."""
    value: str
    key: str = ""
    """Name of the header, cookie or DN field."""
    invert: bool = False


class L7Policy(msgspec.Struct, frozen=True):
    """What a listener does with requests that meet all rules of it; one without rules is never met."""

    id: str
    action: str
    """``REJECT``, ``REDIRECT_TO_POOL``, ``REDIRECT_TO_URL`` or ``REDIRECT_PREFIX``."""
    rules: tuple[L7Rule, ...]
    """Those that are administratively up."""
    pool_id: str = ""
    target: str = ""
    """URL or prefix of a redirection."""
    code: int = 302
    """HTTP status of a redirection."""


class Listener(msgspec.Struct, frozen=True):
    """A port of a balancer's addresses and what becomes of what arrives there."""

    id: str
    protocol: str
    """``TCP``, ``HTTP``, ``HTTPS`` (passed through), ``TERMINATED_HTTPS``, ``UDP`` or ``PROMETHEUS``."""
    port: int
    pool_id: str = ""
    """Default pool; empty when there is none."""
    connection_limit: int = -1
    """-1: none of its own."""
    timeout_client_data: int = 50000
    """Milliseconds, as are the others."""
    timeout_member_connect: int = 5000
    timeout_member_data: int = 50000
    timeout_tcp_inspect: int = 0
    allowed_cidrs: tuple[str, ...] = ()
    """Sorted; none allows all."""
    insert_headers: tuple[str, ...] = ()
    """Names of the headers that are on, sorted."""
    certificates: tuple[Certificate, ...] = ()
    """The default one first, then those chosen by server name."""
    client_authentication: str = "NONE"
    """``NONE``, ``OPTIONAL`` or ``MANDATORY``."""
    client_ca: str = ""
    """PEM of whom clients' certificates must be signed by."""
    client_crl: str = ""
    """PEM of revoked ones."""
    tls_versions: tuple[str, ...] = ()
    """``TLSv1``, ``TLSv1.1``, ``TLSv1.2``, ``TLSv1.3``; none leaves it to the balancer."""
    tls_ciphers: str = ""
    alpn_protocols: tuple[str, ...] = ()
    """In the order of preference."""
    hsts_max_age: int = -1
    """Seconds; -1 for none."""
    hsts_include_subdomains: bool = False
    hsts_preload: bool = False
    policies: tuple[L7Policy, ...] = ()
    """Those that are administratively up, in the order of their positions."""


class SessionPersistence(msgspec.Struct, frozen=True):
    """What makes a client return to its member."""

    type: str
    """``SOURCE_IP``, ``HTTP_COOKIE`` or ``APP_COOKIE``."""
    cookie_name: str = ""
    """Of ``APP_COOKIE``."""
    timeout: int = 0
    """Seconds after which an idle client of ``SOURCE_IP`` or ``APP_COOKIE`` is forgotten; 0: the balancer's choice."""


class HealthMonitor(msgspec.Struct, frozen=True):
    """How the members of a pool are examined."""

    id: str
    type: str
    """``HTTP``, ``HTTPS``, ``TCP``, ``TLS-HELLO``, ``PING`` or ``UDP-CONNECT``."""
    delay: int
    """Seconds between examinations."""
    timeout: int
    """Seconds."""
    max_retries: int
    """Successes that bring a member back."""
    max_retries_down: int = 3
    """Failures that take it out."""
    http_method: str = "GET"
    url_path: str = "/"
    expected_codes: str = "200"
    """A status, a list (``200,202``) or a range (``200-204``)."""
    http_version: str = ""
    """``1.0``, ``1.1``; empty means 1.0."""
    domain_name: str = ""
    """``Host`` of its requests."""


class Member(msgspec.Struct, frozen=True):
    """A server that a pool balances over."""

    id: str
    address: str
    port: int
    weight: int = 1
    """0 to 256. 0: it serves the clients that it has, but gets no new ones."""
    backup: bool = False
    """It serves only when no other can."""
    admin_state_up: bool = True
    monitor_address: str = ""
    """Where it is examined; empty means ``address``."""
    monitor_port: int = 0
    """Likewise; 0 means ``port``."""


class Pool(msgspec.Struct, frozen=True):
    """Members and how they share the work."""

    id: str
    protocol: str
    """``TCP``, ``HTTP``, ``HTTPS``, ``PROXY``, ``PROXYV2`` or ``UDP``."""
    algorithm: str
    """``ROUND_ROBIN``, ``LEAST_CONNECTIONS``, ``SOURCE_IP`` or ``SOURCE_IP_PORT``."""
    members: tuple[Member, ...]
    """Also those that are administratively down. In the order of their creation: turns are taken in it."""
    persistence: SessionPersistence | None = None
    monitor: HealthMonitor | None = None
    """None: there is none that is administratively up, and members are taken to be well."""
    admin_state_up: bool = True
    """An administratively down pool stays, but none of its members serves."""
    tls: bool = False
    """Speak TLS to the members."""
    tls_ca: str = ""
    """PEM of whom the members' certificates must be signed by; empty trusts any."""


class LoadBalancer(Fragment, frozen=True, tag="loadbalancer"):
    """A load balancer (LBaaS v1: a pool with a VIP), to each host that carries it.

    On one host the VIP's port is bound to it. Where several hosts carry it, each has a port of its own on the network
    of the VIP (``ha``), bound to it, with the VIP's security groups and its addresses as allowed address pairs; the
    VIP's port is bound nowhere. The fragments of the bound port, its network and its security groups come along as
    for any port.
    """

    project_id: str
    admin_state_up: bool
    vip: RouterPort
    """The VIP's port; several addresses are as good as one another."""
    listeners: tuple[Listener, ...]
    """Those that are administratively up, in the order of their ids."""
    pools: tuple[Pool, ...]
    """In the order of their ids."""
    ha: HaGroup | None = None
    """None: it lives on one host. Its network is that of the VIP, its addresses are of the subnet of the first
    address, and its VRRP id is unique on that network."""
    revision: int = 0
    """Grows with each change of what is asked for; its hosts tell which they have applied."""


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
