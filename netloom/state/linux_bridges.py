"""Linux bridges between instances' cards and the switch, and the sets of addresses that their filters look into."""

from dataclasses import dataclass

from netloom.state.element import Element, Key


@dataclass(frozen=True, slots=True, kw_only=True)
class LinuxBridge(Element):
    """A Linux bridge in the host's own namespace, where the host's packet filter sees all that a card says and hears.

    It joins the card to one end of a veth pair, whose other end is for the switch. It forwards at once, learns
    nothing (whoever is not at one end is at the other), and has no IPv6. The ends of the pair are promiscuous, and have
    transmit checksum offload off: the userspace datapath forwards partial checksums as they are.
    """

    name: str
    card: str
    """Outer end of the instance's card; somebody else makes it."""
    inner: str
    """End of the pair in this bridge."""
    outer: str
    """Its end in the switch."""
    mtu: int

    @property
    def key(self) -> Key:
        return (self.name,)

    def __str__(self) -> str:
        return f"linux bridge {self.name} card={self.card} pair={self.inner}={self.outer} mtu={self.mtu}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IpSet(Element):
    """A set of addresses and prefixes in the host's own namespace (``ipset list``, type ``hash:net``)."""

    name: str
    family: int
    """4 or 6."""
    members: tuple[str, ...]
    """Sorted; prefixes in canonical form, a single address without its length; none is the whole address space."""

    @property
    def key(self) -> Key:
        return (self.name,)

    def __str__(self) -> str:
        return f"ipset {self.name} family={self.family} members={','.join(self.members)}"
