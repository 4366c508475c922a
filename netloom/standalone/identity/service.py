"""The identity API: versions, v3 and as much of v2.0 as clients of 2013 need."""

import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from netloom.standalone.identity import catalog, credentials, directory, fixed, grants, people, version_2, views
from netloom.standalone.identity.directory import Holder
from netloom.standalone.identity.people import Action
from netloom.standalone.identity.signing import UNAUTHORIZED, sign_in
from netloom.standalone.identity.support import ROOT, require_admin
from netloom.standalone.identity.tokens import Sealer
from netloom.standalone.web import Call, Handler, Problem, Reply, Route, Service
from netloom.store.database import Store, Tx
from netloom.store.tables.identity import PROJECTS, REVOKED_TOKENS, ROLES, USERS

NO_CATALOG = "nocatalog"


def identity_service(store: Store, sealer: Sealer, forget: Callable[[], None]) -> Service:
    """The identity service; ``forget`` is called when something changes that validated tokens depend on."""
    api = _Identity(store, sealer, forget)
    return Service(ROOT, api.routes(), _error, _headers)


def _error(status: int, title: str, message: str) -> Any:
    return {"error": {"code": status, "title": title, "message": message}}


def _headers(call: Call, _reply: Reply) -> dict[str, str]:
    return {"Vary": "X-Auth-Token", "x-openstack-request-id": call.request_id}


USERS_PATH, PROJECTS_PATH, ROLES_PATH = "/v3/users", "/v3/projects", "/v3/roles"
GRANTS_PATH = "/v3/{kind}/{target_id}/users/{user_id}/roles"
CREDENTIALS_PATH = USERS_PATH + "/{user_id}/application_credentials"
PROJECT_COLUMNS = ("name", "description", "enabled")

ACTIONS: tuple[tuple[str, str, Action], ...] = (
    ("GET", "/v3/auth/projects", people.own_projects),
    ("GET", "/v3/auth/domains", fixed.list_domains),
    ("GET", "/v2.0/tenants", people.tenants),
    ("GET", "/v3/domains", fixed.list_domains),
    ("GET", "/v3/domains/{id}", fixed.show_domain),
    ("GET", PROJECTS_PATH, people.lister(PROJECTS, "projects", views.project)),
    ("POST", PROJECTS_PATH, people.create_project),
    ("GET", PROJECTS_PATH + "/{id}", people.shower(PROJECTS, "project", views.project)),
    ("PATCH", PROJECTS_PATH + "/{id}", people.updater(PROJECTS, "project", views.project, PROJECT_COLUMNS)),
    ("DELETE", PROJECTS_PATH + "/{id}", people.delete_project),
    ("GET", USERS_PATH, people.lister(USERS, "users", views.user)),
    ("POST", USERS_PATH, people.create_user),
    ("GET", USERS_PATH + "/{id}", people.shower(USERS, "user", views.user)),
    ("PATCH", USERS_PATH + "/{id}", people.update_user),
    ("DELETE", USERS_PATH + "/{id}", people.deleter(USERS, "user")),
    ("POST", USERS_PATH + "/{id}/password", people.change_password),
    ("GET", USERS_PATH + "/{id}/projects", people.projects_of_user),
    ("GET", ROLES_PATH, people.lister(ROLES, "roles", views.role)),
    ("POST", ROLES_PATH, grants.create_role),
    ("GET", ROLES_PATH + "/{id}", people.shower(ROLES, "role", views.role)),
    ("DELETE", ROLES_PATH + "/{id}", people.deleter(ROLES, "role")),
    ("GET", GRANTS_PATH, grants.list_grants),
    ("GET", GRANTS_PATH + "/{role_id}", grants.check_grant),
    ("PUT", GRANTS_PATH + "/{role_id}", grants.grant),
    ("DELETE", GRANTS_PATH + "/{role_id}", grants.revoke_grant),
    ("GET", "/v3/role_assignments", grants.list_assignments),
    ("GET", CREDENTIALS_PATH, credentials.list_credentials),
    ("POST", CREDENTIALS_PATH, credentials.create_credential),
    ("GET", CREDENTIALS_PATH + "/{id}", credentials.show_credential),
    ("DELETE", CREDENTIALS_PATH + "/{id}", credentials.delete_credential),
    ("GET", "/v3/services", fixed.list_services),
    ("GET", "/v3/endpoints", fixed.list_endpoints),
    ("GET", "/v3/regions", fixed.list_regions),
)
"""What the holder of a token may ask for."""


