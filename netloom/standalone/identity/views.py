"""How the identity API shows what there is."""

from datetime import UTC, datetime
from typing import Any

from netloom.standalone.identity import catalog
from netloom.standalone.identity.directory import DOMAIN, SYSTEM, Holder


def moment(seconds: float) -> str:
    """A point in time as Keystone writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def project(row: dict[str, Any], base: str) -> dict[str, Any]:
    """A project."""
    return {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "enabled": row["enabled"],
        "domain_id": DOMAIN["id"],
        "parent_id": DOMAIN["id"],
        "is_domain": False,
        "options": {},
        "tags": [],
        "links": {"self": f"{base}/identity/v3/projects/{row['id']}"},
    }


def user(row: dict[str, Any], base: str) -> dict[str, Any]:
    """A user; never the password."""
    shown = {
        "id": row["id"],
        "name": row["name"],
        "enabled": row["enabled"],
        "domain_id": DOMAIN["id"],
        "options": {},
        "password_expires_at": None,
        "links": {"self": f"{base}/identity/v3/users/{row['id']}"},
    }
    return shown | {key: row[key] for key in ("default_project_id", "email", "description") if row[key] is not None}


def role(row: dict[str, Any], base: str) -> dict[str, Any]:
    """A role."""
    links = {"self": f"{base}/identity/v3/roles/{row['id']}"}
    return {"id": row["id"], "name": row["name"], "domain_id": None, "description": None, "options": {}, "links": links}


def domain(base: str) -> dict[str, Any]:
    """The one domain."""
    links = {"self": f"{base}/identity/v3/domains/{DOMAIN['id']}"}
    return DOMAIN | {"description": "The default domain", "enabled": True, "options": {}, "tags": [], "links": links}


def credential(row: dict[str, Any]) -> dict[str, Any]:
    """An application credential, without its secret."""
    return {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "project_id": row["project_id"],
        "user_id": row["user_id"],
        "roles": [{"id": name, "name": name, "domain_id": None} for name in row["roles"]],
        "expires_at": row["expires_at"],
        "unrestricted": row["unrestricted"],
        "system": None,
    }


def token_v3(holder: Holder, base: str, with_catalog: bool = True) -> dict[str, Any]:
    """The body of a v3 token."""
    claim = holder.claim
    body: dict[str, Any] = {
        "methods": claim.methods,
        "user": {
            "id": holder.user["id"],
            "name": holder.user["name"],
            "domain": DOMAIN,
            "password_expires_at": None,
        },
        "audit_ids": [claim.audit_id],
        "issued_at": moment(claim.issued),
        "expires_at": moment(claim.expires),
    }
    if not holder.scope:
        return body
    body["roles"] = [{"id": entry["id"], "name": entry["name"]} for entry in holder.roles]
    if with_catalog:
        body["catalog"] = catalog.catalog_v3(base, holder.project["id"] if holder.project else "")
    if holder.project:
        body["project"] = {"id": holder.project["id"], "name": holder.project["name"], "domain": DOMAIN}
        body["is_domain"] = False
    elif holder.scope == SYSTEM:
        body["system"] = {"all": True}
    else:
        body["domain"] = DOMAIN
    return body
