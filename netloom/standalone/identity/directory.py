"""Who is there: projects, users, roles and assignments, and what a token's holder may call themselves."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from netloom.standalone.identity.passwords import conceal
from netloom.standalone.identity.tokens import Claim
from netloom.store.database import Tx
from netloom.store.tables.identity import (
    APPLICATION_CREDENTIALS,
    ASSIGNMENTS,
    PROJECTS,
    REVOKED_TOKENS,
    ROLES,
    USERS,
)

ROLE_NAMES = ("admin", "manager", "member", "reader", "service")
IMPLIED = {"admin": ("manager",), "manager": ("member",), "member": ("reader",)}
DOMAIN = {"id": "default", "name": "Default"}
SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a token: user, scope and roles as they are now."""

    user: dict[str, Any]
    project: dict[str, Any] | None
    scope: str
    roles: tuple[dict[str, Any], ...]
    claim: Claim

    @property
    def is_admin(self) -> bool:
        """Whether they hold the role admin."""
        return any(role["name"] == "admin" for role in self.roles)


def new_id() -> str:
    """An id as Keystone makes them: 32 hex digits."""
    return uuid.uuid4().hex


def expand(names: Iterable[str]) -> list[str]:
    """Roles with all that they imply, in a stable order."""
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        found.setdefault(name)
        waiting += [implied for implied in IMPLIED.get(name, ()) if implied not in found]
    return list(found)


def roles_of(tx: Tx, user_id: str, target_id: str) -> list[dict[str, Any]]:
    """The roles that a user has on a project (or other target), implied ones included."""
    granted = tx.rows(
        sa.select(ROLES.c.name)
        .join(ASSIGNMENTS, ASSIGNMENTS.c.role_id == ROLES.c.id)
        .where(ASSIGNMENTS.c.user_id == user_id, ASSIGNMENTS.c.target_id == target_id)
        .order_by(ROLES.c.name)
    )
    names = expand(row["name"] for row in granted)
    known = {row["name"]: row for row in tx.rows(sa.select(ROLES).where(ROLES.c.name.in_(names)))}
    return [known[name] for name in names if name in known]


def holder(tx: Tx, claim: Claim) -> Holder | None:
    """The holder of a token, or None when the token no longer counts."""
    user = tx.row(sa.select(USERS).where(USERS.c.id == claim.user_id))
    revoked = tx.row(sa.select(REVOKED_TOKENS).where(REVOKED_TOKENS.c.audit_id == claim.audit_id))
    if user is None or revoked or not user["enabled"] or claim.issued < user["tokens_since"]:
        return None
    project = None
    if claim.scope not in ("", SYSTEM, "domain"):
        project = tx.row(sa.select(PROJECTS).where(PROJECTS.c.id == claim.scope))
        if project is None or not project["enabled"]:
            return None
    target = DOMAIN["id"] if claim.scope == "domain" else claim.scope
    roles = roles_of(tx, user["id"], target) if claim.scope else []
    if claim.credential_id:
        credential = tx.row(
            sa.select(APPLICATION_CREDENTIALS).where(APPLICATION_CREDENTIALS.c.id == claim.credential_id)
        )
        if credential is None:
            return None
        allowed = expand(credential["roles"])
        roles = [role for role in roles if role["name"] in allowed]
    if claim.scope and not roles:
        return None
    return Holder(user, project, claim.scope, tuple(roles), claim)


def ensure_roles(tx: Tx) -> dict[str, str]:
    """Make the roles that are not there yet; returns their ids by name."""
    known = {row["name"]: row["id"] for row in tx.rows(sa.select(ROLES))}
    for name in ROLE_NAMES:
        if name not in known:
            known[name] = new_id()
            tx.execute(sa.insert(ROLES).values(id=known[name], name=name))
    return known


def ensure_project(tx: Tx, name: str, description: str) -> str:
    """The id of a project, made when it is not there yet."""
    known = tx.row(sa.select(PROJECTS.c.id).where(PROJECTS.c.name == name))
    if known is not None:
        return str(known["id"])
    project_id = new_id()
    tx.execute(sa.insert(PROJECTS).values(id=project_id, name=name, description=description, enabled=True))
    return project_id


def ensure_user(tx: Tx, name: str, password: str, grants: Iterable[tuple[str, str]]) -> str:
    """The id of a user with this password and these (target, role id) grants, made or changed as needed."""
    known = tx.row(sa.select(USERS.c.id).where(USERS.c.name == name))
    user_id = str(known["id"]) if known is not None else new_id()
    if known is None:
        tx.execute(sa.insert(USERS).values(id=user_id, name=name, password=conceal(password), enabled=True))
    else:
        tx.execute(sa.update(USERS).where(USERS.c.id == user_id).values(password=conceal(password)))
    for target_id, role_id in grants:
        grant(tx, user_id, target_id, role_id)
    return user_id


def grant(tx: Tx, user_id: str, target_id: str, role_id: str) -> None:
    """Give a user a role on a target; nothing happens when they have it."""
    values = {"user_id": user_id, "target_id": target_id, "role_id": role_id}
    if tx.row(sa.select(ASSIGNMENTS).filter_by(**values)) is None:
        tx.execute(sa.insert(ASSIGNMENTS).values(**values))


def bootstrap(tx: Tx, passwords: dict[str, str]) -> dict[str, str]:
    """What every cloud has from the start: roles, projects admin, demo and services, and their users.

    ``passwords`` are those of the users admin, demo and netloom (the service user of the stand-ins).
    Returns the projects' ids by name.
    """
    roles = ensure_roles(tx)
    projects = {
        "admin": ensure_project(tx, "admin", "Administration of the cloud"),
        "demo": ensure_project(tx, "demo", "Demo Tenant"),
        "services": ensure_project(tx, "services", "The cloud's own services"),
    }
    everywhere = [(target, roles["admin"]) for target in (projects["admin"], projects["demo"], DOMAIN["id"], SYSTEM)]
    ensure_user(tx, "admin", passwords["admin"], everywhere)
    ensure_user(tx, "demo", passwords["demo"], [(projects["demo"], roles["member"])])
    service = [(projects["services"], roles["admin"]), (projects["services"], roles["service"])]
    ensure_user(tx, "netloom", passwords["netloom"], service)
    return projects
