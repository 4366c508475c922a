"""A load balancer as a whole: its statuses as a tree, and what has passed through it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.lb_l7 import L7POLICY
from netloom.model.lb_pools import HEALTHMONITOR, MEMBER, POOL
from netloom.model.loadbalancers import LISTENER
from netloom.rules.context import Context
from netloom.rules.load_balancing import reading
from netloom.rules.query import Query
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import LB_STATISTICS, LISTENERS

View = dict[str, Any]
COMMON = ("id", "name", "provisioning_status", "operating_status")
COUNTERS = ("active_connections", "bytes_in", "bytes_out", "request_errors", "total_connections")


def statuses(tx: Tx, context: Context, balancer: Mapping[str, Any]) -> View:
    """The statuses of a load balancer and all that it has; the same number of statements for any size.

    Pools are shown below the listeners that lead to them, as Octavia does; those to which none leads beside the
    listeners, as they have a status, too.
    """
    key = balancer["id"]
    pools = _found(tx, context, POOL, {"loadbalancer_id": [key]})
    listeners = _found(tx, context, LISTENER, {"loadbalancer_id": [key]})
    members: dict[str, list[View]] = defaultdict(list)
    pool_ids = [pool["id"] for pool in pools]
    for member in reading.of_parents(tx, context, MEMBER, "pool_id", pool_ids):
        members[member["pool_id"]].append(_part(member, "address", "protocol_port"))
    watching = reading.by_ids(tx, context, HEALTHMONITOR, [each for pool in pools if (each := _monitor_of(pool))])
    monitors = {monitor["id"]: _part(monitor, "type") for monitor in watching}
    shown = {
        pool["id"]: _part(pool)
        | {"members": members[pool["id"]]}
        | ({"health_monitor": monitors[each]} if (each := _monitor_of(pool)) else {})
        for pool in pools
    }
    policies: dict[str, list[View]] = defaultdict(list)
    listener_ids = [listener["id"] for listener in listeners]
    for policy in reading.of_parents(tx, context, L7POLICY, "listener_id", listener_ids):
        policies[policy["listener_id"]].append(policy)
    led_to = {listener["id"]: _leads_to(listener, policies[listener["id"]]) for listener in listeners}
    branches = [_part(each) | {"pools": [shown[key] for key in led_to[each["id"]]]} for each in listeners]
    astray = [shown[key] for key in pool_ids if not any(key in keys for keys in led_to.values())]
    tree = _part(balancer) | {"listeners": branches} | ({"pools": astray} if astray else {})
    return {"statuses": {"loadbalancer": tree}}


def statistics(tx: Tx, listener_ids: Sequence[str]) -> View:
    """What has passed through listeners, summed over hosts and workers."""
    table = LB_STATISTICS.c
    sums = [sa.func.coalesce(sa.func.sum(table[name]), 0).label(name) for name in COUNTERS]
    row = tx.row(sa.select(*sums).where(among(tx, table.listener_id, listener_ids)))
    return {"stats": {name: int((row or {}).get(name, 0)) for name in COUNTERS}}


def listeners_of(tx: Tx, balancer_id: str) -> list[str]:
    """Ids of the listeners of a load balancer, made through either API."""
    statement = sa.select(LISTENERS.c.id).where(LISTENERS.c.loadbalancer_id == balancer_id)
    return [key for (key,) in tx.tuples(statement)]


def _found(tx: Tx, context: Context, resource: Any, filters: View) -> list[View]:
    return reading.find(tx, context, resource, Query(filters=filters, sorts=(("created_at", "asc"),)))


def _part(view: Mapping[str, Any], *more: str) -> View:
    return {name: view[name] for name in (*COMMON, *more)}


def _monitor_of(pool: Mapping[str, Any]) -> str | None:
    found: str | None = pool["healthmonitor_id"]
    return found


def _leads_to(listener: Mapping[str, Any], policies: Sequence[Mapping[str, Any]]) -> list[str]:
    """The pools that requests to a listener may reach."""
    ids = [listener["default_pool_id"], *(policy["redirect_pool_id"] for policy in policies)]
    return list(dict.fromkeys(key for key in ids if key is not None))
