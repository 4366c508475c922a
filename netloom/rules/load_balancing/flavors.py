"""Flavors of load balancers: what whoever makes one may choose of how it is carried.

What there is to choose is on how many hosts it lives, as in Octavia's own provider.
"""

import json
import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import NotFound
from netloom.model.fields import Resource
from netloom.model.lb_flavors import FLAVOR, FLAVOR_PROFILE
from netloom.rules.load_balancing import reading
from netloom.rules.load_balancing.errors import (
    DisabledOption,
    InvalidOption,
    ObjectInUse,
    ProviderUnsupportedOptionError,
    RecordAlreadyExists,
    ValidationException,
)
from netloom.rules.query import Query, page, table_of
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import FLAVOR_PROFILES, FLAVORS, LOADBALANCERS

View = dict[str, Any]
TOPOLOGY = "loadbalancer_topology"
HIGHLY_AVAILABLE = {"SINGLE": False, "ACTIVE_STANDBY": True}
CAPABILITIES = {TOPOLOGY: "On how many hosts it lives. SINGLE: on one. ACTIVE_STANDBY: on two of which one is active."}
"""What a flavor may say, and what it means."""
PROVIDERS = {
    "haproxy": "HAProxy on the hosts of this cloud.",
    "octavia": "The same under the name that Octavia gives to its own provider.",
    "amphora": "The same under another name of that provider.",
}


def find(tx: Tx, resource: Resource, query: Query) -> list[View]:
    """The flavors or profiles that a query asks for. Raises LoadBalancerNotFound when the marker is not there."""
    columns = {item.name: table_of(resource).c[item.column] for item in resource.stored}
    try:
        return page(tx, resource, columns, sa.true(), query)
    except NotFound:
        raise reading.not_found(resource, str(query.marker)) from None


def get(tx: Tx, resource: Resource, key: str, lock: bool = False) -> View:
    """A flavor or a profile; with ``lock`` nobody else changes it meanwhile. Raises LoadBalancerNotFound."""
    table = table_of(resource)
    wanted = sa.select(table).where(table.c.id == key)
    found = tx.row(wanted.with_for_update(key_share=True) if lock else wanted)
    if found is None:
        raise reading.not_found(resource, key)
    return found


def create_profile(tx: Tx, body: View) -> View:
    """Say what flavors can be. Raises InvalidOption, ValidationException, ProviderUnsupportedOptionError."""
    _check(body)
    return _insert(tx, FLAVOR_PROFILE, body)


def update_profile(tx: Tx, current: View, changes: View) -> View:
    """Change a profile; what flavors are that have it stays. Raises as ``create_profile``, ObjectInUse."""
    _check(current | changes)
    if any(changes.get(name, current[name]) != current[name] for name in ("provider_name", "flavor_data")):
        _require_unused(tx, FLAVOR_PROFILE, current["id"], FLAVORS.c.flavor_profile_id)
    return _change(tx, FLAVOR_PROFILE, current, changes)


def delete_profile(tx: Tx, current: View) -> None:
    """Remove a profile. Raises ObjectInUse."""
    _require_unused(tx, FLAVOR_PROFILE, current["id"], FLAVORS.c.flavor_profile_id)
    tx.execute(FLAVOR_PROFILES.delete().where(FLAVOR_PROFILES.c.id == current["id"]))


def create_flavor(tx: Tx, body: View) -> View:
    """Offer what a profile says under a name. Raises LoadBalancerNotFound, RecordAlreadyExists."""
    get(tx, FLAVOR_PROFILE, body["flavor_profile_id"], lock=True)
    _require_name(tx, body["name"])
    return _insert(tx, FLAVOR, body)


def update_flavor(tx: Tx, current: View, changes: View) -> View:
    """Change a flavor's name, its description, or whether it is offered. Raises RecordAlreadyExists."""
    if changes.get("name", current["name"]) != current["name"]:
        _require_name(tx, changes["name"])
    return _change(tx, FLAVOR, current, changes)


def delete_flavor(tx: Tx, current: View) -> None:
    """Remove a flavor. Raises ObjectInUse."""
    _require_unused(tx, FLAVOR, current["id"], LOADBALANCERS.c.flavor_id)
    tx.execute(FLAVORS.delete().where(FLAVORS.c.id == current["id"]))


def chosen(tx: Tx, body: Mapping[str, Any], ha: bool) -> tuple[str, bool]:
    """The provider of a new load balancer, and whether two hosts are to carry it; ``ha`` where it does not say.

    Raises: InvalidOption, ValidationException, DisabledOption.
    """
    provider = body.get("provider")
    if provider not in (None, *PROVIDERS):
        raise InvalidOption(value=provider, option="provider")
    if not body.get("flavor_id"):
        return provider or next(iter(PROVIDERS)), ha
    joined = FLAVORS.join(FLAVOR_PROFILES, FLAVOR_PROFILES.c.id == FLAVORS.c.flavor_profile_id)
    columns = (FLAVORS.c.enabled, FLAVOR_PROFILES.c.provider_name, FLAVOR_PROFILES.c.flavor_data)
    wanted = sa.select(*columns).select_from(joined).where(FLAVORS.c.id == body["flavor_id"])
    found = tx.row(wanted.with_for_update(of=FLAVORS, read=True))
    if found is None:
        raise ValidationException(detail="Invalid flavor_id.")
    if not found["enabled"]:
        raise DisabledOption(option="flavor", value=body["flavor_id"])
    if provider not in (None, found["provider_name"]):
        raise ValidationException(
            detail=f"Flavor '{body['flavor_id']}' is not compatible with provider '{provider}'",
        )
    return found["provider_name"], HIGHLY_AVAILABLE.get(json.loads(found["flavor_data"]).get(TOPOLOGY), ha)


def _check(profile: View) -> None:
    provider = profile["provider_name"]
    if provider not in PROVIDERS:
        raise InvalidOption(value=provider, option="provider_name")
    try:
        data = json.loads(profile["flavor_data"])
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise ValidationException(detail="flavor_data must be a JSON object")
    if unknown := sorted(data.keys() - CAPABILITIES.keys()):
        raise ProviderUnsupportedOptionError(provider=provider, option=unknown[0])
    if data and data[TOPOLOGY] not in tuple(HIGHLY_AVAILABLE):
        raise ValidationException(detail=f"{TOPOLOGY} must be one of {', '.join(HIGHLY_AVAILABLE)}")


def _require_name(tx: Tx, name: str) -> None:
    tx.alone("names of flavors")
    if tx.row(sa.select(FLAVORS.c.id).where(FLAVORS.c.name == name)):
        raise RecordAlreadyExists(field="name")


def _require_unused(tx: Tx, resource: Resource, key: str, reference: sa.Column[Any]) -> None:
    if tx.row(sa.select(reference).where(reference == key).limit(1)):
        raise ObjectInUse(object=resource.label, id=key)


def _insert(tx: Tx, resource: Resource, body: View) -> View:
    row = {"id": str(uuid.uuid4())} | {name: body[name] for name in resource.by_name if name in body}
    tx.execute(table_of(resource).insert(), row)
    return row


def _change(tx: Tx, resource: Resource, current: View, changes: View) -> View:
    table = table_of(resource)
    if changes:
        tx.execute(table.update().where(table.c.id == current["id"]).values(changes))
    return current | changes
