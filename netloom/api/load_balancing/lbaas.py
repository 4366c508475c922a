"""``/lb``: load balancing as the Networking API had it first (LBaaS v1)."""

from collections.abc import Callable, Mapping

from netloom.api import handlers
from netloom.api.access import ObjectTarget, Parents, View
from netloom.api.bodies import decode_object
from netloom.api.handlers import Call
from netloom.api.http import Answer, answer_json
from netloom.api.resources import Family
from netloom.api.routing import collection_key, verbs
from netloom.api.transactions import write
from netloom.model.agents import AGENT
from netloom.model.errors import HTTPNotFound, NotFound
from netloom.model.lbaas_v1 import LB_MEMBER, LB_MONITOR, LB_POOL, LB_VIP
from netloom.rules.load_balancing import lbaas_v1, lbaas_views, scheduling, trees
from netloom.rules.lookup import require
from netloom.store.database import Tx

POOLS = Family(LB_POOL, lbaas_v1.create_pools, lbaas_v1.update_pool, lbaas_v1.delete_pool)
FAMILIES: Mapping[str, Family] = {
    "pools": POOLS,
    "members": Family(LB_MEMBER, lbaas_v1.create_members, lbaas_v1.update_member, lbaas_v1.delete_member),
    "health-monitors": Family(LB_MONITOR, lbaas_v1.create_monitors, lbaas_v1.update_monitor, lbaas_v1.delete_monitor),
    "vips": Family(LB_VIP, lbaas_v1.create_vips, lbaas_v1.update_vip, lbaas_v1.delete_vip),
}
SHOWN_STATISTICS = ("bytes_in", "bytes_out", "active_connections", "total_connections")


class NoActiveLoadbalancerAgent(NotFound):
    """No host could take the pool so far."""

    message = "No active loadbalancer agent found for pool {pool_id}."


def answer(call: Call, rest: tuple[str, ...]) -> Answer:
    """The answer to any request below ``/lb``."""
    request = call.request
    family = FAMILIES.get(collection_key(rest[0])) if rest else None
    if family is None:
        raise HTTPNotFound
    match rest[1:]:
        case ():
            return verbs(
                request, GET=lambda: handlers.list_all(call, family), POST=lambda: handlers.create(call, family)
            )
        case (key,):
            return verbs(
                request,
                GET=lambda: handlers.show(call, family, key),
                PUT=lambda: handlers.update(call, family, key),
                DELETE=lambda: handlers.delete(call, family, key),
            )
        case (key, *below) if family is POOLS:
            return _below_pool(call, key, tuple(map(collection_key, below)))
    raise HTTPNotFound


def carried_by(call: Call, agent_id: str) -> Answer:
    """``/agents/ID/loadbalancer-pools``: the pools that an agent carries."""

    def show() -> Answer:
        with call.store.read() as tx:
            _permit(call, tx, "get_loadbalancer-pools")
            ids = scheduling.carried_by(tx, require(tx, call.context, AGENT, agent_id))
            pools = lbaas_views.by_ids(tx, call.context, LB_POOL, ids)
            return answer_json(200, {"pools": call.access.shown(LB_POOL, pools, Parents(tx, call.context, pools))})

    return verbs(call.request, GET=show)


def _below_pool(call: Call, pool_id: str, rest: tuple[str, ...]) -> Answer:
    request = call.request
    match rest:
        case ("health-monitors",):
            return verbs(request, POST=lambda: _associate(call, pool_id))
        case ("health-monitors", monitor_id):
            return verbs(
                request,
                GET=lambda: _show_association(call, pool_id, monitor_id),
                DELETE=lambda: _dissociate(call, pool_id, monitor_id),
            )
        case ("stats",):
            return verbs(request, GET=lambda: _statistics(call, pool_id))
        case ("loadbalancer-agent",):
            return verbs(request, GET=lambda: _agent(call, pool_id))
    raise HTTPNotFound


def _associate(call: Call, pool_id: str) -> Answer:
    body = decode_object(call.request.body)
    ids = write(call.store, _on_pool(call, pool_id, lambda tx, pool: lbaas_v1.associate(tx, call.context, pool, body)))
    return answer_json(201, {"health_monitor": ids})


def _dissociate(call: Call, pool_id: str, monitor_id: str) -> Answer:
    def work(tx: Tx, pool: View) -> None:
        lbaas_v1.dissociate(tx, call.context, pool, monitor_id)

    write(call.store, _on_pool(call, pool_id, work))
    return Answer(204)


def _on_pool(call: Call, pool_id: str, change: Callable[[Tx, View], object]) -> Callable[[Tx], object]:
    def work(tx: Tx) -> object:
        return change(tx, handlers.object_to_change(call, tx, POOLS, pool_id, rules=["update_pool"]))

    return work


def _show_association(call: Call, pool_id: str, monitor_id: str) -> Answer:
    with call.store.read() as tx:
        pool = handlers.visible_object(call, tx, POOLS, pool_id)
    return answer_json(200, {"health_monitor": lbaas_v1.association(pool, monitor_id)})


def _statistics(call: Call, pool_id: str) -> Answer:
    with call.store.read() as tx:
        handlers.visible_object(call, tx, POOLS, pool_id)
        counted = trees.statistics(tx, trees.listeners_of(tx, pool_id))["stats"]
    return answer_json(200, {"stats": {name: counted[name] for name in SHOWN_STATISTICS}})


def _agent(call: Call, pool_id: str) -> Answer:
    with call.store.read() as tx:
        _permit(call, tx, "get_loadbalancer-agent")
        handlers.visible_object(call, tx, POOLS, pool_id)
        found = scheduling.agents_of(tx, call.context, pool_id)
        if not found:
            raise NoActiveLoadbalancerAgent(pool_id=pool_id)
        shown = call.access.shown(AGENT, found[:1], Parents(tx, call.context, found))
    return answer_json(200, {"agent": shown[0]})


def _permit(call: Call, tx: Tx, rule: str) -> None:
    call.access.require([rule], ObjectTarget(AGENT, {}, Parents(tx, call.context, [])))
