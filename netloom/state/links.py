"""Network namespaces and what is inside: links, addresses, routes, kernel settings."""

from dataclasses import dataclass

from netloom.state.element import Element, Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace(Element):
    """A named network namespace (``ip netns``), with its loopback up."""

    name: str

    @property
    def key(self) -> Key:
        return (self.name,)

    def __str__(self) -> str:
        return f"namespace {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Veth(Element):
    """A veth pair: both ends bear ``name``, one in the host's namespace for a bridge, one inside ``namespace``.

    Both ends are up, of the same MTU, and the inner one has transmit checksum offload off: the userspace
    datapath forwards partial checksums as they are, and TCP stalls. The outer end has IPv6 disabled.
    """

    name: str
    namespace: str
    mac: str
    """Of the inner end; lower case."""
    mtu: int

    @property
    def key(self) -> Key:
        return (self.name,)

    def __str__(self) -> str:
        return f"veth {self.name} namespace={self.namespace} mac={self.mac} mtu={self.mtu}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address(Element):
    """An address on a device inside a namespace (``""`` is the host's own)."""

    namespace: str
    device: str
    cidr: str
    """With its prefix length, e.g. ``10.0.0.1/24``."""
    announced: bool = False
    """Announce it (gratuitous ARP, unsolicited neighbour advertisement) when it comes, and forget the
    namespace's connections to and from it when it goes. Not observable, so not compared."""

    @property
    def key(self) -> Key:
        return (self.namespace, self.device, self.cidr)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return f"address {self.cidr} device={self.device} namespace={self.namespace}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Element):
    """A route of the main table that is not the kernel's own (``proto kernel``)."""

    namespace: str
    destination: str
    """A prefix, or ``default``; the family is that of the prefix, or of ``family`` for ``default``."""
    family: int
    """4 or 6."""
    via: str = ""
    """Next hop; empty for an on-link route."""
    device: str

    @property
    def key(self) -> Key:
        return (self.namespace, str(self.family), self.destination)

    def __str__(self) -> str:
        via = f" via={self.via}" if self.via else ""
        return f"route {self.destination} family={self.family}{via} device={self.device} namespace={self.namespace}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sysctl(Element):
    """A kernel setting inside a namespace, e.g. ``net.ipv4.ip_forward``. Never removed, only set."""

    namespace: str
    name: str
    """Path parts separated by ``/`` below /proc/sys, so that device names with dots stay whole."""
    value: str

    @property
    def key(self) -> Key:
        return (self.namespace, self.name)

    def __str__(self) -> str:
        return f"sysctl {self.name}={self.value} namespace={self.namespace}"
