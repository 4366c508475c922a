"""Network devices as the kernel lists them: seen, never planned."""

from dataclasses import dataclass

from netloom.state.element import Element, Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Device(Element):
    """A device of the host's own namespace (``""``) or of a named one."""

    namespace: str
    name: str
    kind: str
    """As ``ip -details link`` names it (``veth``, ``bridge``, ``tun``, …); empty for a card."""
    mac: str
    mtu: int
    up: bool
    master: str = ""
    """The device that it is a port of: a Linux bridge, or the switch's datapath."""
    peer: str = ""
    """Other end of a veth pair; empty where that is in a namespace without a name."""
    peer_namespace: str = ""

    @property
    def key(self) -> Key:
        return (self.namespace, self.name)

    def __str__(self) -> str:
        words = [f"device {self.name} namespace={self.namespace} kind={self.kind} mac={self.mac} mtu={self.mtu}"]
        words += [f"state={'up' if self.up else 'down'}"]
        words += [f"master={self.master}"] if self.master else []
        words += [f"peer={self.peer} peer_namespace={self.peer_namespace}"] if self.peer else []
        return " ".join(words)
