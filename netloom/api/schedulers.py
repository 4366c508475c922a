"""Which agents carry what: ``/agents/ID/l3-routers`` and ``/routers/ID/l3-agents``, and the same for DHCP."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from netloom.api.access import ObjectTarget, Parents, View
from netloom.api.bodies import decode_object
from netloom.api.errors import HTTPNotImplemented
from netloom.api.handlers import Call
from netloom.api.http import Answer, answer_json
from netloom.api.query import requested_fields
from netloom.api.routing import verbs
from netloom.api.transactions import write
from netloom.model.agents import AGENT
from netloom.model.errors import HTTPBadRequest
from netloom.model.fields import Resource
from netloom.model.networks import NETWORK
from netloom.model.routers import ROUTER
from netloom.rules import dhcp_scheduling, router_scheduling
from netloom.rules.context import Context
from netloom.rules.lookup import require
from netloom.store.database import Tx


@dataclass(frozen=True, slots=True)
class Scheduler:
    """What agents of one type carry, and the rules behind it."""

    kind: str
    """``dhcp`` or ``l3``, as in paths and names of policy rules."""
    resource: Resource
    """What they carry."""
    agents_of: Callable[[Tx, Context, str], list[View]]
    carried_by: Callable[[Tx, Context, View], list[View]]
    add: Callable[[Tx, Context, View, str], None]
    remove: Callable[[Tx, Context, View, str], None]

    @property
    def agents(self) -> str:
        """Path of the agents below what they carry: ``l3-agents``."""
        return f"{self.kind}-agents"

    @property
    def carried(self) -> str:
        """Path of what an agent carries, below it: ``l3-routers``."""
        return f"{self.kind}-{self.resource.plural}"

    @property
    def member(self) -> str:
        """One of them, in names of policy rules: ``l3-router``."""
        return f"{self.kind}-{self.resource.name}"

    @property
    def key(self) -> str:
        """Name of its id in bodies: ``router_id``."""
        return f"{self.resource.name}_id"


SCHEDULERS = (
    Scheduler(
        "dhcp", NETWORK,
        dhcp_scheduling.agents_of, dhcp_scheduling.networks_of,
        dhcp_scheduling.add_to_agent, dhcp_scheduling.remove_from_agent,
    ),
    Scheduler(
        "l3", ROUTER,
        router_scheduling.agents_of, router_scheduling.routers_of,
        router_scheduling.add_to_agent, router_scheduling.remove_from_agent,
    ),
)  # fmt: skip


def answer(call: Call, resource: Resource, object_id: str, rest: tuple[str, ...]) -> Answer | None:
    """The answer to a request below an agent, a network or a router; None when it is about something else."""
    name, below = rest[0].replace("_", "-"), rest[1:]
    for scheduler in SCHEDULERS:
        if resource is scheduler.resource and name == scheduler.agents and not below:
            return verbs(call.request, GET=partial(_agents, call, scheduler, object_id))
        if resource is AGENT and name == scheduler.carried and len(below) < 2:
            return _below_agent(call, scheduler, object_id, *below)
    return None


def _below_agent(call: Call, scheduler: Scheduler, agent_id: str, object_id: str | None = None) -> Answer:
    if object_id is not None:
        return verbs(call.request, DELETE=lambda: _remove(call, scheduler, agent_id, object_id), PUT=_refuse)
    return verbs(
        call.request, GET=lambda: _carried(call, scheduler, agent_id), POST=lambda: _add(call, scheduler, agent_id)
    )


def _agents(call: Call, scheduler: Scheduler, object_id: str) -> Answer:
    with call.store.read() as tx:
        _permit(call, tx, f"get_{scheduler.agents}")
        require(tx, call.context, scheduler.resource, object_id)
        found = scheduler.agents_of(tx, call.context, object_id)
        states = {view["id"]: {"ha_state": view["ha_state"]} for view in found if "ha_state" in view}
        shown = call.access.shown(AGENT, found, Parents(tx, call.context, found))
    views = [view | states.get(view["id"], {}) for view in shown]
    return answer_json(200, {AGENT.plural: _chosen(call, views)})


def _carried(call: Call, scheduler: Scheduler, agent_id: str) -> Answer:
    with call.store.read() as tx:
        _permit(call, tx, f"get_{scheduler.carried}")
        found = scheduler.carried_by(tx, call.context, require(tx, call.context, AGENT, agent_id))
        parents = Parents(tx, call.context, found)
        views = call.access.visible(scheduler.resource, found, parents)
        shown = call.access.shown(scheduler.resource, views, parents)
    return answer_json(200, {scheduler.resource.plural: _chosen(call, shown)})


def _add(call: Call, scheduler: Scheduler, agent_id: str) -> Answer:
    object_id = decode_object(call.request.body).get(scheduler.key)
    if not isinstance(object_id, str):
        raise HTTPBadRequest(f"Invalid input for {scheduler.key}. Reason: it must be the id of a {scheduler.member}.")

    def work(tx: Tx) -> None:
        _permit(call, tx, f"create_{scheduler.member}")
        scheduler.add(tx, call.context, require(tx, call.context, AGENT, agent_id), object_id)

    write(call.store, work)
    return answer_json(201, None)


def _remove(call: Call, scheduler: Scheduler, agent_id: str, object_id: str) -> Answer:
    """DELETE; clients send a body along, which says nothing new."""

    def work(tx: Tx) -> None:
        _permit(call, tx, f"delete_{scheduler.member}")
        scheduler.remove(tx, call.context, require(tx, call.context, AGENT, agent_id), object_id)

    write(call.store, work)
    return Answer(204)


def _refuse() -> Answer:
    raise HTTPNotImplemented("What an agent carries has nothing to change: it is added and removed.")


def _permit(call: Call, tx: Tx, rule: str) -> None:
    """Raise ``PolicyNotAuthorized`` unless the rule allows it; it is asked before anything is looked up."""
    call.access.require([rule], ObjectTarget(AGENT, {}, Parents(tx, call.context, [])))


def _chosen(call: Call, views: list[View]) -> list[dict[str, Any]]:
    fields = requested_fields(call.request.query)
    if fields is None:
        return views
    return [{name: view[name] for name in fields if name in view} for view in views]
