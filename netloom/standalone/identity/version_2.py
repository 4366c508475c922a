"""Identity v2.0, the only one that clients of 2013 speak: it knows no domains and calls projects tenants."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from netloom.standalone.identity import catalog, signing, views
from netloom.standalone.identity.directory import Holder
from netloom.standalone.identity.support import Row
from netloom.standalone.identity.tokens import Sealer
from netloom.standalone.web import Problem
from netloom.store.database import Tx


def sign_in(tx: Tx, sealer: Sealer, auth: Mapping[str, Any]) -> tuple[str, Holder]:
    """A token for the ``auth`` object of a v2.0 request, and its holder.

    Raises:
        Problem: 400 for a malformed request, 401 for wrong credentials or a tenant where they have no role.
    """
    given: Row = {"identity": _identity(auth)}
    if (tenant := _text(auth, "tenantId")) is not None:
        given["scope"] = {"project": {"id": tenant}}
    elif (tenant := _text(auth, "tenantName")) is not None:
        given["scope"] = {"project": {"name": tenant}}
    return signing.sign_in(tx, sealer, given)


def _identity(auth: Mapping[str, Any]) -> Row:
    """The credentials as v3 names them."""
    password, token = auth.get("passwordCredentials"), auth.get("token")
    if isinstance(password, dict):
        user: Row = {"password": _text(password, "password")}
        if (user_id := _text(password, "userId")) is not None:
            user["id"] = user_id
        else:
            user["name"] = _text(password, "username")
        if None not in user.values():
            return {"methods": ["password"], "password": {"user": user}}
    elif isinstance(token, dict) and (known := _text(token, "id")) is not None:
        return {"methods": ["token"], "token": {"id": known}}
    raise Problem(400, "The 'auth' object needs 'passwordCredentials' (username, password) or a 'token' (id)")


def _text(given: Mapping[str, Any], name: str) -> str | None:
    """A text, or None when it is not there or empty."""
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise Problem(400, f"'{name}' must be a text")
    return value or None


def access(token: str, holder: Holder, base: str) -> Row:
    """What a client learns when it has signed in; ``base`` is where it reaches the cloud."""
    claim, project = holder.claim, holder.project
    shown: Row = {"id": token, "issued_at": views.moment(claim.issued), "expires": _second(claim.expires)}
    if project:
        shown["tenant"] = tenant(project)
    return {
        "token": shown,
        "user": {
            "id": holder.user["id"],
            "name": holder.user["name"],
            "username": holder.user["name"],
            "roles": [{"name": role["name"]} for role in holder.roles],
            "roles_links": [],
        },
        "serviceCatalog": catalog.catalog_v2(base, project["id"]) if project else [],
        "metadata": {"is_admin": 0, "roles": [role["id"] for role in holder.roles]},
    }


def tenant(project: Row) -> Row:
    """A project."""
    return {name: project[name] for name in ("id", "name", "description", "enabled")}


def _second(seconds: float) -> str:
    """A point in time, without fractions: clients of that time compare it as text."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
