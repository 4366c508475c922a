"""The way of a request: who asks, what is asked, and who answers."""

import structlog

from netloom.api import discovery, extensions, handlers, openapi, quotas, schedulers, tags, topologies
from netloom.api.authentication import Authenticator
from netloom.api.errors import HTTPInternalServerError, HTTPNotAcceptable, error_answer
from netloom.api.handlers import Call
from netloom.api.http import Answer, Request
from netloom.api.load_balancing import lbaas
from netloom.api.policy import Policy
from netloom.api.resources import BY_COLLECTION, Family
from netloom.api.routing import collection_key, segments_of, verbs
from netloom.model.agents import AGENT
from netloom.model.auto_allocation import AUTO_ALLOCATED_TOPOLOGY
from netloom.model.errors import ApiError, HTTPBadRequest, HTTPNotFound
from netloom.model.extensions import withheld
from netloom.model.lbaas_v1 import LB_POOL
from netloom.settings.network import NetworkSettings
from netloom.store.database import Store

LOG = structlog.get_logger()


class Service:
    """The Networking API over one store. Called from several threads at once."""

    def __init__(
        self, store: Store, settings: NetworkSettings, authenticate: Authenticator | None, policy: Policy
    ) -> None:
        self._store = store
        self._settings = settings
        self._withheld = withheld(settings.service_plugins)
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
        public = self._public(request)
        if public is not None:
            return public
        call = self._call(request)
        segments = segments_of(request.path)
        _check_acceptable(request)
        if not segments:
            return verbs(request, GET=lambda: discovery.entry(request))
        key, rest = collection_key(segments[0]), segments[1:]
        if key == "extensions":
            return self._extensions(request, rest)
        if key == "quotas":
            return quotas.answer(call, rest)
        if key == "lb" and LB_POOL.extension not in self._withheld:
            return lbaas.answer(call, rest)
        if key == AUTO_ALLOCATED_TOPOLOGY.collection:
            return topologies.answer(call, rest)
        if key not in BY_COLLECTION or BY_COLLECTION[key].resource.extension in self._withheld:
            raise HTTPNotFound
        return _resource(call, BY_COLLECTION[key], rest)

    def _public(self, request: Request) -> Answer | None:
        """The answer to what needs no token."""
        path = request.path.rstrip("/")
        if path == "":
            return verbs(request, GET=lambda: discovery.versions(request))
        if path == "/healthcheck":
            return verbs(request, GET=lambda: discovery.healthcheck(self._store))
        if path == "/openapi.json":
            return verbs(request, GET=lambda: openapi.document_answer(request, self._withheld))
        if path == "/docs":
            return verbs(request, GET=lambda: openapi.page_answer(self._withheld))
        return None

    def _extensions(self, request: Request, rest: tuple[str, ...]) -> Answer:
        if not rest:
            return verbs(request, GET=lambda: extensions.list_extensions(self._withheld))
        if len(rest) == 1:
            return verbs(request, GET=lambda: extensions.show_extension(rest[0], self._withheld))
        raise HTTPNotFound

    def _call(self, request: Request) -> Call:
        return handlers.begin(request, self._authenticate, self._policy, self._store, self._settings)


def _resource(call: Call, family: Family, rest: tuple[str, ...]) -> Answer:
    """A collection, a member, its tags, one of its actions, or the agents that carry it."""
    offered = family.resource.verbs
    match rest:
        case ():
            answers = {"GET": ("list", lambda: handlers.list_all(call, family))}
            answers["POST"] = ("create", lambda: handlers.create(call, family))
            if family.resource is AGENT:
                answers["POST"] = ("list", _refuse_agents)
        case (object_id,):
            answers = {"GET": ("show", lambda: handlers.show(call, family, object_id))}
            answers["PUT"] = ("update", lambda: handlers.update(call, family, object_id))
            answers["DELETE"] = ("delete", lambda: handlers.delete(call, family, object_id))
        case (object_id, "loadbalancer-pools" | "loadbalancer_pools") if family.resource is AGENT:
            return lbaas.carried_by(call, object_id)
        case (object_id, "tags") if family.resource.tagged:
            return tags.answer_all(call, family, object_id)
        case (object_id, "tags", tag) if family.resource.tagged:
            return tags.answer_one(call, family, object_id, tag)
        case (object_id, name) if (action := name.replace("-", "_")) in family.actions:
            return verbs(call.request, PUT=lambda: handlers.act(call, family, object_id, action))
        case (object_id, name) if (detail := name.replace("-", "_")) in family.details:
            return verbs(call.request, GET=lambda: handlers.show_detail(call, family, object_id, detail))
        case (object_id, *_) if (found := schedulers.answer(call, family.resource, object_id, rest[1:])) is not None:
            return found
        case _:
            raise HTTPNotFound
    return verbs(call.request, **{method: answer for method, (verb, answer) in answers.items() if verb in offered})


def _refuse_agents() -> Answer:
    raise HTTPBadRequest("Agents make themselves known by their heartbeats: they are not created.")


def _check_acceptable(request: Request) -> None:
    """Refuse clients that do not take JSON. (RFC 9110, 12.5.1; weights do not matter with one format.)"""
    accept = request.headers.get("accept")
    if not accept:
        return
    accepted = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    if accepted.isdisjoint({"*/*", "application/*", "application/json"}):
        raise HTTPNotAcceptable
