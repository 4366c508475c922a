"""Bridges and ports in Open vSwitch's database: observed, and changed to what the plan says.

What is ours, also for an agent that starts anew: bridges and ports whose ``external_ids`` have the key
``netloom``. Its value is ``1`` for what we made, and ``adopted`` for what was there before us: a bridge of
that name, or a device that os-vif or an operator plugged. Of the adopted we only set what the plan says,
and give that back when it is no longer planned; we never delete it. Without the key it is not ours.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

from netloom.host.replica import Replica, Row, Transaction
from netloom.state import Bridge, Changes, Failure, Interface, SwitchPort

DEFAULT_CONNECTION = "unix:/run/openvswitch/db.sock"
MARK, MADE, ADOPTED = "netloom", "1", "adopted"
IFINDEX = "netloom-ifindex"
"""Number of the device when we plugged it. One of another number has since taken its name, and the
userspace datapath, which goes on listening to the old one, is deaf to it until it is plugged anew."""
DEAD_VLAN = 4095
DELETE_AT_ONCE, PATCHES_AT_ONCE = 3, 10
"""Each deleted port stops all forwarding for some 14 ms, an end of a patch for 1 to 4; those of one transaction add
up."""
LOCAL_PORT = 65534
REPLACED = "its device has been replaced by another of the same name, or is gone"
Ours: TypeAlias = Bridge | SwitchPort
TABLES = {
    "Open_vSwitch": ("bridges", "next_cfg", "cur_cfg"),
    "Bridge": ("name", "ports", "datapath_type", "fail_mode", "external_ids", "other_config"),
    "Port": ("name", "interfaces", "tag", "vlan_mode", "trunks", "external_ids", "other_config"),
    "Interface": ("name", "type", "options", "external_ids", "ofport", "error", "ifindex"),
}


class Ovsdb:
    """One Open vSwitch database, for one thread (``wake`` is for any).

    ``rundir`` is where ovs-vswitchd keeps its pid file; by default the directory of a ``unix:`` connection,
    else /run/openvswitch. It reconnects by itself when the database server has been away.

    Raises, as its methods do:
        ConnectionError: the database does not answer within ``timeout`` seconds.
    """

    def __init__(
        self, connection: str = DEFAULT_CONNECTION, *, rundir: Path | None = None, timeout: float = 10.0
    ) -> None:
        socket = connection if connection.startswith("unix:") else DEFAULT_CONNECTION
        pidfile = (rundir or Path(socket.removeprefix("unix:")).parent) / "ovs-vswitchd.pid"
        self._replica = Replica(connection, TABLES, pidfile, timeout)
        self._known: dict[UUID, _Port] = {}
        self._generation = -1
        """Of the database, when its ports were read."""
        self.wake = self._replica.wake
        self.close = self._replica.close

    def wait(self, timeout: float) -> bool:
        """Wait until a bridge, port or interface changes (also by ``apply``), ovs-vswitchd has gone or come
        back, or ``wake`` is called; False when nothing of this happened within ``timeout`` seconds."""
        return self._replica.wait(timeout)

    def switched(self) -> bool:
        """Whether, since the last call, ``wait`` saw more than a ``wake``: a row changed, or a daemon of the switch."""
        before, self._replica.switched = self._replica.switched, False
        return before

    def observe(self) -> Iterator[Ours]:
        """The bridges and ports that are ours, as they are."""
        ports = self._ports()
        local = {port.bridge: port.problem for port in ports if port.name == port.bridge}
        for row in self._bridges():
            if MARK in row.external_ids:
                yield _bridge(row, local.get(row.name, "its local port is missing"))
        yield from (port.ours for port in ports if port.ours)

    def survey(self) -> Iterator[Ours]:
        """All bridges and ports, whoever made them, as they are; without bridges' local ports."""
        for row in self._bridges():
            yield Bridge(name=row.name, datapath_type=row.datapath_type or "system")
        for port in self._ports():
            if port.name != port.bridge:
                yield _switch_port(port.bridge, port.row, port.interface, port.problem, whole=True)

    def facts(self, integration_bridge: str = "br-int") -> tuple[dict[str, Interface], dict[str, int], dict[str, int]]:
        """Usable interfaces by the port id they were plugged for, local VLANs by network id, and conntrack zones.

        Interfaces of all bridges count (a trunk's tap is on a bridge of its own), patch ports do not; of two for one
        port the newer device does: the other is left from an earlier plug. Local
        VLANs are those on the ports of the integration bridge, whoever wrote them there; zones are by port id.
        """
        interfaces: dict[str, Interface] = {}
        vlans: dict[str, int] = {}
        zones: dict[str, int] = {}
        for port in sorted(self._ports(), key=lambda port: (port.ifindex, port.name), reverse=True):
            if port.network and port.bridge == integration_bridge:
                vlans.setdefault(port.network, port.tag)
            if port.plugged and not port.problem:
                interfaces.setdefault(port.plugged.port_id, port.plugged)
            if port.zone:
                zones.setdefault(*port.zone)
        return interfaces, vlans, zones

    def ofports(self, bridge: str) -> Mapping[str, int]:
        """OpenFlow port numbers by port name; without the bridge's local port."""
        return {port.name: port.ofport for port in self._ports() if port.bridge == bridge and port.ofport}

    def uplinks(self) -> dict[str, list[str]]:
        """The devices of the machine that somebody put into each bridge, by name of the bridge."""
        devices: dict[str, list[str]] = {}
        for port in self._ports():
            devices.setdefault(port.bridge, [])
            if port.device and port.name != port.bridge:
                devices[port.bridge].append(port.device)
        return devices

    def apply(self, bridges: Changes[Bridge], ports: Changes[SwitchPort]) -> list[Failure]:
        """Make the changes, and wait until ovs-vswitchd has done them.

        Creations and updates are one transaction; then ports go, a few at a time, then bridges. What is
        wrong with one element does not keep the others from being applied.
        """
        made = [*bridges.create, *(wanted for _, wanted in bridges.update)]
        plugged = [*ports.create, *(wanted for _, wanted in ports.update)]
        failures = []
        if made or plugged:
            refused = self._refused(made, plugged)
            failures = [_failure(port, refused[port.name]) for port in plugged if port.name in refused]
            failures += self._put(made, [port for port in plugged if port.name not in refused])
        patches = [port for port in ports.delete if port.kind == "patch"]
        devices = [port for port in ports.delete if port.kind != "patch"]
        for those, at_once in ((patches, PATCHES_AT_ONCE), (devices, DELETE_AT_ONCE)):
            for start in range(0, len(those), at_once):
                failures += self._delete(those[start : start + at_once])
        for bridge in bridges.delete:
            failures += self._delete([bridge])
        return failures

    def ensure_bridge(self, name: str, datapath_type: str, ports: Sequence[str] = ()) -> list[Failure]:
        """Make a bridge as an operator would make one for a physical network, with these devices in it.

        It is a plain learning switch, bears no mark, and is not ours from then on.
        """

        def build(change: Transaction) -> None:
            if name not in change.bridges:
                change.insert_bridge(name).datapath_type = datapath_type
            for port in ports:
                if port not in change.ports:
                    change.insert_port(name, port)

        error = self._replica.commit(build)
        reasons = {} if error else self._problems()
        elements: list[Ours] = [Bridge(name=name, datapath_type=datapath_type)]
        elements += [SwitchPort(bridge=name, name=port) for port in ports]
        return [_failure(e, reason) for e in elements if (reason := error or reasons.get(e.name, ""))]

    def _bridges(self) -> list[Row]:
        self._replica.synchronise()
        return self._replica.rows("Bridge")

    def _ports(self) -> list["_Port"]:
        """All ports; those whose rows have not changed since the last time are not read again."""
        bridges, version = self._bridges(), self._replica.version
        if self._generation == self._replica.generation:
            return list(self._known.values())
        ports: dict[UUID, _Port] = {}
        for bridge in bridges:
            place = bridge.name
            for row in bridge.ports:
                known = self._known.get(row.uuid)
                if not known or known.bridge != place or known.versions != (version(row), version(known.interface)):
                    interface = row.interfaces[0]
                    known = _read(place, row, interface, (version(row), version(interface)))
                ports[row.uuid] = known
        self._known, self._generation = ports, self._replica.generation
        return list(ports.values())

    def _problems(self) -> dict[str, str]:
        """Why ports cannot be used, by name; "" for those that can."""
        return {port.name: port.problem for port in self._ports()}

    def _refused(self, made: Iterable[Bridge], plugged: Sequence[SwitchPort]) -> dict[str, str]:
        """Ports that cannot be made, and why, by name."""
        foreign = {port.name: port.bridge for port in self._ports() if not port.ours}
        bridges = {row.name for row in self._bridges()} | {bridge.name for bridge in made}
        refused: dict[str, str] = {}
        for port in plugged:
            if port.bridge not in bridges:
                how = f"create it (ovs-vsctl add-br {port.bridge}) or correct bridge_mappings"
                refused[port.name] = f"bridge {port.bridge} does not exist; {how}"
            elif foreign.get(port.name, port.bridge) != port.bridge:
                where = f"on bridge {foreign[port.name]} by somebody else"
                refused[port.name] = f"a port of that name was put {where}; remove it (ovs-vsctl del-port {port.name})"
        for port in plugged:
            peer = dict(port.options).get("peer")
            if peer in refused and port.name not in refused:
                refused[port.name] = f"its peer {peer} cannot be made: {refused[peer]}"
        return refused

    def _put(self, bridges: Sequence[Bridge], ports: Sequence[SwitchPort]) -> list[Failure]:
        problems = self._problems()
        replaced = [port for port in ports if problems.get(port.name) == REPLACED]
        for start in range(0, len(replaced), DELETE_AT_ONCE):
            self._delete(replaced[start : start + DELETE_AT_ONCE])

        def build(change: Transaction) -> None:
            for bridge in bridges:
                _put_bridge(change, bridge)
            for port in ports:
                _put_port(change, port)

        error = self._replica.commit(build)
        self._note_devices([port.name for port in ports])
        found = {(type(element), element.name): element for element in self.observe()}
        failures = []
        elements: list[Ours] = [*bridges, *ports]
        for element in elements:
            actual = found.get((type(element), element.name))
            if error or actual != element:
                failures.append(_failure(element, error or (actual and actual.error) or f"it is now: {actual}"))
        return failures

    def _note_devices(self, names: Iterable[str]) -> None:
        """Remember which devices the ports that we made have plugged, see ``IFINDEX``."""
        wanted = set(names)
        ports = [port for port in self._ports() if port.name in wanted and port.ours and not port.problem]
        rows = [port.row for port in ports if _is_made(port.row) and port.interface.type == ""]
        new = [row for row in rows if IFINDEX not in row.external_ids]

        def build(_: Transaction) -> None:
            for row in new:
                row.setkey("external_ids", IFINDEX, str(row.interfaces[0].ifindex[0]))

        # ovs-vswitchd writes the numbers a moment after it says that it is done.
        if new and self._replica.until(lambda: all(any(row.interfaces[0].ifindex) for row in new), 1.0):
            self._replica.commit(build)

    def _delete(self, elements: Sequence[Ours]) -> list[Failure]:
        reasons: dict[str, str] = {}

        def build(change: Transaction) -> None:
            reasons.clear()
            for element in elements:
                drop = _drop_bridge if isinstance(element, Bridge) else _drop_port
                reasons[element.name] = drop(change, element.name)

        error = self._replica.commit(build)
        return [_failure(e, reason) for e in elements if (reason := error or reasons[e.name])]


