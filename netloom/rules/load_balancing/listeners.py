"""Listeners of load balancers (Octavia v2)."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.lb_pools import POOL
from netloom.model.loadbalancers import LISTENER
from netloom.rules.context import Context
from netloom.rules.load_balancing import reading
from netloom.rules.load_balancing import values as lb_values
from netloom.rules.load_balancing.build import Build
from netloom.rules.load_balancing.changes import begin, erase, touch, write
from netloom.rules.load_balancing.errors import ListenerExists, ValidationException
from netloom.rules.load_balancing.secrets import check_references
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import L7POLICIES, L7RULES, LISTENERS, POOLS
from netloom.store.tables.network import TAGS

View = dict[str, Any]


def create(tx: Tx, context: Context, body: View) -> View:
    """Make a listener.

    Raises: LoadBalancerNotFound, ImmutableObject, ListenerExists, QuotaException and the errors of ``values``.
    """
    balancer = begin(tx, context, body["loadbalancer_id"])
    check_free(tx, balancer, [body])
    build = Build(tx, balancer)
    key = build.listener(body, pools_of(tx, balancer["id"], [body["default_pool_id"], *_redirects(body)]))
    build.store()
    touch(tx, balancer["generation"], [(POOLS, body["default_pool_id"])])
    return reading.get(tx, context, LISTENER, key)


def update(tx: Tx, context: Context, current: View, changes: View) -> View:
    """Change a listener. Raises as ``create``."""
    balancer = begin(tx, context, current["loadbalancer_id"])
    wanted = current | changes
    lb_values.listener(wanted)
    check_references(tx, balancer["project_id"], changes)
    _check_cidrs(balancer, wanted)
    if pool_id := changes.get("default_pool_id"):
        lb_values.pair(current["protocol"], pools_of(tx, balancer["id"], [pool_id])[pool_id])
    write(tx, LISTENERS, current, changes)
    touch(tx, balancer["generation"], [(LISTENERS, current["id"]), (POOLS, changes.get("default_pool_id"))])
    return reading.get(tx, context, LISTENER, current["id"])


def delete(tx: Tx, context: Context, current: View) -> None:
    """Remove a listener with its L7 policies. Raises ImmutableObject."""
    begin(tx, context, current["loadbalancer_id"])
    policies = sa.select(L7POLICIES.c.id).where(L7POLICIES.c.listener_id == current["id"])
    below = policies.union_all(sa.select(L7RULES.c.id).where(L7RULES.c.l7policy_id.in_(policies)))
    tx.execute(TAGS.delete().where(TAGS.c.resource_id.in_(below)))
    erase(tx, LISTENERS, [current["id"]])


def check_free(tx: Tx, balancer: Mapping[str, Any], bodies: Sequence[Mapping[str, Any]]) -> None:
    """Refuse listeners where the load balancer has one, or that no client could reach. Raises ListenerExists."""
    table = LISTENERS.c
    there = sa.select(table.protocol, table.protocol_port).where(table.loadbalancer_id == balancer["id"])
    taken = {_place(protocol, port) for protocol, port in tx.tuples(there)}
    for body in bodies:
        _check_cidrs(balancer, body)
        place = _place(body["protocol"], body["protocol_port"])
        if place in taken:
            raise ListenerExists(protocol=body["protocol"], port=body["protocol_port"])
        taken.add(place)


def pools_of(tx: Tx, balancer_id: str, pool_ids: Sequence[str | None]) -> dict[str, str]:
    """Protocols of the pools of these ids. Raises LoadBalancerNotFound for one that the load balancer does not have."""
    wanted = [key for key in pool_ids if key is not None]
    if not wanted:
        return {}
    there = sa.select(POOLS.c.id, POOLS.c.protocol).where(POOLS.c.loadbalancer_id == balancer_id)
    found = {key: protocol for key, protocol in tx.tuples(there) if key in wanted}
    for key in wanted:
        if key not in found:
            raise reading.not_found(POOL, key)
    return found


def _redirects(body: Mapping[str, Any]) -> list[str | None]:
    return [policy["redirect_pool_id"] for policy in body["l7policies"]]


def _place(protocol: str, port: int) -> tuple[bool, int]:
    """Of listeners on one port one may be for UDP, and one for all else."""
    return protocol == "UDP", port


def _check_cidrs(balancer: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    version = ipaddress.ip_address(balancer["vip_address"]).version
    for cidr in values["allowed_cidrs"] or ():
        if ipaddress.ip_network(cidr).version != version:
            raise ValidationException(detail=f"Allowed CIDR {cidr} is not of the IP version of the VIP")
