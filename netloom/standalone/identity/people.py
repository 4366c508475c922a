"""Projects and users: lists, looks and changes."""

import time
from collections.abc import Callable

import sqlalchemy as sa

from netloom.standalone.identity import directory, version_2, views
from netloom.standalone.identity.directory import DOMAIN, Holder
from netloom.standalone.identity.passwords import conceal, matches
from netloom.standalone.identity.signing import UNAUTHORIZED
from netloom.standalone.identity.support import Row, existing, listing, new_name, require_admin
from netloom.standalone.web import Call, Problem, Reply
from netloom.store.database import Tx
from netloom.store.tables.identity import ASSIGNMENTS, PROJECTS, USERS

Action = Callable[[Call, Tx, Holder], Reply]
"""A handler for the holder of a token, within a transaction."""


def lister(table: sa.Table, plural: str, show: Callable[[Row, str], Row]) -> Action:
    """Lists a table, by name when asked."""

    def find(call: Call, tx: Tx, holder: Holder) -> Reply:
        query = sa.select(table).order_by(table.c.name)
        if (name := call.param("name")) is not None:
            query = query.where(table.c.name == name)
        if call.param("domain_id", DOMAIN["id"]) != DOMAIN["id"] and plural != "roles":
            return listing(plural, [], call)
        if plural == "users" and not holder.is_admin:
            query = query.where(table.c.id == holder.user["id"])
        return listing(plural, [show(row, call.base) for row in tx.rows(query)], call)

    return find


def shower(table: sa.Table, name: str, show: Callable[[Row, str], Row]) -> Action:
    """Shows one row of a table."""

    def showing(call: Call, tx: Tx, _holder: Holder) -> Reply:
        return Reply({name: show(existing(tx, table, name, call.args["id"]), call.base)})

    return showing


def updater(table: sa.Table, name: str, show: Callable[[Row, str], Row], allowed: tuple[str, ...]) -> Action:
    """Changes the allowed columns of a row."""

    def updating(call: Call, tx: Tx, holder: Holder) -> Reply:
        require_admin(holder)
        row = existing(tx, table, name, call.args["id"])
        values = {key: value for key, value in call.member(name).items() if key in allowed}
        if values:
            tx.execute(sa.update(table).where(table.c.id == row["id"]).values(**values))
        return Reply({name: show(row | values, call.base)})

    return updating


def deleter(table: sa.Table, name: str) -> Action:
    """Deletes a row."""

    def deleting(call: Call, tx: Tx, holder: Holder) -> Reply:
        require_admin(holder)
        row = existing(tx, table, name, call.args["id"])
        tx.execute(sa.delete(table).where(table.c.id == row["id"]))
        return Reply(status=204)

    return deleting


def create_project(call: Call, tx: Tx, holder: Holder) -> Reply:
    """Make a project."""
    require_admin(holder)
    given = call.member("project")
    name = new_name(tx, PROJECTS, "project", given)
    row = {
        "id": directory.new_id(),
        "name": name,
        "description": given.get("description") or "",
        "enabled": bool(given.get("enabled", True)),
    }
    tx.execute(sa.insert(PROJECTS).values(**row))
    return Reply({"project": views.project(row, call.base)}, 201)


def delete_project(call: Call, tx: Tx, holder: Holder) -> Reply:
    """Delete a project and what was granted on it."""
    tx.execute(sa.delete(ASSIGNMENTS).where(ASSIGNMENTS.c.target_id == call.args["id"]))
    return deleter(PROJECTS, "project")(call, tx, holder)


def create_user(call: Call, tx: Tx, holder: Holder) -> Reply:
    """Make a user."""
    require_admin(holder)
    given = call.member("user")
    row = {
        "id": directory.new_id(),
        "name": new_name(tx, USERS, "user", given),
        "password": conceal(str(given.get("password") or directory.new_id())),
        "enabled": bool(given.get("enabled", True)),
        "default_project_id": given.get("default_project_id"),
        "email": given.get("email"),
        "description": given.get("description"),
        "tokens_since": 0.0,
    }
    tx.execute(sa.insert(USERS).values(**row))
    return Reply({"user": views.user(row, call.base)}, 201)


def update_user(call: Call, tx: Tx, holder: Holder) -> Reply:
    """Change a user; a new password voids their tokens."""
    reply = updater(USERS, "user", views.user, ("name", "enabled", "email", "description", "default_project_id"))(
        call, tx, holder
    )
    if (password := call.member("user").get("password")) is not None:
        _set_password(tx, call.args["id"], str(password))
    return reply


def change_password(call: Call, tx: Tx, holder: Holder) -> Reply:
    """Let users change their own password."""
    given = call.member("user")
    row = existing(tx, USERS, "user", call.args["id"])
    if holder.user["id"] != row["id"] or not matches(str(given.get("original_password", "")), row["password"]):
        raise Problem(401, UNAUTHORIZED)
    _set_password(tx, row["id"], str(given.get("password", "")))
    return Reply(status=204)


def _set_password(tx: Tx, user_id: str, password: str) -> None:
    if not password:
        raise Problem(400, "The password must not be empty")
    values = {"password": conceal(password), "tokens_since": time.time()}
    tx.execute(sa.update(USERS).where(USERS.c.id == user_id).values(**values))


def own_projects(call: Call, tx: Tx, holder: Holder) -> Reply:
    """The caller's projects."""
    return listing("projects", [views.project(row, call.base) for row in _projects_of(tx, holder.user["id"])], call)


def projects_of_user(call: Call, tx: Tx, _holder: Holder) -> Reply:
    """A user's projects."""
    return listing("projects", [views.project(row, call.base) for row in _projects_of(tx, call.args["id"])], call)


def tenants(call: Call, tx: Tx, holder: Holder) -> Reply:
    """The caller's projects, as v2.0 shows them."""
    shown = [version_2.tenant(row) for row in _projects_of(tx, holder.user["id"])]
    return Reply({"tenants": shown, "tenants_links": []})


def _projects_of(tx: Tx, user_id: str) -> list[Row]:
    targets = sa.select(ASSIGNMENTS.c.target_id).where(ASSIGNMENTS.c.user_id == user_id)
    return tx.rows(sa.select(PROJECTS).where(PROJECTS.c.id.in_(targets)).order_by(PROJECTS.c.name))
