"""Pools of load balancers (Octavia v2)."""

from typing import Any

import sqlalchemy as sa

from netloom.model.lb_pools import POOL
from netloom.model.loadbalancers import LISTENER
from netloom.rules.context import Context
from netloom.rules.load_balancing import reading, values
from netloom.rules.load_balancing.build import Build
from netloom.rules.load_balancing.changes import begin, erase, touch, write
from netloom.rules.load_balancing.errors import DuplicatePoolEntry, PoolInUseByL7Policy, ValidationException
from netloom.rules.load_balancing.secrets import check_references
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import HEALTHMONITORS, L7POLICIES, LISTENERS, MEMBERS, POOL_MONITORS, POOLS
from netloom.store.tables.network import TAGS

View = dict[str, Any]


def create(tx: Tx, context: Context, body: View) -> View:
    """Make a pool, of a load balancer or as the default of a listener.

    Raises: ValidationException, LoadBalancerNotFound, ImmutableObject, DuplicatePoolEntry, QuotaException.
    """
    listener = reading.get(tx, context, LISTENER, body["listener_id"]) if body.get("listener_id") else None
    balancer_id = body.get("loadbalancer_id") or (listener and listener["loadbalancer_id"])
    if not balancer_id:
        raise ValidationException(detail="Must provide at least one of: 'listener_id', 'loadbalancer_id'")
    if listener is not None:
        if listener["loadbalancer_id"] != balancer_id:
            raise ValidationException(detail="The listener is not one of the load balancer")
        if listener["default_pool_id"] is not None:
            raise DuplicatePoolEntry
        values.pair(listener["protocol"], body["protocol"])
    balancer = begin(tx, context, balancer_id)
    build = Build(tx, balancer)
    key = build.pool(body)
    build.store()
    if listener is not None:
        tx.execute(LISTENERS.update().where(LISTENERS.c.id == listener["id"]).values(default_pool_id=key))
        touch(tx, balancer["generation"], [(LISTENERS, listener["id"])])
    return reading.get(tx, context, POOL, key)


def update(tx: Tx, context: Context, current: View, changes: View) -> View:
    """Change a pool. Raises ImmutableObject, ValidationException."""
    balancer = begin(tx, context, current["loadbalancer_id"])
    values.pool(current | changes)
    check_references(tx, balancer["project_id"], changes)
    write(tx, POOLS, current, changes)
    touch(tx, balancer["generation"], [(POOLS, current["id"])])
    return reading.get(tx, context, POOL, current["id"])


def delete(tx: Tx, context: Context, current: View) -> None:
    """Remove a pool with its members and monitor; listeners lead nowhere then.

    Raises ImmutableObject, PoolInUseByL7Policy.
    """
    balancer = begin(tx, context, current["loadbalancer_id"])
    used = tx.row(sa.select(L7POLICIES.c.id).where(L7POLICIES.c.redirect_pool_id == current["id"]).limit(1))
    if used is not None:
        raise PoolInUseByL7Policy(id=current["id"], l7policy_id=used["id"])
    touch(tx, balancer["generation"], [(POOLS, current["id"])])
    tx.execute(LISTENERS.update().where(LISTENERS.c.default_pool_id == current["id"]).values(default_pool_id=None))
    members = sa.select(MEMBERS.c.id).where(MEMBERS.c.pool_id == current["id"])
    watching = sa.select(POOL_MONITORS.c.healthmonitor_id).where(POOL_MONITORS.c.pool_id == current["id"])
    tx.execute(TAGS.delete().where(TAGS.c.resource_id.in_(members.union_all(watching))))
    tx.execute(HEALTHMONITORS.delete().where(HEALTHMONITORS.c.id.in_(watching)))
    erase(tx, POOLS, [current["id"]])
