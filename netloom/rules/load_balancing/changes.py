"""What all changes of load balancers have in common: one at a time, and each a new generation for the hosts."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.loadbalancers import LOADBALANCER
from netloom.rules import binding
from netloom.rules.context import Context
from netloom.rules.load_balancing import reading
from netloom.rules.load_balancing.errors import ImmutableObject
from netloom.rules.load_balancing.provisioning import provisioning
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import LISTENERS, LOADBALANCERS, POOLS
from netloom.store.tables.network import TAGS

View = dict[str, Any]
READY = ("ACTIVE",)
Touched = Sequence[tuple[sa.Table, str | None]]
"""Tables and ids of what a change is about."""


def begin(tx: Tx, context: Context, balancer_id: str, allowed: Sequence[str] = READY) -> View:
    """Lock a load balancer for a change of it or of what is below it; its columns, with the new generation.

    Others wait until the transaction ends, and then find it in the middle of this change.

    Raises: LoadBalancerNotFound, ImmutableObject when its state is not one of ``allowed``.
    """
    table = LOADBALANCERS.c
    mine = table.id == balancer_id
    # Two statements: who has waited for the lock must see what the one before has done.
    tx.execute(sa.select(table.id).where(mine).with_for_update(key_share=True))
    state = provisioning(table.id, binding.alive_since(tx, context)).label("provisioning_status")
    found = tx.row(sa.select(LOADBALANCERS, state).where(mine))
    if found is None:
        raise reading.not_found(LOADBALANCER, balancer_id)
    if found["provisioning_status"] not in allowed:
        raise ImmutableObject(resource=LOADBALANCER.label, id=balancer_id)
    return found | {"generation": advance(tx, balancer_id, found["generation"])}


def advance(tx: Tx, balancer_id: str, generation: int) -> int:
    """Begin the next generation of a load balancer whose row is locked."""
    tx.execute(LOADBALANCERS.update().where(LOADBALANCERS.c.id == balancer_id).values(generation=generation + 1))
    tx.changed("loadbalancer", balancer_id)
    return generation + 1


def touch(tx: Tx, generation: int, touched: Touched) -> None:
    """Note which objects a generation is about: a pool's listeners are concerned, too."""
    ids: dict[sa.Table, list[str]] = {}
    for table, object_id in touched:
        if object_id is not None:
            ids.setdefault(table, []).append(object_id)
    for table, mine in ids.items():
        tx.execute(table.update().where(among(tx, table.c.id, mine)).values(touched=generation))
    if POOLS in ids:
        behind = among(tx, LISTENERS.c.default_pool_id, ids[POOLS])
        tx.execute(LISTENERS.update().where(behind).values(touched=generation))


def write(tx: Tx, table: sa.Table, current: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Write the attributes that a request changes; tags are rows of their own."""
    values = {name: value for name, value in changes.items() if name in table.c}
    now = lb_time(tx)
    tx.execute(table.update().where(table.c.id == current["id"]).values(values | {"updated_at": now}))
    if "tags" in changes:
        tx.execute(TAGS.delete().where(TAGS.c.resource_id == current["id"]))
        attach_tags(tx, {current["id"]: changes["tags"]})


def attach_tags(tx: Tx, tags: Mapping[str, Sequence[str]]) -> None:
    """Store the tags of new objects, by id."""
    if rows := [{"resource_id": key, "tag": tag} for key, mine in tags.items() for tag in mine]:
        tx.execute(TAGS.insert(), rows)


def erase(tx: Tx, table: sa.Table, ids: Sequence[str]) -> None:
    """Remove rows with their tags."""
    tx.execute(TAGS.delete().where(among(tx, TAGS.c.resource_id, ids)))
    tx.execute(table.delete().where(among(tx, table.c.id, ids)))


def lb_time(tx: Tx) -> str:
    """The time of the request as this API shows it: UTC without saying so."""
    return tx.now.strftime("%Y-%m-%dT%H:%M:%S")