def _failure(element: Ours, reason: str) -> Failure:
    return Failure(element.origin, str(element), reason)


def _problem(port: Row, interface: Row) -> str:
    """Why the switch cannot use an interface, or ""."""
    if interface.error:
        return str(interface.error[0])
    if not interface.ofport:
        return "ovs-vswitchd has not taken it up; its log may say why"
    if interface.ofport[0] < 0:
        return "ovs-vswitchd could not open it; its log says why"
    planned = port.external_ids.get(IFINDEX)
    return REPLACED if planned and [int(planned)] != interface.ifindex else ""


def _is_made(row: Row) -> bool:
    """Whether we made this port or bridge, and may delete it."""
    return bool(row.external_ids.get(MARK) == MADE)


def _pairs(column: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(column.items()))


def _bridge(row: Row, error: str) -> Bridge:
    """A bridge of ours as it is; ``error`` is what is wrong with its local port."""
    if row.fail_mode != ["secure"]:
        error = "it forwards without flows (its fail_mode is not secure)"
    return Bridge(name=row.name, datapath_type=row.datapath_type or "system", error=error)


@dataclass(frozen=True, slots=True)
class _Port:
    """What was read of a port."""

    row: Row
    interface: Row
    versions: tuple[int, int]
    bridge: str
    name: str
    problem: str
    ours: SwitchPort | None
    plugged: Interface | None
    network: str
    """Empty unless it has a local VLAN."""
    tag: int
    zone: tuple[str, int] | None
    """Conntrack zone of its own, with the port id that it was plugged for."""
    ofport: int
    ifindex: int
    """Number of the device; 0 when it has none."""
    device: str
    """The system's device, when it is not one of ours; else empty."""


