"""Which rules answer for which collection of the load balancer API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from netloom.model.fields import Resource
from netloom.model.lb_l7 import L7POLICY, L7RULE
from netloom.model.lb_pools import HEALTHMONITOR, MEMBER, POOL
from netloom.model.loadbalancers import LISTENER, LOADBALANCER
from netloom.rules.context import Context
from netloom.rules.load_balancing import l7policies, listeners, loadbalancers, members, monitors, pools
from netloom.store.database import Tx

View = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection at the top of the API."""

    resource: Resource
    create: Callable[[Tx, Context, View], View]
    update: Callable[[Tx, Context, View, View], View]
    delete: Callable[[Tx, Context, View], None]
    parent: tuple[tuple[str, Resource], ...] = ()
    """What a new object belongs to: the attributes that name it."""
    below: "Below | None" = None
    """The collection that each of its objects has."""


@dataclass(frozen=True, slots=True)
class Below:
    """A collection of each object of another one."""

    resource: Resource
    reference: str
    """The attribute that names the owner."""
    create: Callable[[Tx, Context, View, View], View]
    update: Callable[[Tx, Context, View, View, View], View]
    delete: Callable[[Tx, Context, View, View], None]


MEMBERS = Below(MEMBER, "pool_id", members.create, members.update, members.delete)
RULES = Below(L7RULE, "l7policy_id", l7policies.create_rule, l7policies.update_rule, l7policies.delete_rule)
COLLECTIONS = (
    Collection(LOADBALANCER, loadbalancers.create, loadbalancers.update, loadbalancers.delete),
    Collection(
        LISTENER, listeners.create, listeners.update, listeners.delete, (("loadbalancer_id", LOADBALANCER),)
    ),
    Collection(
        POOL, pools.create, pools.update, pools.delete,
        (("loadbalancer_id", LOADBALANCER), ("listener_id", LISTENER)), MEMBERS,
    ),
    Collection(HEALTHMONITOR, monitors.create, monitors.update, monitors.delete, (("pool_id", POOL),)),
    Collection(
        L7POLICY, l7policies.create, l7policies.update, l7policies.delete, (("listener_id", LISTENER),), RULES
    ),
)  # fmt: skip
BY_PATH: Mapping[str, Collection] = {each.resource.plural: each for each in COLLECTIONS}
