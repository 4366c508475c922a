"""``/auto-allocated-topology``: a project's network, subnets and router, made when they are asked for."""

from netloom.api.access import ObjectTarget, Parents
from netloom.api.handlers import Call
from netloom.api.http import Answer, answer_json
from netloom.api.query import requested_fields
from netloom.api.routing import verbs
from netloom.api.transactions import write
from netloom.model.auto_allocation import AUTO_ALLOCATED_TOPOLOGY
from netloom.model.errors import BadRequest, HTTPBadRequest, HTTPNotFound
from netloom.rules import auto_allocation
from netloom.store.database import Tx

CALLERS_OWN = "None"
"""What old clients name when they are told of no project."""
CHECK = frozenset({"dry-run"})
"""The ``fields`` of a request that only wants to know whether a topology could be made."""
PASSED = "dry-run=pass"
LONGEST = 64
"""Characters of a project's id."""


def answer(call: Call, rest: tuple[str, ...]) -> Answer:
    """The answer to any request below ``/auto-allocated-topology``."""
    if not rest:
        return verbs(call.request)
    if len(rest) > 1:
        raise HTTPNotFound
    project_id = call.context.project_id if rest[0] == CALLERS_OWN else rest[0]
    if not project_id or len(project_id) > LONGEST:
        raise HTTPBadRequest("The token has no project, or the path none: give the id of a project.")
    return verbs(call.request, GET=lambda: _show(call, project_id), DELETE=lambda: _delete(call, project_id))


def _show(call: Call, project_id: str) -> Answer:
    fields = requested_fields(call.request.query)
    with call.store.read() as tx:
        _permit(call, tx, "get", project_id)
        if fields == CHECK:
            auto_allocation.check(tx, call.context, project_id)
            return _shown(PASSED, project_id)
        if fields is not None:
            raise BadRequest(resource="auto_allocate", msg="Unrecognized field")
        network_id = auto_allocation.network_of(tx, project_id)
    if network_id is None:
        network_id = write(call.store, lambda tx: auto_allocation.ensure(tx, call.context, project_id))
    return _shown(network_id, project_id)


def _delete(call: Call, project_id: str) -> Answer:
    def work(tx: Tx) -> None:
        _permit(call, tx, "delete", project_id)
        auto_allocation.delete(tx, call.context, project_id)

    write(call.store, work)
    return Answer(204)


def _shown(topology_id: str, project_id: str) -> Answer:
    view = {"id": topology_id, "project_id": project_id, "tenant_id": project_id}
    return answer_json(200, {AUTO_ALLOCATED_TOPOLOGY.name: view})


def _permit(call: Call, tx: Tx, verb: str, project_id: str) -> None:
    values = {"project_id": project_id}
    target = ObjectTarget(AUTO_ALLOCATED_TOPOLOGY, values, Parents(tx, call.context, [values]))
    call.access.require([f"{verb}_{AUTO_ALLOCATED_TOPOLOGY.name}"], target)
