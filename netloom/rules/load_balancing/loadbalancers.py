"""Load balancers (Octavia v2)."""

import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from netloom.model.loadbalancers import LOADBALANCER
from netloom.rules.context import Context
from netloom.rules.load_balancing import flavors, quotas, reading, scheduling, vips
from netloom.rules.load_balancing.build import Build
from netloom.rules.load_balancing.changes import attach_tags, begin, lb_time, write
from netloom.rules.load_balancing.errors import LBPendingStateError, ValidationException
from netloom.rules.load_balancing.listeners import check_free
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import (
    HEALTHMONITORS,
    L7POLICIES,
    L7RULES,
    LISTENERS,
    LOADBALANCERS,
    MEMBERS,
    POOL_MONITORS,
    POOLS,
)
from netloom.store.tables.network import TAGS

View = dict[str, Any]
STEADY = ("ACTIVE", "ERROR")


def create(tx: Tx, context: Context, body: View) -> View:
    """Make a load balancer, with the listeners and pools that come in the same request.

    Raises: QuotaException, ListenerExists, the errors of ``flavors.chosen``, ``vips.take`` and ``values``.
    """
    provider, ha = flavors.chosen(tx, body, context.settings.loadbalancer_ha)
    for name in ("availability_zone", "vip_qos_policy_id"):
        if body.get(name):
            raise ValidationException(detail=f"{name} {body[name]} not found")
    key = str(uuid.uuid4())
    quotas.check(tx, body["project_id"], {LOADBALANCERS: 1})
    vip = vips.take(tx, context, key, body)
    row = {item.column: body.get(item.name) for item in LOADBALANCER.stored} | vip
    row |= {
        "id": key,
        "provider": provider,
        "vip_vnic_type": "normal",
        "vip_sg_ids": body["vip_sg_ids"],
        "additional_vips": [],
        "operating_status": "OFFLINE",
        "created_at": lb_time(tx),
        "api": 2,
        "generation": 1,
        "vrid": scheduling.free_vrid(tx, vip["vip_network_id"]) if ha else None,
    }
    tx.execute(LOADBALANCERS.insert(), row)
    attach_tags(tx, {key: body["tags"]})
    _build(tx, context, row, body)
    tx.changed("loadbalancer", key)
    scheduling.refresh(tx, context, [key])
    return reading.get(tx, context, LOADBALANCER, key)


def update(tx: Tx, context: Context, current: View, changes: View) -> View:
    """Change a load balancer. Raises ImmutableObject, SubresourceNotFound, ValidationException."""
    begin(tx, context, current["id"])
    if changes.get("vip_qos_policy_id"):
        raise ValidationException(detail=f"QoS policy {changes['vip_qos_policy_id']} not found")
    if "vip_sg_ids" in changes:
        vips.protect(tx, context, current, changes["vip_sg_ids"])
    write(tx, LOADBALANCERS, current, changes)
    return reading.get(tx, context, LOADBALANCER, current["id"])


def delete(tx: Tx, context: Context, current: View, cascade: bool = False) -> None:
    """Remove a load balancer, with ``cascade`` also all that it has.

    Raises: LBPendingStateError, ValidationException when it has something and ``cascade`` is not set.
    """
    if current["provisioning_status"] not in STEADY:
        raise LBPendingStateError(state=current["provisioning_status"], id=current["id"])
    if not cascade and (current["listeners"] or current["pools"]):
        raise ValidationException(detail=f"Cannot delete Load Balancer {current['id']} - it has children")
    begin(tx, context, current["id"], STEADY)
    remove(tx, context, current)


def remove(tx: Tx, context: Context, balancer: Mapping[str, Any]) -> None:
    """Take a load balancer and all that it has out of the database, and give up its VIP."""
    key = balancer["id"]
    scheduling.forget(tx, context, key)
    _erase_parts(tx, key)
    tx.execute(LOADBALANCERS.delete().where(LOADBALANCERS.c.id == key))
    tx.changed("loadbalancer", key)
    if balancer["vip_port_id"]:
        vips.release(tx, context, balancer)


def failover(tx: Tx, context: Context, current: View) -> None:
    """Carry a load balancer from its hosts to others, as far as there are others. Raises ImmutableObject."""
    begin(tx, context, current["id"], STEADY)
    scheduling.failover(tx, context, current["id"])


def _build(tx: Tx, context: Context, row: View, body: View) -> None:
    """What comes along in the request; listeners name pools of it by id only after they are built."""
    if not body["listeners"] and not body["pools"]:
        return
    build = Build(tx, row)
    pools: dict[str, str] = {}
    named: dict[str, str] = {}
    for each in body["pools"]:
        key = build.pool(each)
        pools[key] = each["protocol"]
        named[each["name"]] = key
    check_free(tx, row, body["listeners"])
    for each in body["listeners"]:
        build.listener(_resolved(each, named), pools)
    build.store()


def _resolved(listener: View, named: Mapping[str, str]) -> View:
    """A listener whose pools that are given by name alone, ``{"name": …}``, are those of the same request."""
    found = dict(listener)
    if set(found.get("default_pool") or ()) == {"name"}:
        found["default_pool_id"] = _by_name(named, found.pop("default_pool")["name"])
    found["l7policies"] = [
        {key: value for key, value in policy.items() if key != "redirect_pool"}
        | {"redirect_pool_id": _by_name(named, policy["redirect_pool"]["name"])}
        if set(policy.get("redirect_pool") or ()) == {"name"}
        else policy
        for policy in found["l7policies"]
    ]
    return found


def _by_name(named: Mapping[str, str], name: str) -> str:
    if name not in named:
        raise ValidationException(detail=f"The request has no pool named {name}")
    return named[name]


def _erase_parts(tx: Tx, key: str) -> None:
    """Remove the rows that hang on a load balancer, with their tags; foreign keys do most of it.

    Listeners and their policies go by themselves: they refer to pools, whose removal PostgreSQL would refuse before it
    came to them.
    """
    pools = sa.select(POOLS.c.id).where(POOLS.c.loadbalancer_id == key)
    listeners = sa.select(LISTENERS.c.id).where(LISTENERS.c.loadbalancer_id == key)
    policies = sa.select(L7POLICIES.c.id).where(L7POLICIES.c.listener_id.in_(listeners))
    watched = sa.select(POOL_MONITORS.c.healthmonitor_id).where(POOL_MONITORS.c.pool_id.in_(pools))
    monitors = [each for (each,) in tx.tuples(watched)]
    parts = pools.union_all(
        listeners,
        policies,
        sa.select(MEMBERS.c.id).where(MEMBERS.c.pool_id.in_(pools)),
        sa.select(L7RULES.c.id).where(L7RULES.c.l7policy_id.in_(policies)),
        sa.select(sa.literal(key)),
    )
    tx.execute(TAGS.delete().where(TAGS.c.resource_id.in_(parts) | among(tx, TAGS.c.resource_id, monitors)))
    tx.execute(HEALTHMONITORS.delete().where(among(tx, HEALTHMONITORS.c.id, monitors), HEALTHMONITORS.c.api == 2))
    tx.execute(LISTENERS.delete().where(LISTENERS.c.loadbalancer_id == key))
