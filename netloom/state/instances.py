"""Instances that the host runs itself (the standalone compute role)."""

from dataclasses import dataclass

from netloom.state.element import Element, Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """A network card of an instance; its host end is a device named ``device`` for br-int."""

    port_id: str
    device: str
    mac: str
    mtu: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance(Element):
    """An instance that should exist on this host."""

    id: str
    hostname: str
    image: str
    """Id of the image it starts from; the driver finds the root file system."""
    memory_mb: int
    vcpus: int
    running: bool = True
    boot: int = 0
    """Counts the reboots asked for; a higher number than the running one's starts it anew."""
    nics: tuple[Nic, ...] = ()

    @property
    def key(self) -> Key:
        return (self.id,)

    def __str__(self) -> str:
        nics = ",".join(f"{n.device}/{n.mac}/{n.mtu}" for n in self.nics)
        power = "on" if self.running else "off"
        state = f"power={power} boot={self.boot} memory={self.memory_mb}"
        return f"instance {self.id} hostname={self.hostname} image={self.image} {state} nics={nics}"
