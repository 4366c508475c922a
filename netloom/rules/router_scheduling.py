"""Which hosts carry a router: live ones with the fewest routers. One does, or several if it is highly available."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
import structlog

from netloom.model.agents import AGENT
from netloom.model.errors import Conflict, NotFound
from netloom.model.owners import ROUTER_PORTS
from netloom.model.routers import ROUTER
from netloom.rules import ha_networks, placement, reading, router_ha, router_moves
from netloom.rules.context import Context
from netloom.rules.ha_networks import Binding
from netloom.rules.lookup import require
from netloom.rules.placement import L3_AGENT, Candidate
from netloom.rules.router_ha import Carrier
from netloom.rules.router_moves import Moves, Router
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import AGENTS, PORTS, ROUTER_BINDINGS, ROUTERS

LOG = structlog.get_logger()
View = dict[str, Any]
BATCH = 200
"""Routers that are moved in one transaction at most."""


class InvalidL3Agent(NotFound):
    """The agent cannot carry routers."""

    message = "Agent {id} is not a L3 Agent or has been disabled."


class RouterHostedByL3Agent(Conflict):
    """Another agent carries the router."""

    message = "The router {router_id} has been already hosted by the L3 Agent {agent_id}."


def host_for(tx: Tx, context: Context, router: View) -> str:
    """The host to which a new port of a router is to be bound; empty when no agent can carry the router.

    One is found now if the router has none. The caller holds the lock of the router's row.
    """
    if host := router_ha.hosts_of(tx, context, [router["id"]])[router["id"]]:
        return host
    schedule(tx, context, [router["id"]])
    return router_ha.hosts_of(tx, context, [router["id"]])[router["id"]]


def schedule(tx: Tx, context: Context, router_ids: Collection[str] | None = None) -> None:
    """Have routers carried by as many hosts as the settings say, as far as there are any.

    These, or all that have too few; for when an L3 agent appears. One that is not highly available waits until it has
    a port, unless it is named.
    """
    known = placement.hosts(tx, context, L3_AGENT)
    if not any(candidate.willing for candidate in known.values()):
        return
    waiting = list(tx.execute(_short(tx, context, known, router_ids)).scalars())
    if not waiting:
        return
    located = router_moves.locate(tx, context, waiting, lock=True)
    add = [pair for router, found in located for pair in _missing(context, known, router, found)]
    router_moves.apply(tx, context, [router for router, _ in located], Moves(add=add))


def add_to_agent(tx: Tx, context: Context, agent: View, router_id: str) -> None:
    """Have an agent carry a router, beside others if the router is highly available.

    Raises: InvalidL3Agent, RouterNotFound, RouterHostedByL3Agent.
    """
    if agent["agent_type"] != L3_AGENT or not agent["admin_state_up"]:
        raise InvalidL3Agent(id=agent["id"])
    router, found = _one(tx, context, router_id)
    present = {carrier.host for carrier in found}
    if agent["host"] in present:
        return
    if present and not router.ha:
        raise RouterHostedByL3Agent(router_id=router_id, agent_id=min(present))
    router_moves.apply(tx, context, [router], Moves(add=[(router_id, agent["host"])]))


def remove_from_agent(tx: Tx, context: Context, agent: View, router_id: str) -> None:
    """Have an agent carry a router no more; nothing happens when it does not. Raises RouterNotFound."""
    router, found = _one(tx, context, router_id)
    if agent["agent_type"] == L3_AGENT and agent["host"] in {carrier.host for carrier in found}:
        router_moves.apply(tx, context, [router], Moves(remove=[(router_id, agent["host"])]))


def evacuate(tx: Tx, context: Context, host: str) -> None:
    """Have other hosts carry the routers of one whose L3 agent is no more."""
    here = sa.select(ROUTER_BINDINGS.c.router_id).where(ROUTER_BINDINGS.c.host == host)
    if router_ids := list(tx.execute(here).scalars()):
        routers = [router for router, _ in router_moves.locate(tx, context, router_ids, lock=True)]
        router_moves.apply(tx, context, routers, Moves(remove=[(router.id, host) for router in routers]))
        schedule(tx, context, router_ids)


def make_available(tx: Tx, context: Context, router_id: str) -> None:
    """Let the hosts of a router elect the active one, and have as many as there should be; its row says ``ha``."""
    router, found = _one(tx, context, router_id)
    ha_networks.add_ports(tx, context, [(router_id, carrier.host) for carrier in found], {router_id: router.project_id})
    schedule(tx, context, [router_id])


def make_single(tx: Tx, context: Context, router_id: str) -> None:
    """Leave a router on its active host alone, without elections; its row says ``ha`` still."""
    router, found = _one(tx, context, router_id)
    host = router_ha.hosts_of(tx, context, [router_id])[router_id]
    others = [(router_id, carrier.host) for carrier in found if carrier.host != host]
    router_moves.apply(tx, context, [router], Moves(remove=others))
    ha_networks.remove_ports(tx, context, {(router_id, host)})
    silent = {"ha_state": None, "ha_state_since": None}
    tx.execute(ROUTER_BINDINGS.update().where(ROUTER_BINDINGS.c.router_id == router_id).values(silent))


def relieve(tx: Tx, context: Context) -> bool:
    """Move routers away from dead and disabled agents, as far as others can take them; whether there may be more.

    Nothing is locked unless something moves.
    """
    known = placement.hosts(tx, context, L3_AGENT)
    if not any(candidate.willing for candidate in known.values()):
        return False
    unwilling = [host for host, candidate in known.items() if not candidate.willing]
    there = sa.select(ROUTER_BINDINGS.c.router_id).where(among(tx, ROUTER_BINDINGS.c.host, unwilling)).distinct()
    located = router_moves.locate(tx, context, list(tx.execute(there).scalars()))
    moving = [router.id for router, found in located if any(relief(context, known, router, found))]
    if not moving:
        return False
    fresh = placement.hosts(tx, context, L3_AGENT)  # whose loads do not count what was only thought of
    located = router_moves.locate(tx, context, moving[:BATCH], lock=True)
    moves = [relief(context, fresh, router, found) for router, found in located]
    add, remove = ([pair for move in moves for pair in move[way]] for way in (0, 1))
    router_moves.apply(tx, context, [router for router, _ in located], Moves(add, remove))
    return len(moving) > BATCH


def relief(context: Context, known: Mapping[str, Candidate], router: Router, found: Sequence[Carrier]) -> Moves:
    """What becomes of a router that is on dead or disabled hosts.

    If it is highly available, others are added first. Dead hosts go as they are replaced, except one that must be
    active still; disabled ones as soon as all others have told that they are active or stand by: then one of them
    takes over at once.
    """
    settings = context.settings
    held = [carrier.host for carrier in found]
    willing = [carrier for carrier in found if carrier.host in known and known[carrier.host].willing]
    draining = [host for host in held if host in known and known[host].draining]
    dead = [host for host in held if host not in known or not known[host].alive]
    movable = dead if settings.allow_automatic_l3agent_failover else []
    staying = len(willing) + len(dead) - len(movable)
    most = router_moves.wanted(context, known, router)
    add = placement.pick(known, held, router.zones, most - staying if draining or movable else 0)
    if router.ha:
        ready = any(carrier.state in (router_ha.ACTIVE, router_ha.STANDBY) for carrier in willing)
        settled = ready and not add and all(carrier.state for carrier in willing)
        spare = [host for host in movable if host not in router_ha.silently_active(found)]
        gone = spare[: max(0, staying + len(add) + len(movable) - most)] + (draining if settled else [])
    else:
        gone = [*draining, *movable] if add or willing else []
    return Moves([(router.id, host) for host in add], [(router.id, host) for host in gone])


def agents_of(tx: Tx, context: Context, router_id: str) -> list[View]:
    """The agents that carry a router, each with its ``ha_state`` (null: the router is not highly available)."""
    ((router, found),) = router_moves.locate(tx, context, [router_id])
    states = router_ha.shown(found) if router.ha else {}
    hosts = [carrier.host for carrier in found]
    ids = sa.select(AGENTS.c.id).where(AGENTS.c.agent_type == L3_AGENT, among(tx, AGENTS.c.host, hosts))
    agents = reading.by_ids(tx, context, AGENT, list(tx.execute(ids.order_by(AGENTS.c.id)).scalars()))
    return [agent | {"ha_state": states.get(agent["host"])} for agent in agents]


def routers_of(tx: Tx, context: Context, agent: View) -> list[View]:
    """The routers that an agent carries."""
    if agent["agent_type"] != L3_AGENT:
        return []
    bound = ROUTER_BINDINGS.c
    ids = sa.select(bound.router_id).where(bound.host == agent["host"]).order_by(bound.router_id)
    return reading.by_ids(tx, context, ROUTER, list(tx.execute(ids).scalars()))


def _one(tx: Tx, context: Context, router_id: str) -> tuple[Router, Sequence[Carrier]]:
    """A router that the caller may see, locked. Raises RouterNotFound."""
    require(tx, context, ROUTER, router_id, lock="change")
    ((router, found),) = router_moves.locate(tx, context, [router_id], lock=True)
    return router, found


def _short(
    tx: Tx, context: Context, known: Mapping[str, Candidate], router_ids: Collection[str] | None
) -> sa.Select[tuple[str]]:
    """Routers with fewer hosts than there should be: of these, or of all that need some."""
    most = context.settings.max_l3_agents_per_router or len(known)
    statement = (
        sa.select(ROUTERS.c.id)
        .outerjoin(ROUTER_BINDINGS, ROUTER_BINDINGS.c.router_id == ROUTERS.c.id)
        .group_by(ROUTERS.c.id)
        .having(sa.func.count(ROUTER_BINDINGS.c.host) < sa.case((ROUTERS.c.ha.is_(True), most), else_=1))
    )
    if router_ids is not None:
        return statement.where(among(tx, ROUTERS.c.id, router_ids))
    with_ports = sa.select(PORTS.c.device_id).where(PORTS.c.device_owner.in_(ROUTER_PORTS))
    return statement.where(ROUTERS.c.ha.is_(True) | ROUTERS.c.id.in_(with_ports))


def _missing(
    context: Context, known: Mapping[str, Candidate], router: Router, found: Sequence[Carrier]
) -> list[Binding]:
    """Further hosts for a router, those last that should become active: among equals the last address wins."""
    held = [carrier.host for carrier in found]
    hosts = placement.pick(known, held, router.zones, router_moves.wanted(context, known, router) - len(held))
    if hosts and not held:
        hosts.sort(key=lambda host: (known[host].active, _lot(router.id, host)), reverse=True)
        known[hosts[-1]].active += 1
    if router.ha and len(held) + len(hosts) < context.settings.min_l3_agents_per_router:
        LOG.warning("a router has fewer L3 agents than min_l3_agents_per_router", router=router.id, has=[*held, *hosts])
    return [(router.id, host) for host in hosts]


def _lot(router_id: str, host: str) -> bytes:
    """Decides between equals: by lot, but always the same."""
    return hashlib.sha256(f"{router_id} {host}".encode()).digest()
