"""The compute API: versions, and all else for those who have a token."""

from typing import Any

from netloom.api.authentication import Authenticator, expand_roles
from netloom.api.errors import Unauthorized
from netloom.standalone.compute import (
    actions,
    flavors,
    hosts,
    interfaces,
    keypairs,
    proxies,
    quotas,
    server_parts,
    servers,
    versions,
)
from netloom.standalone.compute.context import ROOT, Asked, Compute, Handler
from netloom.standalone.web import Call, Problem, Reply, Route, Service

FAULTS = {
    400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 405: "badMethod",
    409: "conflictingRequest", 413: "overLimit", 501: "notImplemented", 503: "serviceUnavailable",
}  # fmt: skip
ROUTES = (
    *servers.ROUTES, *actions.ROUTES, *interfaces.ROUTES, *server_parts.ROUTES, *flavors.ROUTES, *keypairs.ROUTES,
    *hosts.ROUTES, *quotas.ROUTES, *proxies.ROUTES,
)  # fmt: skip


def compute_service(compute: Compute, authenticate: Authenticator) -> Service:
    """The compute service."""
    routes = [
        Route("GET", "/", lambda call: Reply({"versions": [versions.version_document(call)]})),
        Route("GET", "/v2.1", lambda call: Reply({"version": versions.version_document(call)})),
    ]
    for method, path, handler in ROUTES:
        guarded = _guarded(compute, authenticate, handler)
        routes += [Route(method, f"/v2.1{path}", guarded), Route(method, f"/v2.1/{{project_id}}{path}", guarded)]
    return Service(ROOT, routes, _error, lambda call, _reply: versions.version_headers(call))


def _error(status: int, _title: str, message: str) -> Any:
    return {FAULTS.get(status, "computeFault"): {"code": status, "message": message}}


def _guarded(compute: Compute, authenticate: Authenticator, handler: Handler) -> Any:
    """A handler for those who have a token of a project."""

    def guarded(call: Call) -> Reply:
        try:
            identity = authenticate(call.headers.get("x-auth-token", ""))
        except Unauthorized:
            raise Problem(401, "The request you have made requires authentication.") from None
        project_id = call.args.get("project_id", identity.project_id)
        if not identity.project_id:
            raise Problem(403, "The token has no project: sign in with one.")
        if project_id != identity.project_id:
            raise Problem(
                400,
                f"Malformed request URL: URL's project_id '{project_id}' doesn't match Context's project_id"
                f" '{identity.project_id}'",
            )
        if not expand_roles(identity.roles) & {"admin", "member", "service"} and call.method not in ("GET", "HEAD"):
            raise Problem(403, "Policy doesn't allow this to be performed.")
        return handler(compute, Asked(call, identity, versions.minor_of(call.headers)))

    return guarded
