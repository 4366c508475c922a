"""Quotas: how many objects of each kind a project may have.

Limits are by the names of the declarations (``network``, ``port``, …) and ``router_route``, the routes of one
router. -1 means no limit.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from netloom.model import lbaas_v1
from netloom.model.errors import BadRequest, HTTPBadRequest, NotFound, OverQuota
from netloom.model.kinds import Boolean, Integer, Invalid
from netloom.model.resources import RESOURCES
from netloom.rules.context import Context
from netloom.rules.query import table_of
from netloom.store.database import Tx
from netloom.store.tables.network import QUOTAS, ROUTERS

COUNTED = {resource.name: resource for resource in (*RESOURCES, *lbaas_v1.RESOURCES) if resource.quota is not None}
ROUTER_ROUTE = "router_route"
OWN = ~QUOTAS.c.resource.startswith("octavia:")
"""Limits of this API: load balancing keeps its own beside them."""
LIMIT = Integer(least=-1, most=2**31 - 1)


class TenantQuotaNotFound(NotFound):
    """The project has no quotas of its own."""

    message = "Quota for tenant {tenant_id} could not be found."


class QuotaBelowUse(BadRequest):
    """A limit below what the project uses already."""

    message = "Quota limit {limit} of {resource} is below what is in use ({used}); set force to have it nevertheless."


def defaults(context: Context) -> dict[str, int]:
    """The limits of a project that has none of its own."""
    declared = {name: resource.quota for name, resource in COUNTED.items() if resource.quota is not None}
    return declared | {ROUTER_ROUTE: context.settings.max_routes} | dict(context.settings.quotas)


def check(tx: Tx, context: Context, resource: str, project_id: str, count: int) -> None:
    """Refuse ``count`` more objects when they do not fit; 2 statements.

    On PostgreSQL, requests of a project for the same kind take turns from here to their end: none counts while
    another's objects are on their way.

    Raises:
        OverQuota: the limit would be exceeded.
    """
    if not project_id:
        return
    limit = _limit_locked(tx, context, resource, project_id)
    if limit >= 0 and tx.execute(sa.select(_used(resource, project_id))).scalar_one() + count > limit:
        raise OverQuota(overs=[resource])


def check_routes(tx: Tx, context: Context, project_id: str, count: int) -> None:
    """Refuse a router with ``count`` routes when that is too many. Raises OverQuota."""
    if 0 <= effective(tx, context, project_id)[ROUTER_ROUTE] < count:
        raise OverQuota(overs=[ROUTER_ROUTE])


def effective(tx: Tx, context: Context, project_id: str) -> dict[str, int]:
    """The limits of a project by resource."""
    own = tx.execute(sa.select(QUOTAS.c.resource, QUOTAS.c.limit).where(QUOTAS.c.project_id == project_id, OWN))
    return defaults(context) | {row.resource: row.limit for row in own}


def details(tx: Tx, context: Context, project_id: str) -> dict[str, dict[str, int]]:
    """Limit and use by resource; nothing is ever reserved: objects count from the moment of their transaction."""
    used = _all_used(tx, project_id)
    return {
        name: {"limit": limit, "used": used.get(name, 0), "reserved": 0}
        for name, limit in effective(tx, context, project_id).items()
    }


def listing(tx: Tx, context: Context) -> list[dict[str, Any]]:
    """The projects that have limits of their own, with all their limits; nothing for others than administrators."""
    if not context.is_admin:
        return []
    projects: dict[str, dict[str, Any]] = {}
    for row in tx.execute(sa.select(QUOTAS).where(OWN).order_by(QUOTAS.c.project_id)):
        owner = {"project_id": row.project_id, "tenant_id": row.project_id}
        projects.setdefault(row.project_id, defaults(context) | owner)[row.resource] = row.limit
    return list(projects.values())


def update(tx: Tx, context: Context, project_id: str, body: Mapping[str, Any]) -> dict[str, int]:
    """Set limits of a project, and give all its limits.

    Raises:
        HTTPBadRequest: an unknown name, or no number of at least -1.
        QuotaBelowUse: less than is in use, without ``force``.
    """
    limits, force = _parse(context, body)
    used = {} if force else _all_used(tx, project_id)
    for name, limit in limits.items():
        if 0 <= limit < used.get(name, 0):
            raise QuotaBelowUse(limit=limit, resource=name, used=used[name])
    if limits:
        own = QUOTAS.c.project_id == project_id
        tx.execute(QUOTAS.delete().where(own, QUOTAS.c.resource.in_(limits)))
        rows = [{"project_id": project_id, "resource": name, "limit": limit} for name, limit in limits.items()]
        tx.execute(QUOTAS.insert(), rows)
    return effective(tx, context, project_id)


def delete(tx: Tx, project_id: str) -> None:
    """Give a project the default limits again. Raises TenantQuotaNotFound when it has none of its own."""
    if tx.execute(QUOTAS.delete().where(QUOTAS.c.project_id == project_id, OWN)).rowcount == 0:
        raise TenantQuotaNotFound(tenant_id=project_id)


def _limit_locked(tx: Tx, context: Context, resource: str, project_id: str) -> int:
    default = defaults(context)[resource]
    own = sa.select(QUOTAS.c.limit).where(QUOTAS.c.project_id == project_id, QUOTAS.c.resource == resource)
    limit = sa.func.coalesce(own.scalar_subquery(), default)
    if not tx.postgresql:
        return int(tx.execute(sa.select(limit)).scalar_one())
    found = sa.select(limit.label("limit")).subquery()
    key = sa.func.hashtextextended(f"quota {resource} {project_id}", 0)
    lock = sa.case((found.c.limit >= 0, sa.cast(sa.func.pg_advisory_xact_lock(key), sa.Text)))
    return int(tx.execute(sa.select(found.c.limit, lock)).one().limit)


def _used(resource: str, project_id: str) -> sa.ScalarSelect[Any]:
    table = table_of(COUNTED[resource])
    counted = sa.select(sa.func.count()).select_from(table).where(table.c.project_id == project_id)
    if COUNTED[resource] in lbaas_v1.RESOURCES:  # Octavia's are in the same tables
        counted = counted.where(table.c.api == 1)
    return counted.scalar_subquery()


def _all_used(tx: Tx, project_id: str) -> dict[str, int]:
    """What a project uses, by resource; 1 statement."""
    routes = sa.select(sa.func.coalesce(sa.func.max(sa.func.json_array_length(ROUTERS.c.routes)), 0)).where(
        ROUTERS.c.project_id == project_id
    )
    columns = [_used(name, project_id).label(name) for name in COUNTED]
    row = tx.execute(sa.select(*columns, routes.scalar_subquery().label(ROUTER_ROUTE))).mappings().one()
    return dict(row)


def _parse(context: Context, body: Mapping[str, Any]) -> tuple[dict[str, int], bool]:
    given = {name: value for name, value in body.items() if name not in ("project_id", "tenant_id")}
    flags = {name: given.pop(name) for name in ("force", "check_limit") if name in given}
    if unknown := sorted(given.keys() - defaults(context).keys()):
        raise HTTPBadRequest(f"Unrecognized attribute(s) '{', '.join(unknown)}'")
    limits: dict[str, int] = {}
    name = ""
    try:
        for name, value in given.items():
            limits[name] = LIMIT.parse(value)
        for name, value in flags.items():
            flags[name] = Boolean().parse(value)
    except Invalid as error:
        raise HTTPBadRequest(f"Invalid input for {name}. Reason: {error}.") from None
    return limits, bool(flags.get("force", False))
