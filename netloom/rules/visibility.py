"""What a caller may know of: conditions in SQL, so that nothing invisible ever leaves the database."""

from typing import Any, NamedTuple

import sqlalchemy as sa

from netloom.model.fields import Resource
from netloom.model.sharing import SHAREABLE
from netloom.rules.context import Context
from netloom.store.tables.network import NETWORKS, RBAC_POLICIES, SECURITY_GROUPS

Condition = sa.ColumnElement[Any]


class Viewer(NamedTuple):
    """What of a caller decides what they may know of."""

    project_id: str
    is_admin: bool


def viewer(context: Context) -> Viewer:
    """The caller of a request, as this module sees them."""
    return Viewer(context.project_id, context.is_admin)


def owned(caller: Viewer, table: sa.FromClause) -> Condition:
    """Rows of the caller's project. Without one nothing is: service-owned rows have the empty project."""
    return table.c.project_id == caller.project_id if caller.project_id else sa.false()


def granted(caller: Viewer, object_type: str, *actions: str) -> sa.Select[Any]:
    """Ids of the objects on which RBAC entries give the caller's project one of ``actions``."""
    return sa.select(RBAC_POLICIES.c.object_id).where(
        RBAC_POLICIES.c.object_type == object_type,
        RBAC_POLICIES.c.action.in_(actions),
        RBAC_POLICIES.c.target_tenant.in_({"*", caller.project_id or "*"}),
    )


def shared(caller: Viewer, object_type: str, object_id: Condition) -> Condition:
    """Whether the object is shared with everybody or with the caller's project."""
    return object_id.in_(granted(caller, object_type, "access_as_shared"))


def visible(caller: Viewer, resource: Resource, table: sa.Table) -> Condition:
    """Which rows of ``table`` the caller may know of. Agents have no project: policy alone decides on them."""
    if caller.is_admin or "project_id" not in table.c:
        return sa.true()
    mine = owned(caller, table)
    if resource.name in SHAREABLE:
        return mine | table.c.id.in_(granted(caller, resource.name, *SHAREABLE[resource.name]))
    if resource.name == "subnet":
        return (
            mine
            | _of_own_network(caller, table)
            | table.c.network_id.in_(granted(caller, "network", *SHAREABLE["network"]))
        )
    if resource.name == "port":
        return mine | _of_own_network(caller, table)
    if resource.name == "security_group_rule":
        own = sa.select(SECURITY_GROUPS.c.id).where(owned(caller, SECURITY_GROUPS))
        return (
            mine
            | table.c.security_group_id.in_(own)
            | table.c.security_group_id.in_(granted(caller, "security_group", "access_as_shared"))
        )
    return mine


def _of_own_network(caller: Viewer, table: sa.Table) -> Condition:
    return table.c.network_id.in_(sa.select(NETWORKS.c.id).where(owned(caller, NETWORKS)))
