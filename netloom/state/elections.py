"""Elections of the active one among the hosts that carry a router (VRRP, RFC 5798)."""

from dataclasses import dataclass

from netloom.state.element import Element, Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Election(Element):
    """This host's part in an election that a daemon holds: what tells how it stands, and what speaks against us."""

    router: str
    """Id of the router."""
    namespace: str
    device: str
    """Where the hosts hear each other."""
    address: str
    """On ``device`` of the active host alone."""
    shared: tuple[tuple[str, str], ...] = ()
    """(Device, address with prefix length) of all else that the active host has, sorted."""
    health: str
    """Path below the agent's state directory of the file that the daemon reads this host's fitness from."""
    heard_over: str
    """What the hosts hear each other over: a bridge of a physical network, or this host's end of the tunnels. Empty
    when there is no other host."""
    served_over: tuple[str, ...]
    """Likewise for the networks of the router, sorted. What has no uplink to the world cannot lose it."""
    handover: float
    """Seconds within which another host takes over from one that resigns."""

    @property
    def key(self) -> Key:
        return (self.router,)

    def __str__(self) -> str:
        over = f"heard_over={self.heard_over} served_over={','.join(self.served_over)} handover={self.handover:g}"
        where = f"namespace={self.namespace} device={self.device} address={self.address}"
        shared = ",".join(f"{cidr}@{device}" for device, cidr in self.shared)
        return f"election {self.router} {where} shared={shared} health={self.health} {over}"
