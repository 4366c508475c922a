"""RBAC policies: what a project shares with others."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import BadRequest, Conflict, InvalidInput
from netloom.model.fields import Resource
from netloom.model.kinds import is_uuid
from netloom.model.resources import RESOURCES
from netloom.model.sharing import RBAC_POLICY, SHAREABLE
from netloom.rules import quotas, reading, standard
from netloom.rules.context import Context
from netloom.rules.query import table_of
from netloom.store.database import Tx
from netloom.store.tables.network import (
    FLOATINGIPS,
    NETWORKS,
    PORT_SECURITY_GROUPS,
    PORTS,
    RBAC_POLICIES,
    ROUTERS,
    SECURITY_GROUP_RULES,
    SUBNETS,
)

Body = dict[str, Any]
EXTERNAL = "access_as_external"
SHARED: Mapping[str, Resource] = {resource.name: resource for resource in RESOURCES if resource.name in SHAREABLE}


class InvalidActionForType(BadRequest):
    """An action that cannot be granted on this type."""

    message = "Invalid action '{action}' for object type '{object_type}'. Valid actions: {valid_actions}."


class DuplicateRbacPolicy(Conflict):
    """The same grant is there."""

    message = "An RBAC policy already exists with those values."


class RbacPolicyInUse(Conflict):
    """The target relies on what it was granted."""

    message = "RBAC policy on object {object_id} cannot be removed because other objects depend on it: {details}."


def create(tx: Tx, context: Context, bodies: list[Body]) -> list[Body]:
    """Grant access to objects of the caller's project (an administrator: of any).

    Raises: InvalidInput (type, target or object), InvalidActionForType, OverQuota, DuplicateRbacPolicy.
    """
    rows = []
    for body in bodies:
        _check(tx, context, body)
        quotas.check(tx, context, "rbac_policy", body["project_id"], 1)
        row = standard.new_row(tx, RBAC_POLICY, body)
        _insert(tx, row)
        _shown(tx, row)
        rows.append(row)
    return reading.by_ids(tx, context, RBAC_POLICY, [row["id"] for row in rows])


def update(tx: Tx, context: Context, current: Body, changes: Body) -> Body:
    """Change whom the access is granted to.

    Raises: InvalidInput, RbacPolicyInUse (the old target relies on it), DuplicateRbacPolicy.
    """
    target = changes.get("target_tenant")
    if target is not None and target != current["target_tenant"]:
        _check_target(target)
        _check_unused(tx, current, instead=target)
        try:
            standard.update_row(tx, RBAC_POLICY, current, {"target_tenant": target})
        except sa.exc.IntegrityError:
            raise DuplicateRbacPolicy() from None
        _shown(tx, current)
    return reading.by_ids(tx, context, RBAC_POLICY, [current["id"]])[0]


def delete(tx: Tx, _context: Context, current: Body) -> None:
    """Take access back. Raises RbacPolicyInUse when somebody relies on it."""
    _check_unused(tx, current)
    tx.execute(RBAC_POLICIES.delete().where(RBAC_POLICIES.c.id == current["id"]))
    if current["action"] == EXTERNAL:
        # A network is external for as long as somebody is granted external access to it.
        key, grants = current["object_id"], RBAC_POLICIES.c
        left = sa.exists().where(grants.object_id == key, grants.action == EXTERNAL)
        tx.execute(NETWORKS.update().where(NETWORKS.c.id == key, ~left).values(router_external=False, is_default=False))
    _shown(tx, current)


def _check(tx: Tx, context: Context, body: Body) -> None:
    kind, action = body.get("object_type"), body["action"]
    if kind not in SHAREABLE:
        raise InvalidInput(error_message=f"'{kind}' is not a valid object type; valid are {sorted(SHAREABLE)}")
    if action not in SHAREABLE[kind]:
        raise InvalidActionForType(action=action, object_type=kind, valid_actions=list(SHAREABLE[kind]))
    _check_target(body["target_tenant"])
    table = table_of(SHARED[kind])
    owner = tx.row(sa.select(table.c.project_id).where(table.c.id == body["object_id"]))
    if owner is None or not (context.is_admin or owner["project_id"] == context.project_id):
        raise InvalidInput(error_message=f"{kind} {body['object_id']} could not be found among the caller's own")


def _check_target(target: str) -> None:
    if target != "*" and not is_uuid(target):
        raise InvalidInput(error_message=f"target_tenant '{target}' is neither a project's id nor '*'")


def _insert(tx: Tx, row: Body) -> None:
    try:
        tx.execute(RBAC_POLICIES.insert(), row)
    except sa.exc.IntegrityError:
        raise DuplicateRbacPolicy() from None
    if row["action"] == EXTERNAL:
        # A grant of external access is what makes a network an external one.
        network = NETWORKS.c.id == row["object_id"]
        tx.execute(
            NETWORKS.update().where(network, NETWORKS.c.router_external.is_not(True)).values(router_external=True)
        )


def _shown(tx: Tx, row: Mapping[str, Any]) -> None:
    """Networks show what is shared of them, and whether they are external."""
    if row["object_type"] == "network":
        standard.revise(tx, NETWORKS, [row["object_id"]])
        tx.changed("network", row["object_id"])


def _check_unused(tx: Tx, policy: Mapping[str, Any], instead: str | None = None) -> None:
    """No project may lose what it uses; ``instead`` is the target that the policy will have.

    The owner of an object needs no grant; but without any grant of external access a network serves nobody.
    """
    same = RBAC_POLICIES.c
    others = tx.execute(
        sa.select(same.target_tenant).where(
            same.object_id == policy["object_id"], same.action == policy["action"], same.id != policy["id"]
        )
    ).scalars()
    covered = {*others, instead}
    if "*" in covered:
        return
    if policy["action"] == EXTERNAL and policy["target_tenant"] == "*":
        _check_not_default(tx, policy["object_id"])
    table = table_of(SHARED[policy["object_type"]])
    owner = sa.select(table.c.project_id).where(table.c.id == policy["object_id"]).scalar_subquery()
    users = _users(policy["object_type"], policy["object_id"], policy["action"]).subquery()
    project = users.c.project_id
    last = policy["action"] == EXTERNAL and covered == {None}
    others_use = sa.true() if last else project != owner
    relying = set(tx.execute(sa.select(project).distinct().where(others_use, project != "")).scalars()) - covered
    if policy["target_tenant"] != "*" and not last:
        relying &= {policy["target_tenant"]}
    if relying:
        raise RbacPolicyInUse(object_id=policy["object_id"], details=f"projects {sorted(relying)} use it")


def _check_not_default(tx: Tx, network_id: str) -> None:
    """Everybody may use the default external network."""
    if tx.row(sa.select(NETWORKS.c.id).where(NETWORKS.c.id == network_id, NETWORKS.c.is_default.is_(True))):
        raise RbacPolicyInUse(object_id=network_id, details="the network is the default external network")


def _users(kind: str, object_id: str, action: str) -> sa.SelectBase:
    """The projects of what uses an object by virtue of a grant."""
    if action == EXTERNAL:
        routers = sa.select(ROUTERS.c.project_id).where(ROUTERS.c.gateway_network_id == object_id)
        return routers.union(sa.select(FLOATINGIPS.c.project_id).where(FLOATINGIPS.c.floating_network_id == object_id))
    if kind == "network":
        return sa.select(PORTS.c.project_id).where(PORTS.c.network_id == object_id)
    if kind == "security_group":
        members = PORT_SECURITY_GROUPS.c
        ports = sa.select(PORTS.c.project_id).join(PORT_SECURITY_GROUPS, members.port_id == PORTS.c.id)
        return ports.where(members.security_group_id == object_id)
    if kind == "subnetpool":
        return sa.select(SUBNETS.c.project_id).where(SUBNETS.c.subnetpool_id == object_id)
    rules = SECURITY_GROUP_RULES.c
    return sa.select(rules.project_id).where(rules.remote_address_group_id == object_id)
