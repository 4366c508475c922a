"""The identity API: versions, v3 and as much of v2.0 as clients of 2013 need."""

import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from netloom.standalone.identity import catalog, directory, views
from netloom.standalone.identity.directory import DOMAIN, Holder
from netloom.standalone.identity.passwords import conceal, matches
from netloom.standalone.identity.signing import UNAUTHORIZED, find_user, issue, sign_in
from netloom.standalone.identity.tokens import Sealer
from netloom.standalone.web import Call, Handler, Problem, Reply, Route, Service
from netloom.store.database import Store, Tx
from netloom.store.tables.identity import (
    APPLICATION_CREDENTIALS,
    ASSIGNMENTS,
    PROJECTS,
    REVOKED_TOKENS,
    ROLES,
    USERS,
)

ROOT = "/identity"
Row = dict[str, Any]


def identity_service(store: Store, sealer: Sealer, forget: Callable[[], None]) -> Service:
    """The identity service; ``forget`` is called when something changes that validated tokens depend on."""
    api = _Identity(store, sealer, forget)
    return Service(ROOT, api.routes(), _error, lambda call, _reply: {"Vary": "X-Auth-Token", "x-openstack-request-id": call.request_id})


def _error(status: int, title: str, message: str) -> Any:
    return {"error": {"code": status, "title": title, "message": message}}


