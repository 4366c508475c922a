"""L7 policies of listeners and their rules (Octavia v2)."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.lb_l7 import L7POLICY, L7RULE
from netloom.model.loadbalancers import LISTENER
from netloom.rules.context import Context
from netloom.rules.load_balancing import reading, values
from netloom.rules.load_balancing.build import RULES_OF_A_POLICY, Build
from netloom.rules.load_balancing.changes import begin, erase, touch, write
from netloom.rules.load_balancing.errors import TooManyL7RulesOnL7Policy
from netloom.rules.load_balancing.listeners import pools_of
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import L7POLICIES, L7RULES, LISTENERS
from netloom.store.tables.network import TAGS

View = dict[str, Any]


def create(tx: Tx, context: Context, body: View) -> View:
    """Add a policy to a listener, at its place among the others.

    Raises: LoadBalancerNotFound, ImmutableObject, ValidationException, QuotaException.
    """
    listener = reading.get(tx, context, LISTENER, body["listener_id"])
    balancer = begin(tx, context, listener["loadbalancer_id"])
    others = _order(tx, listener["id"])
    position = min(body["position"], len(others) + 1)
    build = Build(tx, balancer)
    pools = pools_of(tx, balancer["id"], [body["redirect_pool_id"]])
    key = build.policy(listener["id"], listener["protocol"], body, position, pools)
    _arrange(tx, [*others[: position - 1], key, *others[position - 1 :]])
    build.store()
    touch(tx, balancer["generation"], [(LISTENERS, listener["id"])])
    return reading.get(tx, context, L7POLICY, key)


def update(tx: Tx, context: Context, current: View, changes: View) -> View:
    """Change a policy, or its place. Raises as ``create``."""
    balancer = begin(tx, context, current[reading.BALANCER])
    listener = reading.get(tx, context, LISTENER, current["listener_id"])
    changes = _target_changes(changes)
    other = changes.get("action", current["action"]) != current["action"]
    # The code belongs to the action, and another action has its own.
    filled = values.policy(current | ({"redirect_http_code": None} if other else {}) | changes)
    if pool_id := filled["redirect_pool_id"]:
        values.pair(listener["protocol"], pools_of(tx, balancer["id"], [pool_id])[pool_id])
    targets = (*values.TARGETS.values(), "redirect_http_code")
    position = changes.pop("position", None)
    write(tx, L7POLICIES, current, changes | {name: filled[name] for name in targets})
    if position is not None:
        others = [key for key in _order(tx, listener["id"]) if key != current["id"]]
        _arrange(tx, [*others[: position - 1], current["id"], *others[position - 1 :]])
    touch(tx, balancer["generation"], [(L7POLICIES, current["id"]), (LISTENERS, listener["id"])])
    return reading.get(tx, context, L7POLICY, current["id"])


def delete(tx: Tx, context: Context, current: View) -> None:
    """Remove a policy with its rules. Raises ImmutableObject."""
    balancer = begin(tx, context, current[reading.BALANCER])
    rules = sa.select(L7RULES.c.id).where(L7RULES.c.l7policy_id == current["id"])
    tx.execute(TAGS.delete().where(TAGS.c.resource_id.in_(rules)))
    erase(tx, L7POLICIES, [current["id"]])
    _arrange(tx, _order(tx, current["listener_id"]))
    touch(tx, balancer["generation"], [(LISTENERS, current["listener_id"])])


def create_rule(tx: Tx, context: Context, policy: View, body: View) -> View:
    """Add a rule to a policy. Raises ImmutableObject, TooManyL7RulesOnL7Policy, ValidationException, QuotaException."""
    balancer = begin(tx, context, policy[reading.BALANCER])
    if len(policy["rules"]) >= RULES_OF_A_POLICY:
        raise TooManyL7RulesOnL7Policy(id=policy["id"])
    build = Build(tx, balancer)
    key = build.rule(policy["id"], body)
    build.store()
    _touch_policy(tx, balancer, policy)
    return reading.get(tx, context, L7RULE, key)


def update_rule(tx: Tx, context: Context, policy: View, current: View, changes: View) -> View:
    """Change a rule. Raises ImmutableObject, ValidationException."""
    balancer = begin(tx, context, policy[reading.BALANCER])
    values.rule(current | changes)
    write(tx, L7RULES, current, changes)
    touch(tx, balancer["generation"], [(L7RULES, current["id"])])
    _touch_policy(tx, balancer, policy)
    return reading.get(tx, context, L7RULE, current["id"])


def delete_rule(tx: Tx, context: Context, policy: View, current: View) -> None:
    """Remove a rule. Raises ImmutableObject."""
    balancer = begin(tx, context, policy[reading.BALANCER])
    erase(tx, L7RULES, [current["id"]])
    _touch_policy(tx, balancer, policy)


def _touch_policy(tx: Tx, balancer: View, policy: View) -> None:
    touch(tx, balancer["generation"], [(L7POLICIES, policy["id"]), (LISTENERS, policy["listener_id"])])


def _target_changes(changes: View) -> View:
    """A request that sets a target without saying the action means the action that leads there."""
    if "action" in changes:
        return changes
    for action, name in values.TARGETS.items():
        if changes.get(name):
            changes["action"] = action
    return changes


def _order(tx: Tx, listener_id: str) -> list[str]:
    table = L7POLICIES.c
    statement = sa.select(table.id).where(table.listener_id == listener_id).order_by(table.position, table.id)
    return [key for (key,) in tx.tuples(statement)]


def _arrange(tx: Tx, ids: Sequence[str]) -> None:
    """Number policies in this order, from 1; 1 statement. Ids that are not stored yet just take their place."""
    if ids:
        places = sa.case({key: place for place, key in enumerate(ids, start=1)}, value=L7POLICIES.c.id)
        tx.execute(L7POLICIES.update().where(L7POLICIES.c.id.in_(ids)).values(position=places))
