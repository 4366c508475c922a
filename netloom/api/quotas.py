"""``/quotas``: the limits of projects."""

from typing import Any

from netloom.api.access import ObjectTarget, Parents
from netloom.api.bodies import decode_object
from netloom.api.errors import HTTPNotImplemented
from netloom.api.handlers import Call
from netloom.api.http import Answer, answer_json
from netloom.api.routing import verbs
from netloom.api.transactions import write
from netloom.model.errors import HTTPBadRequest, HTTPNotFound
from netloom.model.fields import Resource, project
from netloom.rules import quotas
from netloom.store.database import Tx

QUOTA = Resource(name="quota", plural="quotas", fields=project("VF"))
"""Quotas as policy rules see them; their other attributes are the names of what is limited."""


def answer(call: Call, rest: tuple[str, ...]) -> Answer:
    """The answer to any request below ``/quotas``."""
    request = call.request
    match rest:
        case ():
            return verbs(request, GET=lambda: _list(call), POST=_refuse)
        case ("tenant" | "project" as name,):
            return verbs(request, GET=lambda: _own(call, name))
        case (project_id,):
            return verbs(
                request,
                GET=lambda: _show(call, project_id),
                PUT=lambda: _update(call, project_id),
                DELETE=lambda: _delete(call, project_id),
            )
        case (project_id, "default"):
            return verbs(request, GET=lambda: _default(call, project_id))
        case (project_id, "details"):
            return verbs(request, GET=lambda: _details(call, project_id))
    raise HTTPNotFound


def _refuse() -> Answer:
    raise HTTPNotImplemented("Quotas are set with PUT.")


def _list(call: Call) -> Answer:
    with call.store.read() as tx:
        return answer_json(200, {"quotas": quotas.listing(tx, call.context)})


def _own(call: Call, name: str) -> Answer:
    return answer_json(200, {name: {f"{name}_id": call.context.project_id}})


def _show(call: Call, project_id: str) -> Answer:
    with call.store.read() as tx:
        _require_reading(call, tx, project_id)
        return answer_json(200, {"quota": quotas.effective(tx, call.context, project_id)})


def _default(call: Call, project_id: str) -> Answer:
    with call.store.read() as tx:
        _require_reading(call, tx, project_id)
    return answer_json(200, {"quota": quotas.defaults(call.context)})


def _details(call: Call, project_id: str) -> Answer:
    with call.store.read() as tx:
        _require_reading(call, tx, project_id)
        return answer_json(200, {"quota": quotas.details(tx, call.context, project_id)})


def _update(call: Call, project_id: str) -> Answer:
    document = decode_object(call.request.body)
    if not isinstance(document.get("quota"), dict):
        raise HTTPBadRequest("Unable to find 'quota' in request body")

    def work(tx: Tx) -> dict[str, int]:
        call.access.require(["update_quota"], _target(call, tx, project_id))
        return quotas.update(tx, call.context, project_id, document["quota"])

    return answer_json(200, {"quota": write(call.store, work)})


def _delete(call: Call, project_id: str) -> Answer:
    def work(tx: Tx) -> None:
        call.access.require(["delete_quota"], _target(call, tx, project_id))
        quotas.delete(tx, project_id)

    write(call.store, work)
    return Answer(204)


def _require_reading(call: Call, tx: Tx, project_id: str) -> None:
    """Everybody may read the limits of their own project."""
    if project_id != call.context.project_id:
        call.access.require(["get_quota"], _target(call, tx, project_id))


def _target(call: Call, tx: Tx, project_id: str) -> ObjectTarget:
    values: dict[str, Any] = {"project_id": project_id}
    return ObjectTarget(QUOTA, values, Parents(tx, call.context, [values]))
