"""Load balancers with all their parts."""

import msgspec

from netloom.feed.fragments.base import Fragment
from netloom.feed.fragments.routers import HaGroup, RouterPort


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
