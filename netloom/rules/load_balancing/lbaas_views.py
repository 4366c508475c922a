"""The objects of load balancers in the words of LBaaS v1."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.fields import Resource
from netloom.model.lbaas_v1 import BY_HTTP, LB_MONITOR, LB_POOL, LB_VIP
from netloom.rules import binding
from netloom.rules.context import Context
from netloom.rules.load_balancing.provisioning import provisioning
from netloom.rules.query import Query, page, table_of
from netloom.rules.visibility import viewer, visible
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import HEALTHMONITORS, LISTENERS, LOADBALANCERS, MEMBERS, POOL_MONITORS, POOLS

View = dict[str, Any]
Columns = dict[str, sa.ColumnElement[Any]]
EXTENSION = LB_POOL.extension
"""That of all resources of LBaaS v1."""
WAITING = "PENDING_CREATE"
"""Of all that has no VIP yet."""


def find(tx: Tx, context: Context, resource: Resource, query: Query) -> list[View]:
    """The objects that a query asks for and the caller may see. Raises the resource's 404 for an unknown marker."""
    table = table_of(resource)
    scope = (table.c.api == 1) & visible(viewer(context), resource, table)
    return _assemble(tx, resource, page(tx, resource, _columns(tx, context, resource), scope, query))


def get(tx: Tx, context: Context, resource: Resource, object_id: str) -> View | None:
    """One object, or None when the caller may not see it."""
    return next(iter(find(tx, context, resource, Query(filters={"id": [object_id]}))), None)


def by_ids(tx: Tx, context: Context, resource: Resource, ids: Sequence[str]) -> list[View]:
    """The objects of these ids in their order, visible or not."""
    table, columns = table_of(resource), _columns(tx, context, resource)
    statement = sa.select(*columns.values()).where(table.c.api == 1, among(tx, table.c.id, ids))
    rows = _assemble(tx, resource, [dict(zip(columns, row, strict=True)) for row in tx.tuples(statement)])
    views = {row["id"]: row for row in rows}
    return [views[key] for key in ids if key in views]


def _columns(tx: Tx, context: Context, resource: Resource) -> Columns:
    table = table_of(resource)
    found: Columns = {item.name: table.c[item.column] for item in resource.stored}
    return found | MORE[resource.name](binding.alive_since(tx, context)) | {"status_description": sa.literal("")}


def _pool(since: str) -> Columns:
    vip = sa.select(LISTENERS.c.id).where(LISTENERS.c.default_pool_id == POOLS.c.id).correlate(POOLS)
    return {
        "vip_id": vip.scalar_subquery(),
        "lb_method": POOLS.c.lb_algorithm,
        "provider": _of_balancer("provider", POOLS),
        "status": _status(POOLS, POOLS.c.loadbalancer_id, since),
    }


def _member(since: str) -> Columns:
    balancer = sa.select(POOLS.c.loadbalancer_id).where(POOLS.c.id == MEMBERS.c.pool_id).correlate(MEMBERS)
    status = _status(MEMBERS, balancer.scalar_subquery(), since)
    down = (status == "ACTIVE") & (MEMBERS.c.operating_status == "ERROR")
    return {"status": sa.case((down, "INACTIVE"), else_=status)}


def _monitor(since: str) -> Columns:
    balancer = (
        sa.select(sa.func.min(POOLS.c.loadbalancer_id))
        .join(POOL_MONITORS, POOL_MONITORS.c.pool_id == POOLS.c.id)
        .join(LOADBALANCERS, LOADBALANCERS.c.id == POOLS.c.loadbalancer_id)
        .where(POOL_MONITORS.c.healthmonitor_id == HEALTHMONITORS.c.id, LOADBALANCERS.c.vip_port_id.is_not(None))
        .correlate(HEALTHMONITORS)
    )
    return {"status": _status(HEALTHMONITORS, balancer.scalar_subquery(), since)}


