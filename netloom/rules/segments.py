"""Provider segments: on which physical network, and under which VLAN or tunnel id, a network's frames travel."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netloom.model.errors import Conflict, InvalidInput, ServiceUnavailable
from netloom.settings.network import NetworkSettings
from netloom.store.allocation import Attempt, Space, insert_new, take
from netloom.store.database import Tx
from netloom.store.tables.network import SEGMENT_ALLOCATIONS

TUNNELS = {"vxlan": 2**24 - 1, "gre": 2**32 - 1, "geneve": 2**24 - 1}
"""Overlay types and their largest id."""
VLANS = (1, 4094)
PROVIDER = ("provider:network_type", "provider:physical_network", "provider:segmentation_id")


class FlatNetworkInUse(Conflict):
    """The physical network has its flat network."""

    message = "Unable to create the flat network. Physical network {physical_network} is in use."


class VlanIdInUse(Conflict):
    """The VLAN is taken."""

    message = "Unable to create the network. The VLAN {id} on physical network {physical_network} is in use."


class TunnelIdInUse(Conflict):
    """The tunnel id is taken."""

    message = "Unable to create the network. The tunnel ID {id} is in use."


class NoNetworkAvailable(ServiceUnavailable):
    """All ids of the ranges are taken."""

    message = "Unable to create the network. No available network found in maximum allowed attempts."


@dataclass(frozen=True, slots=True)
class Segment:
    """Where a network's frames travel. ``segmentation_id`` None: the type has none, or any free one will do."""

    network_type: str
    physical_network: str | None = None
    segmentation_id: int | None = None


def requested(settings: NetworkSettings, body: Mapping[str, Any]) -> list[Segment]:
    """The segments that would do for a network, the preferred one first. Raises InvalidInput."""
    kind, physical, number = (body.get(name) for name in PROVIDER)
    if kind is None:
        if physical is not None or number is not None:
            raise InvalidInput(error_message="network_type required")
        kinds = list(settings.tenant_network_types)
        if body.get("router:external") and settings.external_network_type:
            # A flat external network is there once for each physical network; further ones are as projects' own.
            kinds.insert(0, settings.external_network_type)
        return [segment for name in dict.fromkeys(kinds) for segment in _tenant_segments(settings, name)]
    if kind not in settings.type_drivers or kind not in CHECKS:
        raise InvalidInput(error_message=f"network_type value '{kind}' not supported")
    segment = Segment(kind, physical or None, number)
    CHECKS[kind](settings, segment)
    if kind == "vlan" and physical is None:
        return _tenant_segments(settings, kind)
    return [segment]


def allocate(tx: Tx, settings: NetworkSettings, wanted: Sequence[tuple[str, Sequence[Segment]]]) -> list[Segment]:
    """Take a segment for each network: pairs of its id and the segments that would do.

    Raises FlatNetworkInUse, VlanIdInUse or TunnelIdInUse when what was asked for is taken, NoNetworkAvailable when
    all ids are.
    """
    segments: list[Segment | None] = [_fixed(choices) for _, choices in wanted]
    _store_fixed(tx, [(wanted[i][0], segment) for i, segment in enumerate(segments) if segment is not None])
    waiting = [index for index, segment in enumerate(segments) if segment is None]
    spaces = {choice: _space(settings, choice) for index in waiting for choice in wanted[index][1]}
    by_key = {space.key: choice for choice, space in spaces.items()}

    def insert(attempts: list[Attempt]) -> set[int]:
        rows = {_key(by_key[space.key], number): index for index, space, number in attempts}
        networks = {key: wanted[waiting[index]][0] for key, index in rows.items()}
        return {rows[key] for key in _insert(tx, networks)}

    found = take(tx, [[spaces[choice] for choice in wanted[index][1]] for index in waiting], insert)
    for index, place in zip(waiting, found, strict=True):
        if place is None:
            raise NoNetworkAvailable()
        choice = by_key[place[0].key]
        segments[index] = Segment(choice.network_type, choice.physical_network, place[1] or None)
    return [segment for segment in segments if segment is not None]


def renumber(tx: Tx, network_id: str, segment: Segment) -> None:
    """Move a network to another VLAN of its physical network. Raises VlanIdInUse."""
    tx.execute(SEGMENT_ALLOCATIONS.delete().where(SEGMENT_ALLOCATIONS.c.network_id == network_id))
    _store_fixed(tx, [(network_id, segment)])


Key = tuple[str, str, int]


def _key(segment: Segment, number: int) -> Key:
    return segment.network_type, segment.physical_network or "", number


