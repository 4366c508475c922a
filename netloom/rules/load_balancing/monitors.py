"""Health monitors of pools (Octavia v2)."""

from typing import Any

from netloom.model.lb_pools import HEALTHMONITOR, POOL
from netloom.rules.context import Context
from netloom.rules.load_balancing import reading, values
from netloom.rules.load_balancing.build import Build
from netloom.rules.load_balancing.changes import begin, erase, touch, write
from netloom.rules.load_balancing.errors import DuplicateHealthMonitor
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import HEALTHMONITORS, POOLS

View = dict[str, Any]


def create(tx: Tx, context: Context, body: View) -> View:
    """Watch a pool. Raises LoadBalancerNotFound, ImmutableObject, DuplicateHealthMonitor, QuotaException."""
    pool = reading.get(tx, context, POOL, body["pool_id"])
    balancer = begin(tx, context, pool["loadbalancer_id"])
    if pool["healthmonitor_id"] is not None:
        raise DuplicateHealthMonitor
    build = Build(tx, balancer)
    key = build.monitor(pool["id"], pool["protocol"], body)
    build.store()
    touch(tx, balancer["generation"], [(POOLS, pool["id"])])
    return reading.get(tx, context, HEALTHMONITOR, key)


def update(tx: Tx, context: Context, current: View, changes: View) -> View:
    """Change a health monitor. Raises ImmutableObject, InvalidOption."""
    pool = reading.get(tx, context, POOL, current["pools"][0]["id"])
    balancer = begin(tx, context, pool["loadbalancer_id"])
    filled = values.monitor(current | changes, pool["protocol"])
    write(tx, HEALTHMONITORS, current, {name: filled[name] for name in changes})
    touch(tx, balancer["generation"], [(HEALTHMONITORS, current["id"]), (POOLS, pool["id"])])
    return reading.get(tx, context, HEALTHMONITOR, current["id"])


def delete(tx: Tx, context: Context, current: View) -> None:
    """Watch a pool no longer. Raises ImmutableObject."""
    balancer = begin(tx, context, current[reading.BALANCER])
    touch(tx, balancer["generation"], [(POOLS, each["id"]) for each in current["pools"]])
    erase(tx, HEALTHMONITORS, [current["id"]])