class _Identity:
    """What needs the key of the tokens."""

    def __init__(self, store: Store, sealer: Sealer, forget: Callable[[], None]) -> None:
        self._store, self._sealer, self._forget = store, sealer, forget

    def routes(self) -> list[Route]:
        """All routes."""
        own: tuple[tuple[str, str, Action], ...] = (
            ("GET", "/v3/auth/tokens", self._show_token),
            ("DELETE", "/v3/auth/tokens", self._revoke_token),
            ("GET", "/v3/auth/catalog", self._catalog),
        )
        return [
            Route(
                "GET",
                "/",
                lambda call: Reply({"versions": {"values": [fixed.version_3(call), fixed.version_2(call)]}}, 300),
            ),
            Route("GET", "/v3", lambda call: Reply({"version": fixed.version_3(call)})),
            Route("GET", "/v2.0", lambda call: Reply({"version": fixed.version_2(call)})),
            Route("POST", "/v3/auth/tokens", self._sign_in),
            Route("POST", "/v2.0/tokens", self._sign_in_v2),
            *(Route(method, path, self._guarded(action)) for method, path, action in own + ACTIONS),
        ]

    def _sign_in(self, call: Call) -> Reply:
        with self._store.read() as tx:
            token, holder = sign_in(tx, self._sealer, call.member("auth"))
        body = {"token": views.token_v3(holder, call.base, NO_CATALOG not in dict(call.query))}
        return Reply(body, 201, {"X-Subject-Token": token})

    def _sign_in_v2(self, call: Call) -> Reply:
        with self._store.read() as tx:
            token, holder = version_2.sign_in(tx, self._sealer, call.member("auth"))
        return Reply({"access": version_2.access(token, holder, call.base)})

    def _guarded(self, handler: Action) -> Handler:
        """A handler that runs in a transaction for the holder of a token."""

        def guarded(call: Call) -> Reply:
            if call.method in ("GET", "HEAD"):
                with self._store.read() as tx:
                    return handler(call, tx, self._holder(tx, call.headers.get("x-auth-token", "")))
            with self._store.write() as tx:
                reply = handler(call, tx, self._holder(tx, call.headers.get("x-auth-token", "")))
            self._forget()
            return reply

        return guarded

    def _holder(self, tx: Tx, token: str) -> Holder:
        claim = self._sealer.open(token)
        holder = directory.holder(tx, claim) if claim is not None else None
        if holder is None:
            raise Problem(401, UNAUTHORIZED)
        return holder

    def _show_token(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        subject = call.headers.get("x-subject-token", "")
        claim = self._sealer.open(subject)
        subject_holder = directory.holder(tx, claim) if claim is not None else None
        if subject_holder is None:
            raise Problem(404, "Could not find token.")
        if subject_holder.user["id"] != holder.user["id"] and not _may_validate(holder):
            raise Problem(403, "You are not authorized to perform the requested action: identity:validate_token.")
        body = {"token": views.token_v3(subject_holder, call.base, NO_CATALOG not in dict(call.query))}
        return Reply(body, headers={"X-Subject-Token": subject})

    def _revoke_token(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        claim = self._sealer.open(call.headers.get("x-subject-token", ""))
        if claim is None:
            raise Problem(404, "Could not find token.")
        if claim.user_id != holder.user["id"]:
            require_admin(holder)
        tx.execute(sa.delete(REVOKED_TOKENS).where(REVOKED_TOKENS.c.expires_at < time.time()))
        if tx.row(sa.select(REVOKED_TOKENS).where(REVOKED_TOKENS.c.audit_id == claim.audit_id)) is None:
            tx.execute(sa.insert(REVOKED_TOKENS).values(audit_id=claim.audit_id, expires_at=claim.expires))
        return Reply(status=204)

    def _catalog(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        project_id = holder.project["id"] if holder.project else ""
        return Reply({"catalog": catalog.catalog_v3(call.base, project_id), "links": {"self": call.base}})


def _may_validate(holder: Holder) -> bool:
    return any(role["name"] in ("admin", "service") for role in holder.roles)
