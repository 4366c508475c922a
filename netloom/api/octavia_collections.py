"""Which rules answer for which collection of the load balancer API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from netloom.model.fields import Resource
from netloom.model.lb_l7 import L7POLICY, L7RULE
from netloom.model.lb_pools import HEALTHMONITOR, MEMBER, POOL
from netloom.model.loadbalancers import LISTENER, LOADBALANCER
from netloom.rules import lb_l7policies, lb_listeners, lb_members, lb_monitors, lb_pools, loadbalancers
from netloom.rules.context import Context
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


MEMBERS = Below(MEMBER, "pool_id", lb_members.create, lb_members.update, lb_members.delete)
RULES = Below(L7RULE, "l7policy_id", lb_l7policies.create_rule, lb_l7policies.update_rule, lb_l7policies.delete_rule)
COLLECTIONS = (
    Collection(LOADBALANCER, loadbalancers.create, loadbalancers.update, loadbalancers.delete),
    Collection(
        LISTENER, lb_listeners.create, lb_listeners.update, lb_listeners.delete, (("loadbalancer_id", LOADBALANCER),)
    ),
    Collection(
        POOL, lb_pools.create, lb_pools.update, lb_pools.delete,
        (("loadbalancer_id", LOADBALANCER), ("listener_id", LISTENER)), MEMBERS,
    ),
    Collection(HEALTHMONITOR, lb_monitors.create, lb_monitors.update, lb_monitors.delete, (("pool_id", POOL),)),
    Collection(
        L7POLICY, lb_l7policies.create, lb_l7policies.update, lb_l7policies.delete, (("listener_id", LISTENER),), RULES
    ),
)  # fmt: skip
BY_PATH: Mapping[str, Collection] = {each.resource.plural: each for each in COLLECTIONS}
