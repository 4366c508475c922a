"""Trunks.

Who changes a trunk's sub-ports holds the trunk's row first, then the rows of the ports.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.model.errors import Conflict, InvalidInput, NotFound
from netloom.model.kinds import Invalid
from netloom.model.ports import PORT
from netloom.model.trunks import TRUNK
from netloom.rules import quotas, reading, standard, trunk_ports
from netloom.rules.context import Context
from netloom.rules.trunk_checks import check_parent, checked, locked
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import SUB_PORTS, TAGS, TRUNKS

View = dict[str, Any]


class DuplicateSubPort(Conflict):
    """The trunk has the tag."""

    message = (
        "segmentation_type {segmentation_type} and segmentation_id {segmentation_id} already in use on trunk "
        "{trunk_id}."
    )


class SubPortNotFound(NotFound):
    """The port is not behind the trunk."""

    message = "SubPort on trunk {trunk_id} with parent port {port_id} could not be found."


class TrunkInUse(Conflict):
    """The parent port is bound to a host."""

    message = "Trunk {trunk_id} is currently in use."


class TrunkDisabled(Conflict):
    """The trunk is administratively down: its ports stay as they are."""

    message = "Trunk {trunk_id} is currently disabled."


class TrunkInErrorState(Conflict):
    """Something of the trunk cannot be wired: first that."""

    message = "Trunk {trunk_id} is in error state. Attempt to resolve the error condition before proceeding."


def create(tx: Tx, context: Context, bodies: list[View]) -> list[View]:
    """Make a trunk of ports that nothing uses.

    Raises: OverQuota, PortNotFound, TrunkPortInUse, ParentPortInUse, and what ``add_subports`` raises.
    """
    made = []
    for body in bodies:  # trunks do not come in bulk
        quotas.check(tx, context, "trunk", body["project_id"], 1)
        row = standard.new_row(tx, TRUNK, body)
        wanted = body["sub_ports"]
        parent, *found = locked(tx, context, [body["port_id"], *(sub["port_id"] for sub in wanted)])
        check_parent(tx, parent)
        subs = checked(tx, parent, wanted, found)
        tx.execute(TRUNKS.insert(), row)
        tx.changed("port", parent["id"])
        _add(tx, context, row["id"], parent, subs)
        made.append(row["id"])
    return reading.by_ids(tx, context, TRUNK, made)


def update(tx: Tx, context: Context, current: View, changes: View) -> View:
    """Change name, description or administrative state."""
    standard.update_row(tx, TRUNK, current, changes)
    return reading.by_ids(tx, context, TRUNK, [current["id"]])[0]


def delete(tx: Tx, context: Context, current: View) -> None:
    """Remove a trunk; its ports are free then. Raises TrunkDisabled, TrunkInUse."""
    trunk_id = current["id"]
    _check_enabled(current)
    parent = _parent(tx, context, current)
    if parent["binding:host_id"]:
        raise TrunkInUse(trunk_id=trunk_id)
    tx.execute(TAGS.delete().where(TAGS.c.resource_id == trunk_id))
    tx.execute(TRUNKS.delete().where(TRUNKS.c.id == trunk_id))
    trunk_ports.leave(tx, context, [sub["port_id"] for sub in current["sub_ports"]])
    tx.changed("trunk", trunk_id)
    tx.changed("port", parent["id"])


def add_subports(tx: Tx, context: Context, current: View, body: Mapping[str, Any]) -> View:
    """Put more ports behind a trunk; the number of statements does not depend on how many.

    Raises: InvalidInput, PortNotFound, ParentPortInUse, TrunkPortInUse, PortInUse, SubPortMtuGreaterThanTrunkPortMtu,
    TrunkDisabled, TrunkInErrorState, DuplicateSubPort.
    """
    wanted = _named(body)
    found = locked(tx, context, [sub["port_id"] for sub in wanted])
    parent = _parent(tx, context, current)
    subs = checked(tx, parent, wanted, found)
    _check_enabled(current)
    if current["status"] == "ERROR":
        raise TrunkInErrorState(trunk_id=current["id"])
    _add(tx, context, current["id"], parent, subs, current["sub_ports"])
    return _rewired(tx, context, current) if subs else current


def remove_subports(tx: Tx, context: Context, current: View, body: Mapping[str, Any]) -> View:
    """Take ports from behind a trunk; they are free then. Raises InvalidInput, TrunkDisabled, SubPortNotFound."""
    wanted = [sub["port_id"] for sub in _named(body)]
    _check_enabled(current)
    held = {sub["port_id"] for sub in current["sub_ports"]}
    for port_id in wanted:
        if port_id not in held:
            raise SubPortNotFound(trunk_id=current["id"], port_id=port_id)
    tx.execute(SUB_PORTS.delete().where(among(tx, SUB_PORTS.c.port_id, wanted)))
    trunk_ports.leave(tx, context, wanted)
    return _rewired(tx, context, current) if wanted else current


def get_subports(current: View) -> View:
    """The ports behind a trunk."""
    return {"sub_ports": current["sub_ports"]}


def _named(body: Mapping[str, Any]) -> list[View]:
    """The sub-ports that the body of an action names: ``{"sub_ports": […]}``."""
    try:
        named: list[View] = TRUNK.by_name["sub_ports"].kind.parse(body.get("sub_ports"))
    except Invalid as error:
        raise InvalidInput(error_message=f"Invalid data for sub_ports: {error}") from None
    return named


def _parent(tx: Tx, context: Context, trunk: View) -> View:
    """The parent port as it is now: whoever binds it elsewhere waits for the trunk, see ``trunk_ports.follow``."""
    return reading.by_ids(tx, context, PORT, [trunk["port_id"]], fields=frozenset())[0]


def _check_enabled(trunk: View) -> None:
    if not trunk["admin_state_up"]:
        raise TrunkDisabled(trunk_id=trunk["id"])


def _add(
    tx: Tx, context: Context, trunk_id: str, parent: View, subs: Sequence[View], held: Sequence[View] = ()
) -> None:
    """Store sub-ports beside those that the trunk has, and bind them to the parent's host. Raises DuplicateSubPort."""
    used = {(sub["segmentation_type"], sub["segmentation_id"]) for sub in held}
    for sub in subs:
        if (key := (sub["segmentation_type"], sub["segmentation_id"])) in used:
            raise DuplicateSubPort(segmentation_type=key[0], segmentation_id=key[1], trunk_id=trunk_id)
        used.add(key)
    if subs:
        tx.execute(SUB_PORTS.insert(), [sub | {"trunk_id": trunk_id} for sub in subs])
        ids = [sub["port_id"] for sub in subs]
        trunk_ports.join(tx, context, trunk_id, parent["binding:host_id"], ids)


def _rewired(tx: Tx, context: Context, trunk: View) -> View:
    """A trunk after a change of its sub-ports. Its host has not heard of that yet, so it is not what it is to be."""
    standard.revise(tx, TRUNKS, [trunk["id"]])
    tx.changed("trunk", trunk["id"])
    view = reading.by_ids(tx, context, TRUNK, [trunk["id"]])[0]
    return view if view["status"] == "ERROR" else view | {"status": "DOWN"}
