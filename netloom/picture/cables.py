"""What is wired to what: patches, veth pairs, cards of instances, tunnels and the machine's own devices."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from netloom.state import Bridge, Device, HostState, Instance, SwitchPort

TUNNELS = frozenset({"vxlan", "gre", "geneve"})
PORT_CHARACTERS = 11
"""Of a port's id in the names of its devices."""
_HOST = ""


class Kind(StrEnum):
    """What has ports."""

    SWITCH = "switch"
    """A bridge of Open vSwitch."""
    BRIDGE = "bridge"
    """A Linux bridge."""
    NAMESPACE = "namespace"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class Place:
    """A thing with ports; ``id`` is its name on the host."""

    kind: Kind
    id: str


@dataclass(frozen=True, slots=True)
class End:
    """One end of a cable."""

    place: Place
    port: str
    """Name of the port or device; the MAC of an instance's card, whose name only the instance knows."""
    tag: int | None = None
    port_id: str = ""
    """Of the API's port that it is for."""
    network: str = ""
    """Id of the network, where the switch's database has it."""


@dataclass(frozen=True, slots=True)
class Cable:
    """Two ends that belong together; a port with nothing at its other end has one."""

    kind: str
    """``patch``, ``veth``, ``card``, ``tunnel`` or ``device``."""
    one: End
    other: End | None = None
    note: str = ""
    """Of one that leads out of the picture: where to."""

    def seen_from(self, place: Place) -> "Cable":
        """The same cable with its end there as ``one``."""
        if self.one.place == place or self.other is None:
            return self
        return Cable(self.kind, self.other, self.one, self.note)


def cables(state: HostState) -> list[Cable]:
    """All cables of a host, in the order of their names."""
    found: dict[frozenset[End], Cable] = {}
    wiring = _Wiring(state)
    for cable in wiring.all():
        ends = frozenset(filter(None, (cable.one, cable.other)))
        found.setdefault(ends, cable)
    return sorted(found.values(), key=lambda cable: (cable.one.place.id, cable.one.port))


class _Wiring:
    """Finds what is behind a port or device."""

    def __init__(self, state: HostState) -> None:
        bridges = state.of(Bridge)
        self._ports = {port.name: port for port in state.of(SwitchPort).values() if (port.name,) not in bridges}
        self._devices = {device.name: device for device in state.of(Device).values() if device.namespace == _HOST}
        self._cards: dict[str, tuple[str, str]] = {}
        """Instance and MAC by the characters of the port's id that device names have."""
        for port in self._ports.values():
            ids = dict(port.external_ids)
            if "vm-uuid" in ids and "iface-id" in ids:
                self._cards[ids["iface-id"][:PORT_CHARACTERS]] = ids["vm-uuid"], ids.get("attached-mac", "")
        for instance in state.of(Instance).values():
            self._cards |= {nic.port_id[:PORT_CHARACTERS]: (instance.id, nic.mac) for nic in instance.nics}

    def all(self) -> Iterator[Cable]:
        """Every cable, some of them from both ends."""
        for port in self._ports.values():
            yield self._of_switch(port)
        for device in self._devices.values():
            master = self._devices.get(device.master)
            if master and master.kind == "bridge":
                yield self._of_device(_slave(device), device)

    def _of_switch(self, port: SwitchPort) -> Cable:
        near, options = _end(port), dict(port.options)
        if port.kind == "patch":
            peer = self._ports.get(options.get("peer", ""))
            return Cable("patch", near, _end(peer) if peer else None, "" if peer else options.get("peer", ""))
        if port.kind in TUNNELS:
            return Cable("tunnel", near, note=options.get("remote_ip", ""))
        device = self._devices.get(port.name)
        return self._of_device(near, device) if device else Cable("device", near, note=port.error or port.kind)

    def _of_device(self, near: End, device: Device) -> Cable:
        peer = self._devices.get(device.peer) if device.peer and device.peer_namespace == _HOST else None
        if peer:
            return self._of_pair(near, peer)
        if device.peer:
            return Cable("veth", near, End(Place(Kind.NAMESPACE, device.peer_namespace), device.peer))
        instance, mac = self._cards.get(device.name[3:], ("", ""))
        if device.kind in ("veth", "tun") and instance:
            return Cable("card", near, End(Place(Kind.INSTANCE, instance), mac))
        return Cable("device", near, note="" if device.up else "down")

    def _of_pair(self, near: End, peer: Device) -> Cable:
        """A veth pair of which both ends are the host's."""
        master = self._devices.get(peer.master)
        if peer.name in self._ports:
            return Cable("veth", near, _end(self._ports[peer.name]))
        return Cable("veth", near, _slave(peer) if master and master.kind == "bridge" else None, peer.name)


def _end(port: SwitchPort) -> End:
    port_id, network = dict(port.external_ids).get("iface-id", ""), dict(port.other_config).get("net_uuid", "")
    return End(Place(Kind.SWITCH, port.bridge), port.name, port.tag, port_id, network)


def _slave(device: Device) -> End:
    """The end of a device that is a port of a Linux bridge."""
    return End(Place(Kind.BRIDGE, device.master), device.name)