def _read(bridge: str, row: Row, interface: Row, versions: tuple[int, int]) -> _Port:
    name, problem, ids, tag = row.name, _problem(row, interface), interface.external_ids, row.tag
    plugged = None
    if "iface-id" in ids and interface.type != "patch":
        plugged = Interface(name, ids["iface-id"], ids.get("attached-mac", "").lower(), bridge, _is_made(row))
    network = row.other_config.get("net_uuid", "") if tag and tag[0] != DEAD_VLAN else ""
    ofport = interface.ofport[0] if interface.ofport and 0 < interface.ofport[0] < LOCAL_PORT else 0
    marked = MARK in row.external_ids
    ours = _switch_port(bridge, row, interface, problem, whole=_is_made(row)) if marked else None
    device = name if interface.type == "" and not _is_made(row) else ""
    tag_number = tag[0] if tag else 0
    zone = row.other_config.get("zone", "")
    tracked = (ids["iface-id"], int(zone)) if zone.isdecimal() and "iface-id" in ids else None
    found = (row, interface, versions, bridge, name, problem, ours, plugged, network, tag_number, tracked)
    return _Port(*found, ofport, interface.ifindex[0] if interface.ifindex else 0, device)


def _switch_port(bridge: str, row: Row, interface: Row, problem: str, *, whole: bool) -> SwitchPort:
    """A port as it is; unless it is asked for as a whole, only what is ours to set of one that was adopted."""
    return SwitchPort(
        bridge=bridge,
        name=row.name,
        kind=interface.type if whole else "",
        tag=row.tag[0] if row.tag else None,
        vlan_mode=row.vlan_mode[0] if row.vlan_mode else "",
        trunks=tuple(sorted(row.trunks)),
        options=_pairs(interface.options) if whole else (),
        external_ids=_pairs(interface.external_ids) if whole else (),
        other_config=_pairs(row.other_config),
        error=problem,
    )