class _Identity:
    def __init__(self, store: Store, sealer: Sealer, forget: Callable[[], None]) -> None:
        self._store, self._sealer, self._forget = store, sealer, forget

    def routes(self) -> list[Route]:
        """All routes; the order does not matter, patterns are distinct but for PROJECT-like parts."""
        users, projects, roles = "/v3/users", "/v3/projects", "/v3/roles"
        grants = "/v3/{kind}/{target_id}/users/{user_id}/roles"
        credentials = "/v3/users/{user_id}/application_credentials"
        open_routes = [
            Route("GET", "/", lambda call: Reply({"versions": {"values": [_version_3(call), _version_2(call)]}}, 300)),
            Route("GET", "/v3", lambda call: Reply({"version": _version_3(call)})),
            Route("GET", "/v2.0", lambda call: Reply({"version": _version_2(call)})),
            Route("POST", "/v3/auth/tokens", self._sign_in),
            Route("POST", "/v2.0/tokens", self._sign_in_v2),
        ]
        guarded = [
            ("GET", "/v3/auth/tokens", self._show_token),
            ("DELETE", "/v3/auth/tokens", self._revoke_token),
            ("GET", "/v3/auth/catalog", self._catalog),
            ("GET", "/v3/auth/projects", self._own_projects),
            ("GET", "/v3/auth/domains", lambda call, tx, _h: _listing("domains", [views.domain(call.base)], call)),
            ("GET", "/v2.0/tenants", self._tenants),
            ("GET", "/v3/domains", self._domains),
            ("GET", "/v3/domains/{id}", self._domain),
            ("GET", projects, self._list(PROJECTS, "projects", views.project)),
            ("POST", projects, self._create_project),
            ("GET", projects + "/{id}", self._show(PROJECTS, "project", views.project)),
            ("PATCH", projects + "/{id}", self._update(PROJECTS, "project", views.project, ("name", "description", "enabled"))),
            ("DELETE", projects + "/{id}", self._delete_project),
            ("GET", users, self._list(USERS, "users", views.user)),
            ("POST", users, self._create_user),
            ("GET", users + "/{id}", self._show(USERS, "user", views.user)),
            ("PATCH", users + "/{id}", self._update_user),
            ("DELETE", users + "/{id}", self._delete(USERS, "user")),
            ("POST", users + "/{id}/password", self._change_password),
            ("GET", users + "/{id}/projects", self._projects_of_user),
            ("GET", roles, self._list(ROLES, "roles", views.role)),
            ("POST", roles, self._create_role),
            ("GET", roles + "/{id}", self._show(ROLES, "role", views.role)),
            ("DELETE", roles + "/{id}", self._delete(ROLES, "role")),
            ("GET", grants, self._list_grants),
            ("GET", grants + "/{role_id}", self._check_grant),
            ("PUT", grants + "/{role_id}", self._grant),
            ("DELETE", grants + "/{role_id}", self._revoke_grant),
            ("GET", "/v3/role_assignments", self._assignments),
            ("GET", credentials, self._list_credentials),
            ("POST", credentials, self._create_credential),
            ("GET", credentials + "/{id}", self._show_credential),
            ("DELETE", credentials + "/{id}", self._delete_credential),
            ("GET", "/v3/services", self._services),
            ("GET", "/v3/endpoints", self._endpoints),
            ("GET", "/v3/regions", self._regions),
        ]
        return open_routes + [Route(method, path, self._guarded(handler)) for method, path, handler in guarded]

    # Signing in

    def _sign_in(self, call: Call) -> Reply:
        with self._store.read() as tx:
            token, holder = sign_in(tx, self._sealer, call.member("auth"))
        body = {"token": views.token_v3(holder, call.base, "nocatalog" not in dict(call.query))}
        return Reply(body, 201, {"X-Subject-Token": token})

    def _sign_in_v2(self, call: Call) -> Reply:
        auth = call.member("auth")
        given = auth.get("passwordCredentials") or {}
        with self._store.read() as tx:
            user = find_user(tx, {"name": given.get("username", "")})
            if user is None or not matches(str(given.get("password", "")), user["password"]):
                raise Problem(401, UNAUTHORIZED)
            column, value = (PROJECTS.c.id, auth["tenantId"]) if auth.get("tenantId") else (PROJECTS.c.name, auth.get("tenantName", ""))
            project = tx.row(sa.select(PROJECTS).where(column == value))
            token, holder = issue(tx, self._sealer, user["id"], project["id"] if project else "", ["password"])
        return Reply({"access": _access_v2(token, holder, call.base)})

    def _guarded(self, handler: Callable[[Call, Tx, Holder], Reply]) -> Handler:
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
        body = {"token": views.token_v3(subject_holder, call.base, "nocatalog" not in dict(call.query))}
        return Reply(body, headers={"X-Subject-Token": subject})

    def _revoke_token(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        claim = self._sealer.open(call.headers.get("x-subject-token", ""))
        if claim is None:
            raise Problem(404, "Could not find token.")
        if claim.user_id != holder.user["id"]:
            _require_admin(holder)
        tx.execute(sa.delete(REVOKED_TOKENS).where(REVOKED_TOKENS.c.expires_at < time.time()))
        if tx.row(sa.select(REVOKED_TOKENS).where(REVOKED_TOKENS.c.audit_id == claim.audit_id)) is None:
            tx.execute(sa.insert(REVOKED_TOKENS).values(audit_id=claim.audit_id, expires_at=claim.expires))
        return Reply(status=204)

    def _catalog(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        project_id = holder.project["id"] if holder.project else ""
        return Reply({"catalog": catalog.catalog_v3(call.base, project_id), "links": {"self": call.base}})

    # Generic parts: a table, its name in bodies, how a row is shown

    def _list(self, table: sa.Table, plural: str, show: Callable[[Row, str], Row]) -> Callable[[Call, Tx, Holder], Reply]:
        def listing(call: Call, tx: Tx, holder: Holder) -> Reply:
            query = sa.select(table).order_by(table.c.name)
            if (name := call.param("name")) is not None:
                query = query.where(table.c.name == name)
            if call.param("domain_id", DOMAIN["id"]) != DOMAIN["id"] and plural != "roles":
                return _listing(plural, [], call)
            if plural == "users" and not holder.is_admin:
                query = query.where(table.c.id == holder.user["id"])
            return _listing(plural, [show(row, call.base) for row in tx.rows(query)], call)

        return listing

    def _show(self, table: sa.Table, name: str, show: Callable[[Row, str], Row]) -> Callable[[Call, Tx, Holder], Reply]:
        def showing(call: Call, tx: Tx, _holder: Holder) -> Reply:
            return Reply({name: show(_existing(tx, table, name, call.args["id"]), call.base)})

        return showing

    def _update(
        self, table: sa.Table, name: str, show: Callable[[Row, str], Row], allowed: tuple[str, ...]
    ) -> Callable[[Call, Tx, Holder], Reply]:
        def updating(call: Call, tx: Tx, holder: Holder) -> Reply:
            _require_admin(holder)
            row = _existing(tx, table, name, call.args["id"])
            values = {key: value for key, value in call.member(name).items() if key in allowed}
            if values:
                tx.execute(sa.update(table).where(table.c.id == row["id"]).values(**values))
            return Reply({name: show(row | values, call.base)})

        return updating

    def _delete(self, table: sa.Table, name: str) -> Callable[[Call, Tx, Holder], Reply]:
        def deleting(call: Call, tx: Tx, holder: Holder) -> Reply:
            _require_admin(holder)
            row = _existing(tx, table, name, call.args["id"])
            tx.execute(sa.delete(table).where(table.c.id == row["id"]))
            return Reply(status=204)

        return deleting

    # Projects and users

    def _create_project(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        _require_admin(holder)
        given = call.member("project")
        name = _new_name(tx, PROJECTS, "project", given)
        row = {
            "id": directory.new_id(),
            "name": name,
            "description": given.get("description") or "",
            "enabled": bool(given.get("enabled", True)),
        }
        tx.execute(sa.insert(PROJECTS).values(**row))
        return Reply({"project": views.project(row, call.base)}, 201)

    def _delete_project(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        tx.execute(sa.delete(ASSIGNMENTS).where(ASSIGNMENTS.c.target_id == call.args["id"]))
        return self._delete(PROJECTS, "project")(call, tx, holder)

    def _create_user(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        _require_admin(holder)
        given = call.member("user")
        row = {
            "id": directory.new_id(),
            "name": _new_name(tx, USERS, "user", given),
            "password": conceal(str(given.get("password") or directory.new_id())),
            "enabled": bool(given.get("enabled", True)),
            "default_project_id": given.get("default_project_id"),
            "email": given.get("email"),
            "description": given.get("description"),
            "tokens_since": 0.0,
        }
        tx.execute(sa.insert(USERS).values(**row))
        return Reply({"user": views.user(row, call.base)}, 201)

    def _update_user(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        reply = self._update(USERS, "user", views.user, ("name", "enabled", "email", "description", "default_project_id"))(
            call, tx, holder
        )
        if (password := call.member("user").get("password")) is not None:
            self._set_password(tx, call.args["id"], str(password))
        return reply

    def _change_password(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        given = call.member("user")
        row = _existing(tx, USERS, "user", call.args["id"])
        if holder.user["id"] != row["id"] or not matches(str(given.get("original_password", "")), row["password"]):
            raise Problem(401, UNAUTHORIZED)
        self._set_password(tx, row["id"], str(given.get("password", "")))
        return Reply(status=204)

    def _set_password(self, tx: Tx, user_id: str, password: str) -> None:
        if not password:
            raise Problem(400, "The password must not be empty")
        values = {"password": conceal(password), "tokens_since": time.time()}
        tx.execute(sa.update(USERS).where(USERS.c.id == user_id).values(**values))

    def _own_projects(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        return _listing("projects", [views.project(row, call.base) for row in _projects_of(tx, holder.user["id"])], call)

    def _projects_of_user(self, call: Call, tx: Tx, _holder: Holder) -> Reply:
        return _listing("projects", [views.project(row, call.base) for row in _projects_of(tx, call.args["id"])], call)

    def _tenants(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        return Reply({"tenants": [views.project(row, call.base) for row in _projects_of(tx, holder.user["id"])], "tenants_links": []})

    # Roles

    def _create_role(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        _require_admin(holder)
        row = {"id": directory.new_id(), "name": _new_name(tx, ROLES, "role", call.member("role"))}
        tx.execute(sa.insert(ROLES).values(**row))
        return Reply({"role": views.role(row, call.base)}, 201)

    def _list_grants(self, call: Call, tx: Tx, _holder: Holder) -> Reply:
        query = (
            sa.select(ROLES)
            .join(ASSIGNMENTS, ASSIGNMENTS.c.role_id == ROLES.c.id)
            .where(ASSIGNMENTS.c.user_id == call.args["user_id"], ASSIGNMENTS.c.target_id == call.args["target_id"])
        )
        return _listing("roles", [views.role(row, call.base) for row in tx.rows(query)], call)

    def _check_grant(self, call: Call, tx: Tx, _holder: Holder) -> Reply:
        if tx.row(sa.select(ASSIGNMENTS).filter_by(**_grant_key(call))) is None:
            raise Problem(404, "Could not find role assignment.")
        return Reply(status=204)

    def _grant(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        _require_admin(holder)
        _existing(tx, USERS, "user", call.args["user_id"])
        _existing(tx, ROLES, "role", call.args["role_id"])
        if call.args["kind"] == "projects":
            _existing(tx, PROJECTS, "project", call.args["target_id"])
        directory.grant(tx, call.args["user_id"], call.args["target_id"], call.args["role_id"])
        return Reply(status=204)

    def _revoke_grant(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        _require_admin(holder)
        self._check_grant(call, tx, holder)
        tx.execute(sa.delete(ASSIGNMENTS).filter_by(**_grant_key(call)))
        return Reply(status=204)

    def _assignments(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        _require_admin(holder)
        query = sa.select(ASSIGNMENTS, ROLES.c.name.label("role_name")).join(ROLES, ASSIGNMENTS.c.role_id == ROLES.c.id)
        for parameter, column in (("user.id", "user_id"), ("scope.project.id", "target_id"), ("role.id", "role_id")):
            if (value := call.param(parameter)) is not None:
                query = query.where(ASSIGNMENTS.c[column] == value)
        return _listing("role_assignments", [_assignment(row) for row in tx.rows(query)], call)

    # Application credentials

    def _list_credentials(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        _require_self(call, holder)
        query = sa.select(APPLICATION_CREDENTIALS).where(APPLICATION_CREDENTIALS.c.user_id == call.args["user_id"])
        if (name := call.param("name")) is not None:
            query = query.where(APPLICATION_CREDENTIALS.c.name == name)
        return _listing("application_credentials", [views.credential(row) for row in tx.rows(query)], call)

    def _create_credential(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        _require_self(call, holder)
        if holder.project is None or holder.claim.credential_id:
            raise Problem(403, "An application credential is made with a password and for a project.")
        given = call.member("application_credential")
        own = [role["name"] for role in holder.roles]
        roles = [str(role.get("name")) for role in given.get("roles") or []] or own
        if not set(roles) <= set(own):
            raise Problem(400, "The roles must be among those of the caller")
        secret = str(given.get("secret") or directory.new_id() + directory.new_id())
        row = {
            "id": directory.new_id(),
            "name": _new_name(tx, APPLICATION_CREDENTIALS, "application_credential", given, holder.user["id"]),
            "description": given.get("description") or "",
            "secret": conceal(secret),
            "user_id": holder.user["id"],
            "project_id": holder.project["id"],
            "roles": roles,
            "expires_at": given.get("expires_at"),
            "unrestricted": bool(given.get("unrestricted", False)),
        }
        tx.execute(sa.insert(APPLICATION_CREDENTIALS).values(**row))
        return Reply({"application_credential": views.credential(row) | {"secret": secret}}, 201)

    def _show_credential(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        _require_self(call, holder)
        row = _existing(tx, APPLICATION_CREDENTIALS, "application_credential", call.args["id"])
        return Reply({"application_credential": views.credential(row)})

    def _delete_credential(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        _require_self(call, holder)
        row = _existing(tx, APPLICATION_CREDENTIALS, "application_credential", call.args["id"])
        tx.execute(sa.delete(APPLICATION_CREDENTIALS).where(APPLICATION_CREDENTIALS.c.id == row["id"]))
        return Reply(status=204)

    # What is fixed

    def _domains(self, call: Call, tx: Tx, _holder: Holder) -> Reply:
        known = call.param("name", DOMAIN["name"]) == DOMAIN["name"]
        return _listing("domains", [views.domain(call.base)] if known else [], call)

    def _domain(self, call: Call, tx: Tx, _holder: Holder) -> Reply:
        if call.args["id"] != DOMAIN["id"]:
            raise Problem(404, f"Could not find domain: {call.args['id']}.")
        return Reply({"domain": views.domain(call.base)})

    def _services(self, call: Call, tx: Tx, _holder: Holder) -> Reply:
        wanted = call.param("type")
        rows = [
            {"id": kind, "type": kind, "name": name, "enabled": True, "links": {}}
            for kind, name, _ in catalog.SERVICES
            if wanted in (None, kind)
        ]
        return _listing("services", rows, call)

    def _endpoints(self, call: Call, tx: Tx, holder: Holder) -> Reply:
        project_id = holder.project["id"] if holder.project else ""
        rows = [
            endpoint | {"service_id": service["id"], "enabled": True, "links": {}}
            for service in catalog.catalog_v3(call.base, project_id)
            for endpoint in service["endpoints"]
        ]
        return _listing("endpoints", rows, call)

    def _regions(self, call: Call, tx: Tx, _holder: Holder) -> Reply:
        return _listing("regions", [{"id": catalog.REGION, "description": "", "parent_region_id": None, "links": {}}], call)


def _may_validate(holder: Holder) -> bool:
    return any(role["name"] in ("admin", "service") for role in holder.roles)


def _require_admin(holder: Holder) -> None:
    if not holder.is_admin:
        raise Problem(403, "You are not authorized to perform the requested action.")


def _require_self(call: Call, holder: Holder) -> None:
    if call.args["user_id"] != holder.user["id"] and not holder.is_admin:
        raise Problem(403, "You are not authorized to perform the requested action.")


def _existing(tx: Tx, table: sa.Table, name: str, object_id: str) -> Row:
    row = tx.row(sa.select(table).where(table.c.id == object_id))
    if row is None:
        raise Problem(404, f"Could not find {name.replace('_', ' ')}: {object_id}.")
    return row


def _new_name(tx: Tx, table: sa.Table, name: str, given: Row, user_id: str | None = None) -> str:
    """The name in a request, when it is one and not taken."""
    wanted = given.get("name")
    if not isinstance(wanted, str) or not wanted.strip() or len(wanted) > 255:
        raise Problem(400, f"A {name.replace('_', ' ')} needs a 'name' of 1 to 255 characters")
    query = sa.select(table.c.id).where(table.c.name == wanted)
    if user_id is not None:
        query = query.where(table.c.user_id == user_id)
    if tx.row(query) is not None:
        raise Problem(409, f"Conflict occurred attempting to store {name} - Duplicate entry found with name {wanted}.")
    return wanted


def _grant_key(call: Call) -> dict[str, str]:
    return {key: call.args[key] for key in ("user_id", "target_id", "role_id")}


def _projects_of(tx: Tx, user_id: str) -> list[Row]:
    targets = sa.select(ASSIGNMENTS.c.target_id).where(ASSIGNMENTS.c.user_id == user_id)
    return tx.rows(sa.select(PROJECTS).where(PROJECTS.c.id.in_(targets)).order_by(PROJECTS.c.name))


def _assignment(row: Row) -> Row:
    target = row["target_id"]
    scopes: dict[str, Any] = {DOMAIN["id"]: {"domain": {"id": target}}, directory.SYSTEM: {"system": {"all": True}}}
    return {
        "role": {"id": row["role_id"], "name": row["role_name"]},
        "user": {"id": row["user_id"]},
        "scope": scopes.get(target, {"project": {"id": target}}),
        "links": {},
    }


def _listing(plural: str, rows: list[Row], call: Call) -> Reply:
    own = f"{call.base}{ROOT}{call.path}"
    return Reply({plural: rows, "links": {"self": own, "previous": None, "next": None}})


def _version_3(call: Call) -> Row:
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{call.base}{ROOT}/v3/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


def _version_2(call: Call) -> Row:
    return {
        "id": "v2.0",
        "status": "deprecated",
        "updated": "2014-04-17T00:00:00Z",
        "links": [{"rel": "self", "href": f"{call.base}{ROOT}/v2.0/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v2.0+json"}],
    }


def _access_v2(token: str, holder: Holder, base: str) -> Row:
    project = holder.project
    shown: Row = {"id": token, "issued_at": views.moment(holder.claim.issued), "expires": views.moment(holder.claim.expires)}
    if project:
        shown["tenant"] = views.project(project, base)
    return {
        "token": shown,
        "user": {
            "id": holder.user["id"],
            "name": holder.user["name"],
            "username": holder.user["name"],
            "roles": [{"name": role["name"]} for role in holder.roles],
            "roles_links": [],
        },
        "serviceCatalog": catalog.catalog_v2(base, project["id"] if project else ""),
        "metadata": {"is_admin": 0, "roles": []},
    }
