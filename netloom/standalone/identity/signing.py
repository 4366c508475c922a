"""Signing in: from credentials to a token."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from netloom.standalone.identity import directory
from netloom.standalone.identity.directory import DOMAIN, SYSTEM, Holder
from netloom.standalone.identity.passwords import matches
from netloom.standalone.identity.tokens import Sealer
from netloom.standalone.web import Problem
from netloom.store.database import Tx
from netloom.store.tables.identity import APPLICATION_CREDENTIALS, PROJECTS, USERS

UNAUTHORIZED = "The request you have made requires authentication."


def sign_in(tx: Tx, sealer: Sealer, auth: Any) -> tuple[str, Holder]:
    """A token for the ``auth`` object of a v3 request, and its holder.

    Raises:
        Problem: 400 for a malformed request, 401 for wrong credentials or a scope without roles.
    """
    try:
        identity = auth["identity"]
        methods = list(identity["methods"])
        if "application_credential" in methods:
            return _by_credential(tx, sealer, identity["application_credential"])
        if "password" in methods:
            user, expires = _by_password(tx, identity["password"]["user"]), None
        elif "token" in methods:
            user, expires = _by_token(tx, sealer, identity["token"]["id"])
        else:
            raise Problem(401, UNAUTHORIZED)
        scope = _scope(tx, auth.get("scope"), user)
    except (KeyError, TypeError, AttributeError):
        raise Problem(400, "The request's 'auth' object lacks a part, or has it in the wrong form") from None
    return issue(tx, sealer, user["id"], scope, methods, expires)


def issue(
    tx: Tx,
    sealer: Sealer,
    user_id: str,
    scope: str,
    methods: list[str],
    expires: float | None = None,
    credential: str = "",
) -> tuple[str, Holder]:
    """A token for a user who is known, in a scope where they have a role.

    Raises:
        Problem: 401, they have none.
    """
    token, claim = sealer.seal(user_id, scope, methods, expires, credential)
    holder = directory.holder(tx, claim)
    if holder is None:
        raise Problem(401, UNAUTHORIZED)
    return token, holder


def find_user(tx: Tx, reference: dict[str, Any]) -> dict[str, Any] | None:
    """The user of a reference by id or name."""
    column, known = (USERS.c.id, reference["id"]) if "id" in reference else (USERS.c.name, reference["name"])
    by_id = column == str(known)
    return tx.row(sa.select(USERS).where(by_id))


def _by_password(tx: Tx, reference: dict[str, Any]) -> dict[str, Any]:
    user = find_user(tx, reference)
    if user is None or not user["enabled"] or not matches(str(reference["password"]), user["password"]):
        raise Problem(401, UNAUTHORIZED)
    return user


def _by_token(tx: Tx, sealer: Sealer, token: str) -> tuple[dict[str, Any], float]:
    claim = sealer.open(token)
    holder = directory.holder(tx, claim) if claim is not None else None
    if holder is None or holder.claim.credential_id:
        raise Problem(401, UNAUTHORIZED)
    return holder.user, holder.claim.expires


def _by_credential(tx: Tx, sealer: Sealer, reference: dict[str, Any]) -> tuple[str, Holder]:
    columns = APPLICATION_CREDENTIALS.c
    if "id" in reference:
        found = columns.id == reference["id"]
    else:
        user = find_user(tx, reference["user"])
        found = sa.and_(columns.name == reference["name"], columns.user_id == (user["id"] if user else ""))
    credential = tx.row(sa.select(APPLICATION_CREDENTIALS).where(found))
    if credential is None or not matches(str(reference["secret"]), credential["secret"]):
        raise Problem(401, UNAUTHORIZED)
    expires = None
    if credential["expires_at"]:
        expires = datetime.fromisoformat(credential["expires_at"].rstrip("Z") + "+00:00").timestamp()
    methods = ["application_credential"]
    return issue(tx, sealer, credential["user_id"], credential["project_id"], methods, expires, credential["id"])


def _scope(tx: Tx, scope: Any, user: dict[str, Any]) -> str:
    if scope is None or scope == {}:
        return str(user["default_project_id"] or "")
    if scope == "unscoped" or "unscoped" in scope:
        return ""
    if "system" in scope:
        return SYSTEM
    if "project" in scope:
        reference = scope["project"]
        column = PROJECTS.c.id if "id" in reference else PROJECTS.c.name
        project = tx.row(sa.select(PROJECTS.c.id).where(column == reference.get("id", reference.get("name"))))
        if project is None:
            raise Problem(401, UNAUTHORIZED)
        return str(project["id"])
    if "domain" in scope:
        if scope["domain"].get("id", DOMAIN["id"]) != DOMAIN["id"]:
            raise Problem(401, UNAUTHORIZED)
        return "domain"
    raise Problem(400, "The scope must be a project, a domain or the system")