def _set(row: Row, **columns: object) -> None:
    """Write the columns that differ; a new row has none yet."""
    for column, value in columns.items():
        if getattr(row, column, None) != value:
            setattr(row, column, value)


def _put_bridge(change: Transaction, bridge: Bridge) -> None:
    row = change.bridges.get(bridge.name)
    if row is None:
        row = change.insert_bridge(bridge.name)
        row.external_ids = {MARK: MADE}
        row.other_config = {"mac-table-size": "50000"}
    elif MARK not in row.external_ids:
        row.setkey("external_ids", MARK, ADOPTED)
    # Secure from its first moment: bridges that learn and flood before their flows are in can make a loop.
    _set(row, datapath_type=bridge.datapath_type, fail_mode=["secure"])


def _put_port(change: Transaction, port: SwitchPort) -> None:
    row = change.ports.get(port.name)
    if row is None:
        row = change.insert_port(port.bridge, port.name)
        row.external_ids = {MARK: MADE}
    elif MARK not in row.external_ids:
        # A tunnel or patch port is told whole by the plan, so a predecessor's is taken over.
        row.setkey("external_ids", MARK, MADE if port.kind else ADOPTED)
    change.move_port(port.name, port.bridge)
    vlan_mode = [port.vlan_mode] if port.vlan_mode else []
    tag = [] if port.tag is None else [port.tag]
    _set(row, tag=tag, vlan_mode=vlan_mode, trunks=list(port.trunks), other_config=dict(port.other_config))
    if _is_made(row):
        ids = dict(port.external_ids)
        _set(row.interfaces[0], type=port.kind, options=dict(port.options), external_ids=ids)


def _drop_port(change: Transaction, name: str) -> str:
    """Returns why it must stay, or ""."""
    if name not in change.ports:
        return ""
    row = change.ports[name]
    mark = row.external_ids.get(MARK)
    if mark == MADE:
        change.remove_port(name)
    elif mark == ADOPTED:
        row.delkey("external_ids", MARK)
        _set(row, tag=[], vlan_mode=[], trunks=[], other_config={})
    return ""


def _drop_bridge(change: Transaction, name: str) -> str:
    """Returns why it must stay, or ""."""
    if name not in change.bridges:
        return ""
    row = change.bridges[name]
    mark = row.external_ids.get(MARK)
    others = [str(port.name) for port in row.ports if not _is_made(port) and port.name != name]
    if mark == MADE and others:
        return f"others have ports on it: {', '.join(sorted(others))}"
    if mark == MADE:
        change.remove_bridge(name)
    elif mark == ADOPTED:
        row.delkey("external_ids", MARK)
    return ""
