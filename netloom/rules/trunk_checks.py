"""Which ports may make a trunk."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import Conflict, InvalidInput
from netloom.model.ports import PORT
from netloom.model.trunks import INHERIT, UNTAGGED, VLAN
from netloom.rules import ports, reading, router_interfaces
from netloom.rules.context import Context
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import NETWORKS, SUB_PORTS, TRUNKS

View = dict[str, Any]
TAGS = (1, 4094)
"""The VLAN ids that a sub-port can have (IEEE 802.1Q reserves 0 and 4095)."""


class TrunkPortInUse(Conflict):
    """The port belongs to a trunk."""

    message = "Port {port_id} is in use by another trunk."


class ParentPortInUse(Conflict):
    """The port is plugged already, or is to be behind itself."""

    message = "Port {port_id} is currently in use and is not eligible for use as a parent port."


class SubPortMtuGreaterThanTrunkPortMtu(Conflict):
    """What fits through the sub-port's network does not fit through the parent's."""

    message = "MTU {mtu} of subport {port_id} cannot be greater than MTU {trunk_mtu} of the trunk's port {trunk_port}."


def check_parent(tx: Tx, port: Mapping[str, Any]) -> None:
    """Refuse a port that cannot be the parent of a new trunk. Raises TrunkPortInUse, ParentPortInUse."""
    _check_untrunked(tx, [port])
    if port["device_id"] or port["binding:host_id"]:
        raise ParentPortInUse(port_id=port["id"])


def locked(tx: Tx, context: Context, port_ids: Sequence[str]) -> list[View]:
    """Ports that the caller may know of, in the order of the ids; they stay as they are until the transaction ends.

    Raises PortNotFound.
    """
    found = reading.by_ids(tx, context, PORT, port_ids, lock="change", scoped=True, fields=frozenset())
    if missing := set(port_ids) - {port["id"] for port in found}:
        raise reading.missing(PORT, min(missing))
    return found


def checked(
    tx: Tx, parent: Mapping[str, Any], wanted: Sequence[View], found: Sequence[Mapping[str, Any]]
) -> list[View]:
    """The rows of new sub-ports (``wanted``, of the ports ``found``) behind a parent, without the trunk; 2 statements.

    Raises: ParentPortInUse, TrunkPortInUse, PortInUse, SubPortMtuGreaterThanTrunkPortMtu, InvalidInput (no tag, or
    none that can be, or none to inherit).
    """
    for port in found:
        if port["id"] == parent["id"]:
            raise ParentPortInUse(port_id=port["id"])
    _check_untrunked(tx, found)
    networks = _networks(tx, [parent, *found])
    rows = []
    for sub, port in zip(wanted, found, strict=True):
        _check_unused(port)
        network, trunk_mtu = networks[port["network_id"]], networks[parent["network_id"]]["mtu"]
        if network["mtu"] > trunk_mtu:
            raise SubPortMtuGreaterThanTrunkPortMtu(
                mtu=network["mtu"], port_id=port["id"], trunk_mtu=trunk_mtu, trunk_port=parent["id"]
            )
        rows.append({"port_id": port["id"]} | _segmentation(sub, network))
    return rows


def _check_untrunked(tx: Tx, found: Sequence[Mapping[str, Any]]) -> None:
    ids = [port["id"] for port in found]
    parents = sa.select(TRUNKS.c.port_id).where(among(tx, TRUNKS.c.port_id, ids))
    behind = sa.select(SUB_PORTS.c.port_id).where(among(tx, SUB_PORTS.c.port_id, ids))
    for (port_id,) in tx.tuples(parents.union_all(behind).limit(1)):
        raise TrunkPortInUse(port_id=port_id)


def _check_unused(port: Mapping[str, Any]) -> None:
    if port["device_id"]:
        raise router_interfaces.PortInUse(port_id=port["id"], net_id=port["network_id"], device_id=port["device_id"])
    if port["binding:host_id"]:
        raise ports.PortInUse(port_id=port["id"], net_id=port["network_id"])


def _networks(tx: Tx, found: Sequence[Mapping[str, Any]]) -> dict[str, View]:
    table = NETWORKS.c
    columns = (table.id, table.mtu, table.provider_network_type, table.provider_segmentation_id)
    ids = {port["network_id"] for port in found}
    return {row["id"]: row for row in tx.rows(sa.select(*columns).where(among(tx, table.id, ids)))}


def _segmentation(sub: Mapping[str, Any], network: Mapping[str, Any]) -> View:
    """How a sub-port is told apart."""
    kind, tag = sub.get("segmentation_type"), sub.get("segmentation_id")
    if kind is None:
        raise InvalidInput(error_message=UNTAGGED.format(sub))
    if kind == INHERIT:
        kind, tag = network["provider_network_type"], network["provider_segmentation_id"]
    if kind != VLAN:
        raise InvalidInput(error_message=f"Unknown segmentation_type '{kind}' of subport {sub['port_id']}: use {VLAN}")
    if tag is None or not TAGS[0] <= tag <= TAGS[1]:
        raise InvalidInput(
            error_message=f"Invalid segmentation_id '{tag}' of subport {sub['port_id']}: not in {TAGS[0]} to {TAGS[1]}"
        )
    return {"segmentation_type": VLAN, "segmentation_id": tag}
