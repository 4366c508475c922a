"""Members of pools (Octavia v2), one by one or all at once."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.lb_pools import MEMBER
from netloom.model.subnets import SUBNET
from netloom.rules import reading
from netloom.rules.context import Context
from netloom.rules.load_balancing import reading as lb_reading
from netloom.rules.load_balancing import vips
from netloom.rules.load_balancing.build import Build, Place, place, places
from netloom.rules.load_balancing.changes import attach_tags, begin, erase, lb_time, touch, write
from netloom.rules.load_balancing.errors import DuplicateMemberEntry, SubresourceNotFound
from netloom.rules.query import Query
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import MEMBERS, POOLS
from netloom.store.tables.network import TAGS

View = dict[str, Any]
EVERY = Query()


def create(tx: Tx, context: Context, pool: View, body: View) -> View:
    """Add a member to a pool. Raises ImmutableObject, DuplicateMemberEntry, SubresourceNotFound, QuotaException."""
    balancer = begin(tx, context, pool["loadbalancer_id"])
    if body["subnet_id"]:
        vips.named(tx, context, SUBNET, body["subnet_id"])
    if place(body) in _held(tx, context, pool):
        raise DuplicateMemberEntry(ip_address=body["address"], port=body["protocol_port"])
    build = Build(tx, balancer)
    key = build.member(pool["id"], body)
    build.store()
    touch(tx, balancer["generation"], [(POOLS, pool["id"])])
    return lb_reading.get(tx, context, MEMBER, key)


def update(tx: Tx, context: Context, pool: View, current: View, changes: View) -> View:
    """Change a member. Raises ImmutableObject."""
    balancer = begin(tx, context, pool["loadbalancer_id"])
    write(tx, MEMBERS, current, changes)
    touch(tx, balancer["generation"], [(MEMBERS, current["id"]), (POOLS, pool["id"])])
    return lb_reading.get(tx, context, MEMBER, current["id"])


def delete(tx: Tx, context: Context, pool: View, current: View) -> None:
    """Remove a member. Raises ImmutableObject."""
    balancer = begin(tx, context, pool["loadbalancer_id"])
    erase(tx, MEMBERS, [current["id"]])
    touch(tx, balancer["generation"], [(POOLS, pool["id"])])


def replace(
    tx: Tx, context: Context, pool: View, bodies: Sequence[View], given: Sequence[View], additive: bool
) -> None:
    """Have a pool consist of these members; ``additive``: beside those that it has.

    A member is known by its address and port: one that is there is changed as far as the request says (``given`` has
    what was sent, ``bodies`` all attributes). The number of statements does not depend on that of members.

    Raises: ImmutableObject, DuplicateMemberEntry, SubresourceNotFound, QuotaException.
    """
    balancer = begin(tx, context, pool["loadbalancer_id"])
    _check_subnets(tx, context, bodies)
    held, wanted = _held(tx, context, pool), places(bodies)
    build = Build(tx, balancer)
    changed: dict[str, View] = {}
    for where, body, sent in zip(wanted, bodies, given, strict=True):
        if where not in held:
            build.member(pool["id"], body)
        elif changes := _changes(held[where], body, sent):
            changed[held[where]["id"]] = held[where] | changes
    _write_all(tx, balancer["generation"], changed)
    if not additive:
        erase(tx, MEMBERS, [held[where]["id"] for where in held.keys() - wanted])
    build.store()
    touch(tx, balancer["generation"], [(POOLS, pool["id"])])


def _held(tx: Tx, context: Context, pool: View) -> dict[Place, View]:
    return {place(view): view for view in lb_reading.find(tx, context, MEMBER, EVERY, {"pool_id": pool["id"]})}


def _changes(current: View, body: View, sent: Mapping[str, Any]) -> View:
    """What a request changes of a member that is there."""
    fields = (item.name for item in MEMBER.fields if item.has("U") and item.name in sent)
    return {name: body[name] for name in fields if body[name] != current[name]}


def _write_all(tx: Tx, generation: int, changed: Mapping[str, View]) -> None:
    """Write these members as they are to be."""
    if not changed:
        return
    columns = [item.column for item in MEMBER.stored if item.has("U")]
    update = MEMBERS.update().where(MEMBERS.c.id == sa.bindparam("of_member"))
    values: View = {name: sa.bindparam(f"new_{name}") for name in columns}
    rows = [{f"new_{name}": view[name] for name in columns} | {"of_member": key} for key, view in changed.items()]
    tx.execute(update.values(values | {"touched": generation, "updated_at": lb_time(tx)}), rows)
    tx.execute(TAGS.delete().where(among(tx, TAGS.c.resource_id, list(changed))))
    attach_tags(tx, {key: view["tags"] for key, view in changed.items()})


def _check_subnets(tx: Tx, context: Context, bodies: Sequence[View]) -> None:
    wanted = sorted({body["subnet_id"] for body in bodies if body["subnet_id"]})
    known = {view["id"] for view in reading.by_ids(tx, context, SUBNET, wanted, scoped=True)} if wanted else set()
    for key in wanted:
        if key not in known:
            raise SubresourceNotFound(resource=SUBNET.label or "Subnet", id=key)
