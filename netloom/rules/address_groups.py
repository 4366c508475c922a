"""Address groups: named lists of prefixes that security group rules refer to."""

import ipaddress
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import BadRequest, Conflict, HTTPBadRequest, NotFound
from netloom.model.security_groups import ADDRESS_GROUP
from netloom.rules import reading, standard
from netloom.rules.context import Context
from netloom.store.database import Tx
from netloom.store.tables.network import ADDRESS_GROUPS, RBAC_POLICIES, SECURITY_GROUP_RULES

Body = dict[str, Any]


class AddrFormatError(BadRequest):
    """Not a prefix."""

    message = "'{address}' is not a valid prefix: {reason}."


class AddressesAlreadyExist(BadRequest):
    """Addresses to add that are there."""

    message = "Addresses {addresses} already exist in the address group {address_group_id}."


class AddressesNotFound(NotFound):
    """Addresses to remove that are not there."""

    message = "Addresses {addresses} not found in the address group {address_group_id}."


class AddressGroupInUse(Conflict):
    """Rules refer to the group."""

    message = "Address group {address_group_id} is in use on one or more security group rules."


def create(tx: Tx, context: Context, bodies: list[Body]) -> list[Body]:
    """Make address groups. Raises AddrFormatError (a bare address, or no prefix at all)."""
    rows = []
    for body in bodies:
        prefixes = [_prefix(address, bare=False) for address in body.get("addresses") or ()]
        rows.append(standard.new_row(tx, ADDRESS_GROUP, body, addresses=list(dict.fromkeys(prefixes))))
    tx.execute(ADDRESS_GROUPS.insert(), rows)
    return reading.by_ids(tx, context, ADDRESS_GROUP, [row["id"] for row in rows])


def update(tx: Tx, context: Context, current: Body, changes: Body) -> Body:
    """Change name or description."""
    standard.update_row(tx, ADDRESS_GROUP, current, changes)
    return _view(tx, context, current)


def delete(tx: Tx, _context: Context, current: Body) -> None:
    """Remove an address group. Raises AddressGroupInUse when rules refer to it."""
    table, group_id = ADDRESS_GROUPS, current["id"]
    tx.execute(sa.select(table.c.id).where(table.c.id == group_id).with_for_update())
    rules = sa.select(SECURITY_GROUP_RULES.c.id).where(SECURITY_GROUP_RULES.c.remote_address_group_id == group_id)
    if tx.execute(rules.limit(1)).first() is not None:
        raise AddressGroupInUse(address_group_id=group_id)
    tx.execute(RBAC_POLICIES.delete().where(RBAC_POLICIES.c.object_id == group_id))
    tx.execute(table.delete().where(table.c.id == group_id))
    tx.changed("addresses", group_id)


def add_addresses(tx: Tx, context: Context, current: Body, body: Body) -> Body:
    """Add prefixes (a bare address stands for itself alone).

    Raises: HTTPBadRequest, AddrFormatError, AddressesAlreadyExist.
    """
    wanted, present = _addresses(body), _locked(tx, current)
    if known := [prefix for prefix in wanted if prefix in present]:
        raise AddressesAlreadyExist(addresses=known, address_group_id=current["id"])
    return _store(tx, context, current | {"addresses": present}, present + wanted)


def remove_addresses(tx: Tx, context: Context, current: Body, body: Body) -> Body:
    """Remove prefixes.

    Raises: HTTPBadRequest, AddrFormatError, AddressesNotFound.
    """
    wanted, present = _addresses(body), _locked(tx, current)
    if unknown := [prefix for prefix in wanted if prefix not in present]:
        raise AddressesNotFound(addresses=unknown, address_group_id=current["id"])
    left = [prefix for prefix in present if prefix not in wanted]
    return _store(tx, context, current | {"addresses": present}, left)


def _locked(tx: Tx, current: Body) -> list[str]:
    """The present addresses; another change waits until this transaction ends."""
    statement = sa.select(ADDRESS_GROUPS.c.addresses).where(ADDRESS_GROUPS.c.id == current["id"])
    return list(tx.execute(statement.with_for_update()).scalar() or ())


def _store(tx: Tx, context: Context, current: Body, addresses: list[str]) -> Body:
    if standard.update_row(tx, ADDRESS_GROUP, current, {"addresses": addresses}):
        tx.changed("addresses", current["id"])
    return {"address_group": _view(tx, context, current)}


def _view(tx: Tx, context: Context, current: Body) -> Body:
    return reading.by_ids(tx, context, ADDRESS_GROUP, [current["id"]])[0]


def _addresses(body: Mapping[str, Any]) -> list[str]:
    """The prefixes of an action's body, each once: ``{"addresses": […]}``, also inside ``{"address_group": …}``."""
    inner = body.get("address_group", body)
    given = inner.get("addresses") if isinstance(inner, Mapping) else None
    if not isinstance(given, list):
        raise HTTPBadRequest("Invalid input for addresses. Reason: expected a list of prefixes under 'addresses'.")
    return list(dict.fromkeys(_prefix(address, bare=True) for address in given))


def _prefix(address: Any, bare: bool) -> str:
    """The canonical form of a prefix, without host bits; an address is one only when ``bare`` ones may come."""
    if not isinstance(address, str) or not (bare or "/" in address):
        raise AddrFormatError(address=address, reason="expected address/length")
    try:
        return str(ipaddress.ip_network(address, strict=False))
    except ValueError as error:
        raise AddrFormatError(address=address, reason=error) from None
