"""Roles, and who has them where."""

from typing import Any

import sqlalchemy as sa

from netloom.standalone.identity import directory, views
from netloom.standalone.identity.directory import DOMAIN, Holder
from netloom.standalone.identity.support import Row, existing, listing, new_name, require_admin
from netloom.standalone.web import Call, Problem, Reply
from netloom.store.database import Tx
from netloom.store.tables.identity import ASSIGNMENTS, PROJECTS, ROLES, USERS


def create_role(call: Call, tx: Tx, holder: Holder) -> Reply:
    """Make a role."""
    require_admin(holder)
    row = {"id": directory.new_id(), "name": new_name(tx, ROLES, "role", call.member("role"))}
    tx.execute(sa.insert(ROLES).values(**row))
    return Reply({"role": views.role(row, call.base)}, 201)


def list_grants(call: Call, tx: Tx, _holder: Holder) -> Reply:
    """The roles of a user on a target."""
    query = (
        sa.select(ROLES)
        .join(ASSIGNMENTS, ASSIGNMENTS.c.role_id == ROLES.c.id)
        .where(ASSIGNMENTS.c.user_id == call.args["user_id"], ASSIGNMENTS.c.target_id == call.args["target_id"])
    )
    return listing("roles", [views.role(row, call.base) for row in tx.rows(query)], call)


def check_grant(call: Call, tx: Tx, _holder: Holder) -> Reply:
    """204 when the user has the role there."""
    if tx.row(sa.select(ASSIGNMENTS).filter_by(**_key(call))) is None:
        raise Problem(404, "Could not find role assignment.")
    return Reply(status=204)


def grant(call: Call, tx: Tx, holder: Holder) -> Reply:
    """Give a user a role on a target."""
    require_admin(holder)
    existing(tx, USERS, "user", call.args["user_id"])
    existing(tx, ROLES, "role", call.args["role_id"])
    if call.args["kind"] == "projects":
        existing(tx, PROJECTS, "project", call.args["target_id"])
    directory.grant(tx, call.args["user_id"], call.args["target_id"], call.args["role_id"])
    return Reply(status=204)


def revoke_grant(call: Call, tx: Tx, holder: Holder) -> Reply:
    """Take it away again."""
    require_admin(holder)
    check_grant(call, tx, holder)
    tx.execute(sa.delete(ASSIGNMENTS).filter_by(**_key(call)))
    return Reply(status=204)


def list_assignments(call: Call, tx: Tx, holder: Holder) -> Reply:
    """All assignments that fit the query."""
    require_admin(holder)
    query = sa.select(ASSIGNMENTS, ROLES.c.name.label("role_name")).join(ROLES, ASSIGNMENTS.c.role_id == ROLES.c.id)
    for parameter, column in (("user.id", "user_id"), ("scope.project.id", "target_id"), ("role.id", "role_id")):
        if (value := call.param(parameter)) is not None:
            query = query.where(ASSIGNMENTS.c[column] == value)
    return listing("role_assignments", [_assignment(row) for row in tx.rows(query)], call)


def _key(call: Call) -> dict[str, str]:
    return {key: call.args[key] for key in ("user_id", "target_id", "role_id")}


def _assignment(row: Row) -> Row:
    target = row["target_id"]
    scopes: dict[str, Any] = {DOMAIN["id"]: {"domain": {"id": target}}, directory.SYSTEM: {"system": {"all": True}}}
    return {
        "role": {"id": row["role_id"], "name": row["role_name"]},
        "user": {"id": row["user_id"]},
        "scope": scopes.get(target, {"project": {"id": target}}),
        "links": {},
    }
