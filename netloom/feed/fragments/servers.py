"""Instances."""

import msgspec

from netloom.feed.fragments.base import Fragment


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
