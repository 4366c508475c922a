"""``/lbaas/quotas``: how many objects of load balancing projects may have."""

from netloom.api.bodies import decode_object
from netloom.api.handlers import Call
from netloom.api.http import Answer, answer_json
from netloom.api.load_balancing.bodies import envelope
from netloom.api.load_balancing.handlers import permit
from netloom.api.load_balancing.policy import rule
from netloom.api.routing import verbs
from netloom.api.transactions import write
from netloom.model.errors import HTTPNotFound
from netloom.rules.load_balancing import quotas


def answer(call: Call, rest: tuple[str, ...]) -> Answer:
    """The answer to any request below ``/lbaas/quotas``."""
    request = call.request
    match rest:
        case ():
            return verbs(request, GET=lambda: _list(call))
        case ("defaults",):
            return verbs(request, GET=lambda: _defaults(call, call.context.project_id))
        case (project_id,):
            return verbs(
                request,
                GET=lambda: _show(call, project_id),
                PUT=lambda: _update(call, project_id),
                DELETE=lambda: _delete(call, project_id),
            )
        case (project_id, "default"):
            return verbs(request, GET=lambda: _defaults(call, project_id))
    raise HTTPNotFound


def _list(call: Call) -> Answer:
    everybody = call.access.decide(rule("quota", "get_all-global")) is True
    permit(call, rule("quota", "get_all"))
    with call.store.read() as tx:
        listed = quotas.listing(tx, None if everybody else call.context.project_id)
    return answer_json(200, {"quotas": listed, "quotas_links": []})


def _defaults(call: Call, project_id: str) -> Answer:
    permit(call, rule("quota", "get_defaults"), {"project_id": project_id})
    return answer_json(200, {"quota": quotas.shown(quotas.DEFAULTS)})


def _show(call: Call, project_id: str) -> Answer:
    permit(call, rule("quota", "get_one"), {"project_id": project_id})
    with call.store.read() as tx:
        return answer_json(200, {"quota": quotas.shown(quotas.effective(tx, project_id))})


def _update(call: Call, project_id: str) -> Answer:
    permit(call, rule("quota", "put"), {"project_id": project_id})
    body = envelope("quota", decode_object(call.request.body))
    limits = write(call.store, lambda tx: quotas.update(tx, project_id, body))
    return answer_json(202, {"quota": quotas.shown(limits)})


def _delete(call: Call, project_id: str) -> Answer:
    permit(call, rule("quota", "delete"), {"project_id": project_id})
    write(call.store, lambda tx: quotas.clear(tx, project_id))
    return Answer(204)