def _insert(tx: Tx, networks: Mapping[Key, str]) -> set[Key]:
    names = ("network_type", "physical_network", "segmentation_id")
    rows = [dict(zip(names, key, strict=True)) | {"network_id": network} for key, network in networks.items()]
    return {(row[0], row[1], row[2]) for row in insert_new(tx, SEGMENT_ALLOCATIONS, rows, *names)}


def _fixed(choices: Sequence[Segment]) -> Segment | None:
    """The segment when there is nothing to choose."""
    if len(choices) == 1 and (choices[0].segmentation_id is not None or choices[0].network_type in ("flat", "local")):
        return choices[0]
    return None


def _store_fixed(tx: Tx, wanted: Sequence[tuple[str, Segment]]) -> None:
    keys: dict[Key, str] = {}
    for network_id, segment in wanted:
        if segment.network_type == "local":
            continue
        key = _key(segment, segment.segmentation_id or 0)
        if key in keys:
            raise _taken(key)
        keys[key] = network_id
    for key in sorted(keys.keys() - _insert(tx, keys)):
        raise _taken(key)


def _taken(key: Key) -> Conflict:
    kind, physical, number = key
    if kind == "flat":
        return FlatNetworkInUse(physical_network=physical)
    if kind == "vlan":
        return VlanIdInUse(id=number, physical_network=physical)
    return TunnelIdInUse(id=number)


def _tenant_segments(settings: NetworkSettings, kind: str) -> list[Segment]:
    if kind == "vlan":
        return [Segment("vlan", physical) for physical, ranges in settings.vlan_ranges.items() if ranges]
    if kind == "flat":
        return [Segment("flat", physical) for physical in settings.flat_networks if physical != "*"]
    return [Segment(kind)]


def _space(settings: NetworkSettings, segment: Segment) -> Space:
    table = SEGMENT_ALLOCATIONS.c
    physical = segment.physical_network or ""
    ranges = {
        "flat": ((0, 0),),
        "vlan": settings.vlan_ranges.get(physical, ()),
        "vxlan": settings.vni_ranges,
        "gre": settings.tunnel_id_ranges,
        "geneve": settings.geneve_vni_ranges,
    }.get(segment.network_type, ())
    return Space(
        key=f"segment {segment.network_type} {physical}",
        column=table.segmentation_id,
        scope=((table.network_type, segment.network_type), (table.physical_network, physical)),
        ranges=tuple(ranges),
    )


def _check_local(_settings: NetworkSettings, segment: Segment) -> None:
    if segment.physical_network is not None or segment.segmentation_id is not None:
        raise InvalidInput(error_message="physical_network and segmentation_id are not allowed for local networks")


def _check_flat(settings: NetworkSettings, segment: Segment) -> None:
    if segment.physical_network is None:
        raise InvalidInput(error_message="physical_network required for flat provider network")
    if "*" not in settings.flat_networks and segment.physical_network not in settings.flat_networks:
        raise InvalidInput(error_message=f"physical_network '{segment.physical_network}' unknown for flat networks")
    if segment.segmentation_id is not None:
        raise InvalidInput(error_message="segmentation_id is not allowed for flat provider network")


def _check_vlan(settings: NetworkSettings, segment: Segment) -> None:
    number, physical = segment.segmentation_id, segment.physical_network
    if physical is not None and physical not in settings.vlan_ranges:
        raise InvalidInput(error_message=f"physical_network '{physical}' unknown for VLAN provider network")
    if number is not None and physical is None:
        raise InvalidInput(error_message="segmentation_id requires physical_network for VLAN provider network")
    if number is not None and not VLANS[0] <= number <= VLANS[1]:
        raise InvalidInput(error_message=f"segmentation_id out of range ({VLANS[0]} through {VLANS[1]})")
    if physical is not None and number is None and not settings.vlan_ranges[physical]:
        raise InvalidInput(error_message=f"segmentation_id required: '{physical}' has no VLANs to choose from")


def _check_tunnel(_settings: NetworkSettings, segment: Segment) -> None:
    if segment.physical_network is not None:
        raise InvalidInput(error_message=f"provider:physical_network specified for {segment.network_type} network")
    most = TUNNELS[segment.network_type]
    if segment.segmentation_id is not None and not 1 <= segment.segmentation_id <= most:
        raise InvalidInput(error_message=f"segmentation_id out of range (1 through {most})")


CHECKS: Mapping[str, Callable[[NetworkSettings, Segment], None]] = {
    "local": _check_local,
    "flat": _check_flat,
    "vlan": _check_vlan,
    **dict.fromkeys(TUNNELS, _check_tunnel),
}
