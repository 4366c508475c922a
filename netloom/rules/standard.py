"""The standard attributes: ids, timestamps and revisions, kept the same way for every family.

A revision grows by exactly one in a transaction in which the object or something that belongs to it changed;
what is made in the transaction stays at its first revision.
"""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from netloom.model.fields import Missing, Resource
from netloom.rules.query import table_of
from netloom.store.among import among
from netloom.store.database import Tx


def parsed_body(resource: Resource, **values: Any) -> dict[str, Any]:
    """A body as requests have it once they are parsed, for what the rules make themselves; nobody's unless told."""
    defaults = {item.name: item.default for item in resource.fields if not isinstance(item.default, Missing)}
    return defaults | {"project_id": ""} | values


def stamp(tx: Tx, table: sa.Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """A new row of ``table``: ``values`` by column, with an id unless given, timestamps, and revision 1."""
    row = {"id": str(uuid.uuid4()), **values}
    for name in ("created_at", "updated_at"):
        if name in table.c:
            row[name] = tx.timestamp
    if "revision_number" in table.c:
        row["revision_number"] = 1
    tx.revised.add((table.name, row["id"]))
    return row


def new_row(tx: Tx, resource: Resource, body: Mapping[str, Any], **computed: Any) -> dict[str, Any]:
    """A new row from a request's body (wire names) and what the rules computed (column names)."""
    stored = {item.column: body[item.name] for item in resource.stored if item.name in body}
    return stamp(tx, table_of(resource), stored | computed)


def revise(tx: Tx, table: sa.Table, ids: Iterable[str]) -> None:
    """Bump the revision of these rows, those that this transaction bumped or made already excepted."""
    fresh = sorted({(table.name, key) for key in ids} - tx.revised)
    if not fresh:
        return
    tx.revised.update(fresh)
    values: dict[str, Any] = {"revision_number": table.c.revision_number + 1, "updated_at": tx.timestamp}
    tx.execute(table.update().where(among(tx, table.c.id, [key for _, key in fresh])).values(values))


def update_row(
    tx: Tx, resource: Resource, current: Mapping[str, Any], changes: Mapping[str, Any], **computed: Any
) -> set[str]:
    """Write what differs from ``current`` and bump the revision if anything does.

    ``changes`` go by wire names, unstored ones are passed over; ``computed`` go by column names and are compared
    with the attribute of that column, or taken as different when there is none. Returns the wire names (or column
    names of undeclared columns) that changed.
    """
    table = table_of(resource)
    wire = {item.column: item.name for item in resource.stored}
    wanted = {item.column: changes[item.name] for item in resource.stored if item.name in changes} | computed
    values = {
        column: value
        for column, value in wanted.items()
        if column not in wire or _plain(current.get(wire[column])) != _plain(value)
    }
    if values:
        tx.execute(table.update().where(table.c.id == current["id"]).values(values))
        if "revision_number" in table.c:
            revise(tx, table, [current["id"]])
    return {wire.get(column, column) for column in values}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
