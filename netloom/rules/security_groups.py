"""Security groups, and the default group of each project."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from netloom.model.errors import Conflict
from netloom.model.security_groups import SECURITY_GROUP, SECURITY_GROUP_RULE
from netloom.rules import quotas, reading, standard
from netloom.rules.context import Context
from netloom.store.database import Tx
from netloom.store.tables.network import (
    PORT_SECURITY_GROUPS,
    RBAC_POLICIES,
    SECURITY_GROUP_RULES,
    SECURITY_GROUPS,
    TAGS,
)

Body = dict[str, Any]
DEFAULT = "default"
ETHERTYPES = ("IPv4", "IPv6")


class SecurityGroupDefaultAlreadyExists(Conflict):
    """A second group of the name ``default``."""

    message = "Default security group already exists."


class SecurityGroupCannotUpdateDefault(Conflict):
    """The default group keeps its name."""

    message = "Updating default security group not allowed."


class SecurityGroupCannotRemoveDefault(Conflict):
    """The default group stays."""

    message = "Insufficient rights for removing default security group."


class SecurityGroupInUse(Conflict):
    """Ports or rules refer to the group."""

    message = "Security Group {security_group_id} {reason}."


def ensure_default(tx: Tx, context: Context, project_ids: Collection[str]) -> dict[str, str]:
    """Id of the default group by project, for each of ``project_ids`` but the empty one; makes those that are missing.

    At most 5 statements, 1 when all are there. Two first needs at once make one group.
    """
    wanted = {project_id for project_id in project_ids if project_id}
    found = _defaults(tx, wanted)
    if missing := sorted(wanted - found.keys()):
        if tx.postgresql:
            locks = sa.func.unnest(sa.literal([f"default group {key}" for key in missing], ARRAY(sa.Text)))
            keys = sa.select(locks.column_valued("key")).subquery()
            tx.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(keys.c.key, 0))))
            found |= _defaults(tx, missing)
        absent = [project_id for project_id in missing if project_id not in found]
        bodies = [
            {"project_id": key, "name": DEFAULT, "description": "Default security group", "stateful": True}
            for key in absent
        ]
        found |= dict(zip(absent, _insert(tx, bodies), strict=True))
    return found


def create(tx: Tx, context: Context, bodies: list[Body]) -> list[Body]:
    """Make groups, each with the two rules that let everything out.

    Raises:
        SecurityGroupDefaultAlreadyExists: a group is to be named ``default``.
        OverQuota: too many groups of a project, or too many rules with those that they start with.
    """
    for body in bodies:
        _check_name(body["name"])
    projects = [body["project_id"] for body in bodies]
    ensure_default(tx, context, set(projects))
    for project_id in sorted(set(projects)):
        count = projects.count(project_id)
        quotas.check(tx, context, "security_group", project_id, count)
        quotas.check(tx, context, "security_group_rule", project_id, count * len(ETHERTYPES))
    return reading.by_ids(tx, context, SECURITY_GROUP, _insert(tx, bodies))


def update(tx: Tx, context: Context, current: Body, changes: Body) -> Body:
    """Change name, description, or whether the group is stateful.

    Raises:
        SecurityGroupCannotUpdateDefault, SecurityGroupDefaultAlreadyExists: a name that is not to be.
        SecurityGroupInUse: ``stateful`` is to change while ports use the group.
    """
    if "name" in changes and changes["name"] != current["name"]:
        if current["name"] == DEFAULT:
            raise SecurityGroupCannotUpdateDefault()
        _check_name(changes["name"])
    if changes.get("stateful", current["stateful"]) != current["stateful"]:
        _check_unused(tx, current["id"])
    if "stateful" in standard.update_row(tx, SECURITY_GROUP, current, changes):
        tx.changed("security_group", current["id"])
    return reading.by_ids(tx, context, SECURITY_GROUP, [current["id"]])[0]


def delete(tx: Tx, context: Context, current: Body) -> None:
    """Remove a group with its rules, and the rules of other groups that let its members through.

    Raises:
        SecurityGroupCannotRemoveDefault: the project's default group, unless the caller is an administrator.
        SecurityGroupInUse: ports are in it.
    """
    group_id = current["id"]
    if current["name"] == DEFAULT and not context.is_admin:
        raise SecurityGroupCannotRemoveDefault()
    tx.execute(sa.select(SECURITY_GROUPS.c.id).where(SECURITY_GROUPS.c.id == group_id).with_for_update())
    _check_unused(tx, group_id)
    rules = SECURITY_GROUP_RULES.c
    remote = (rules.remote_group_id == group_id) & (rules.security_group_id != group_id)
    concerned = [key for (key,) in tx.tuples(sa.select(rules.security_group_id).where(remote).distinct())]
    if concerned:
        tx.execute(SECURITY_GROUP_RULES.delete().where(remote))
        standard.revise(tx, SECURITY_GROUPS, concerned)
    tx.execute(TAGS.delete().where(TAGS.c.resource_id == group_id))
    tx.execute(RBAC_POLICIES.delete().where(RBAC_POLICIES.c.object_id == group_id))
    tx.execute(SECURITY_GROUPS.delete().where(SECURITY_GROUPS.c.id == group_id))
    for key in (group_id, *concerned):
        tx.changed("security_group", key)


def _defaults(tx: Tx, project_ids: Collection[str]) -> dict[str, str]:
    table = SECURITY_GROUPS.c
    statement = sa.select(table.project_id, table.id).where(table.project_id.in_(project_ids), table.name == DEFAULT)
    return {row.project_id: row.id for row in tx.execute(statement)}


def _insert(tx: Tx, bodies: list[Body]) -> list[str]:
    """Insert groups with the rules that they start with; 2 statements."""
    if not bodies:
        return []
    groups = [standard.new_row(tx, SECURITY_GROUP, body) for body in bodies]
    rules = [_rule(tx, group, "egress", ethertype) for group in groups for ethertype in ETHERTYPES]
    rules += [
        _rule(tx, group, "ingress", ethertype, remote_group_id=group["id"])
        for group in groups
        if group["name"] == DEFAULT
        for ethertype in ETHERTYPES
    ]
    tx.execute(SECURITY_GROUPS.insert(), groups)
    tx.execute(SECURITY_GROUP_RULES.insert(), rules)
    return [group["id"] for group in groups]


def _rule(tx: Tx, group: Body, direction: str, ethertype: str, remote_group_id: str | None = None) -> dict[str, Any]:
    body = {"direction": direction, "ethertype": ethertype, "remote_group_id": remote_group_id, "description": ""}
    owner = {"project_id": group["project_id"], "security_group_id": group["id"]}
    return standard.new_row(tx, SECURITY_GROUP_RULE, body | owner)


def _check_name(name: str) -> None:
    if name.lower() == DEFAULT:
        raise SecurityGroupDefaultAlreadyExists()


def _check_unused(tx: Tx, group_id: str) -> None:
    used = sa.select(PORT_SECURITY_GROUPS.c.port_id).where(PORT_SECURITY_GROUPS.c.security_group_id == group_id)
    if (port_id := tx.execute(used.limit(1)).scalar()) is not None:
        raise SecurityGroupInUse(security_group_id=group_id, reason=f"in use by port {port_id}")