def _vip(since: str) -> Columns:
    kept = sa.select(POOLS.c.session_persistence).where(POOLS.c.id == LISTENERS.c.default_pool_id)
    return {
        "subnet_id": _of_balancer("vip_subnet_id", LISTENERS),
        "address": _of_balancer("vip_address", LISTENERS),
        "port_id": _of_balancer("vip_port_id", LISTENERS),
        "pool_id": LISTENERS.c.default_pool_id,
        "session_persistence": kept.correlate(LISTENERS).scalar_subquery(),
        "status": _status(LISTENERS, LISTENERS.c.loadbalancer_id, since),
    }


MORE: Mapping[str, Callable[[str], Columns]] = {
    "pool": _pool, "member": _member, "health_monitor": _monitor, "vip": _vip,
}  # fmt: skip
"""The attributes that are not columns under their own names."""


def _of_balancer(column: str, table: sa.Table) -> sa.ColumnElement[Any]:
    found = sa.select(LOADBALANCERS.c[column]).where(LOADBALANCERS.c.id == table.c.loadbalancer_id)
    return found.correlate(table).scalar_subquery()


def _status(table: sa.Table, balancer: sa.ColumnElement[Any], since: str) -> sa.ColumnElement[Any]:
    """PENDING_CREATE as long as there is no VIP, and then what the hosts say: with it, all begin to be."""
    vip = LISTENERS.alias("placed")
    begun = sa.select(vip.c.made).where(vip.c.loadbalancer_id == balancer).correlate_except(vip).scalar_subquery()
    made = sa.case((table.c.made > begun, table.c.made), else_=begun)
    return sa.case((begun.is_not(None), provisioning(balancer, since, made)), else_=sa.literal(WAITING))


def _assemble(tx: Tx, resource: Resource, rows: list[View]) -> list[View]:
    for row in rows:
        row["tenant_id"] = row["project_id"]
    if rows and resource is LB_POOL:
        _add_parts(tx, rows)
    elif rows and resource is LB_MONITOR:
        _add_pools(tx, rows)
    elif resource is LB_VIP:
        for row in rows:
            row["session_persistence"] = row["session_persistence"] or {}
    return rows


def _add_parts(tx: Tx, rows: list[View]) -> None:
    """Members and health monitors of pools."""
    ids = [row["id"] for row in rows]
    members: dict[str, list[str]] = defaultdict(list)
    table = MEMBERS.c
    found = sa.select(table.pool_id, table.id).where(among(tx, table.pool_id, ids))
    for pool_id, key in tx.tuples(found.order_by(table.created_at, table.id)):
        members[pool_id].append(key)
    monitors: dict[str, list[str]] = defaultdict(list)
    watched = POOL_MONITORS.c
    found = sa.select(watched.pool_id, watched.healthmonitor_id).where(among(tx, watched.pool_id, ids))
    for pool_id, key in tx.tuples(found.order_by(watched.healthmonitor_id)):
        monitors[pool_id].append(key)
    for row in rows:
        row["members"], row["health_monitors"] = members[row["id"]], monitors[row["id"]]
        row["health_monitors_status"] = [
            {"monitor_id": key, "status": row["status"], "status_description": None} for key in monitors[row["id"]]
        ]


def _add_pools(tx: Tx, rows: list[View]) -> None:
    """The pools that health monitors watch."""
    pools: dict[str, list[View]] = defaultdict(list)
    watched = POOL_MONITORS.c
    found = sa.select(watched.healthmonitor_id, watched.pool_id).order_by(watched.pool_id)
    for key, pool_id in tx.tuples(found.where(among(tx, watched.healthmonitor_id, [row["id"] for row in rows]))):
        pools[key].append({"pool_id": pool_id})
    for row in rows:
        row["pools"] = [each | {"status": row["status"], "status_description": None} for each in pools[row["id"]]]
        if row["type"] not in ("HTTP", "HTTPS"):
            for name in BY_HTTP:
                del row[name]
