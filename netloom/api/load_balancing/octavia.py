"""The load balancer API (Octavia v2): the way of a request, and the answers that belong to no collection."""

from collections.abc import Callable
from urllib.parse import unquote

import structlog
from starlette.applications import Starlette
from starlette.routing import Mount

from netloom.api import discovery
from netloom.api.app import Endpoint
from netloom.api.authentication import Authenticator
from netloom.api.errors import HTTPInternalServerError, Unauthorized
from netloom.api.handlers import Call, begin
from netloom.api.http import Answer, Request, answer_json
from netloom.api.load_balancing import flavors, handlers, quotas
from netloom.api.load_balancing.collections import BY_PATH
from netloom.api.load_balancing.policy import rule
from netloom.api.policy import Policy
from netloom.api.query import requested_fields
from netloom.api.routing import verbs
from netloom.model.errors import ApiError, HTTPNotFound, PolicyNotAuthorized
from netloom.rules.load_balancing import errors
from netloom.rules.load_balancing.flavors import PROVIDERS
from netloom.settings.network import NetworkSettings
from netloom.store.database import Store

LOG = structlog.get_logger()
VERSIONS = tuple((f"v2.{minor}", "2016-12-11T00:00:00Z") for minor in range(13))
"""Versions of the API that are served: clients decide by them what they may send. v2.12: allowed CIDRs."""
FORBIDDEN = "Policy does not allow this request to be performed."
EMPTY: dict[str, tuple[str, str]] = {
    "availabilityzones": ("availability_zones", "availability-zone"),
    "availabilityzoneprofiles": ("availability_zone_profiles", "availability-zone-profile"),
}
"""Collections in which there is nothing: their envelope, and their name in the policy."""


def create_app(
    store: Store, settings: NetworkSettings, authenticate: Authenticator | None, policy: Policy
) -> Starlette:
    """The load balancer API, to be served or mounted. Without ``authenticate`` everybody is believed."""
    return Starlette(routes=[Mount("/", app=Endpoint(Octavia(store, settings, authenticate, policy)))])


class Octavia:
    """The load balancer API over one store. Called from several threads at once."""

    def __init__(
        self, store: Store, settings: NetworkSettings, authenticate: Authenticator | None, policy: Policy
    ) -> None:
        self._store = store
        self._settings = settings
        self._authenticate = authenticate
        self._policy = policy

    def __call__(self, request: Request) -> Answer:
        """The answer to a request; every failure is one, too."""
        try:
            return self._answer(request)
        except ApiError as error:
            return error_answer(error)
        except Exception:
            LOG.exception("request failed", method=request.method, path=request.path, request_id=request.id)
            return error_answer(HTTPInternalServerError())

    def _answer(self, request: Request) -> Answer:
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        if parts == [""]:
            return verbs(request, GET=lambda: _versions(request))
        if parts == ["healthcheck"]:
            return verbs(request, GET=lambda: discovery.healthcheck(self._store))
        call = self._call(request)
        match parts:
            case ["v2" | "v2.0"]:
                return verbs(request, GET=lambda: _versions(request))
            case ["v2" | "v2.0", "octavia", "amphorae"]:
                return verbs(request, GET=lambda: _nothing(call, "amphorae", "amphora"))
            case ["v2" | "v2.0", "octavia", "amphorae", key, *_]:
                raise errors.LoadBalancerNotFound(resource="Amphora", id=key)
            case ["v2" | "v2.0", "lbaas", name, *rest]:
                return _below(call, name, tuple(rest))
            case ["v2" | "v2.0", name, *rest] if name in BY_PATH or name == "quotas":  # as clients of old ask
                return _below(call, name, tuple(rest))
        raise HTTPNotFound

    def _call(self, request: Request) -> Call:
        return begin(request, self._authenticate, self._policy, self._store, self._settings)


def error_answer(error: ApiError) -> Answer:
    """The answer that tells a client of ``error``."""
    if isinstance(error, Unauthorized):
        body = {"error": {"code": 401, "title": "Unauthorized", "message": str(error)}}
        return Answer(401, answer_json(401, body).body, headers={"WWW-Authenticate": "Keystone"})
    text = FORBIDDEN if isinstance(error, PolicyNotAuthorized) else str(error)
    side = "Server" if error.status >= 500 else "Client"
    return answer_json(error.status, {"faultcode": side, "faultstring": text, "debuginfo": None})


def _below(call: Call, name: str, rest: tuple[str, ...]) -> Answer:
    if name in BY_PATH:
        return handlers.answer(call, BY_PATH[name], rest)
    if name == "quotas":
        return quotas.answer(call, rest)
    if name == "providers":
        return _providers(call, rest)
    if name in flavors.KINDS:
        return flavors.answer(call, flavors.KINDS[name], rest)
    if name in EMPTY:
        return _empty(call, name, rest)
    raise HTTPNotFound


def _versions(request: Request) -> Answer:
    links = [{"rel": "self", "href": f"{request.base_url}/v2"}]
    shown = [{"id": name, "status": "SUPPORTED", "updated": day, "links": links} for name, day in VERSIONS]
    shown[-1]["status"] = "CURRENT"
    return answer_json(200, {"versions": shown})


def _providers(call: Call, rest: tuple[str, ...]) -> Answer:
    match rest:
        case ():
            handlers.permit(call, rule("provider", "get_all"))
            fields = requested_fields(call.request.query)
            views = [{"name": name, "description": text} for name, text in PROVIDERS.items()]
            listed = [{key: view[key] for key in view if fields is None or key in fields} for view in views]
            return verbs(call.request, GET=lambda: answer_json(200, {"providers": listed}))
        case (name, "flavor_capabilities") if name in PROVIDERS:
            return verbs(call.request, GET=lambda: flavors.capabilities(call))
        case (name, "availability_zone_capabilities" as kind) if name in PROVIDERS:
            return verbs(call.request, GET=lambda: _nothing(call, kind, "provider-availability-zone"))
    raise HTTPNotFound


def _empty(call: Call, name: str, rest: tuple[str, ...]) -> Answer:
    envelope, resource = EMPTY[name]
    if rest:
        raise errors.LoadBalancerNotFound(resource=resource.replace("-", " ").capitalize(), id=rest[0])
    answers: dict[str, Callable[[], Answer]] = {"GET": lambda: _nothing(call, envelope, resource)}
    return verbs(call.request, **answers, POST=_refuse)


def _nothing(call: Call, envelope: str, resource: str) -> Answer:
    handlers.permit(call, rule(resource, "get_all"))
    return answer_json(200, {envelope: []})


def _refuse() -> Answer:
    raise errors.ProviderUnsupportedOptionError(provider=next(iter(PROVIDERS)), option="availability zone")
