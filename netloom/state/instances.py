"""Instances that the host runs itself (the standalone compute role)."""

from dataclasses import dataclass

from netloom.state.element import Element, Key

CONTAINER, QEMU = "container", "qemu"
"""What an instance can be: a container, or a machine with a kernel of its own."""


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
    life: int = 0
    """Counts the rebuilds asked for: nothing of the disk of another life stays."""
    nics: tuple[Nic, ...] = ()
    hypervisor_type: str = CONTAINER

    @property
    def key(self) -> Key:
        return (self.id,)

    def __str__(self) -> str:
        nics = ",".join(f"{n.device}/{n.mac}/{n.mtu}" for n in self.nics)
        power = "on" if self.running else "off"
        life = f" life={self.life}" if self.life else ""
        state = f"power={power} boot={self.boot}{life} memory={self.memory_mb}"
        kind = "" if self.hypervisor_type == CONTAINER else f" hypervisor={self.hypervisor_type}"
        return f"instance {self.id}{kind} hostname={self.hostname} image={self.image} {state} nics={nics}"
