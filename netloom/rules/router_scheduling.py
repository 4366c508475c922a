"""Which host carries a router: a live one with the fewest routers, chosen once the router has a port."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from netloom.model.agents import AGENT
from netloom.model.errors import Conflict, NotFound
from netloom.model.owners import ROUTER_PORTS
from netloom.model.routers import ROUTER
from netloom.rules import binding, reading
from netloom.rules.context import Context
from netloom.rules.lookup import require
from netloom.rules.query import expressions
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import AGENTS, PORTS, ROUTER_BINDINGS, ROUTERS

View = dict[str, Any]
L3_AGENT = "L3 agent"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A host that can carry routers."""

    host: str
    zone: str | None
    load: int
    """Routers that it carries."""


class InvalidL3Agent(NotFound):
    """The agent cannot carry routers."""

    message = "Agent {id} is not a L3 Agent or has been disabled."


class RouterHostedByL3Agent(Conflict):
    """Another agent carries the router."""

    message = "The router {router_id} has been already hosted by the L3 Agent {agent_id}."


def host_for(tx: Tx, context: Context, router: View) -> str:
    """The host that carries a router, chosen now if there is none yet; empty when no agent can.

    The caller holds the lock of the router's row, and gives the ports that it makes this host.
    """
    present = sa.select(ROUTER_BINDINGS.c.host).where(ROUTER_BINDINGS.c.router_id == router["id"])
    if (host := tx.execute(present).scalar()) is None:
        chosen = _place(_candidates(tx, context), {router["id"]: router["availability_zone_hints"] or ()})
        _bind(tx, chosen)
        host = chosen.get(router["id"], "")
        if host:
            # What the router had before there was an agent
            binding.bind_hosts(tx, context, dict.fromkeys(_ports(tx, [router["id"]]), host))
    return str(host)


def schedule(tx: Tx, context: Context, router_ids: Collection[str] | None = None) -> None:
    """Find a host for routers that have ports but no host: these, or all; for when an L3 agent appears."""
    table = ROUTERS.c
    bound = sa.select(ROUTER_BINDINGS.c.router_id)
    with_ports = sa.select(PORTS.c.device_id).where(PORTS.c.device_owner.in_(ROUTER_PORTS))
    statement = sa.select(table.id, table.availability_zone_hints).where(
        table.id.not_in(bound), table.id.in_(with_ports)
    )
    if router_ids is not None:
        statement = statement.where(among(tx, table.id, router_ids))
    waiting = {row.id: row.availability_zone_hints or () for row in tx.execute(statement.with_for_update())}
    if not waiting:
        return
    # Only under the lock is it certain that no other transaction has found a host for them.
    for router_id in tx.execute(bound.where(among(tx, ROUTER_BINDINGS.c.router_id, waiting))).scalars():
        del waiting[router_id]
    chosen = _place(_candidates(tx, context), waiting)
    _bind(tx, chosen)
    if chosen:
        binding.bind_hosts(tx, context, {port: chosen[owner] for port, owner in _ports(tx, list(chosen)).items()})


def add_to_agent(tx: Tx, context: Context, agent: View, router_id: str) -> None:
    """Have an agent carry a router.

    Raises: InvalidL3Agent, RouterNotFound, RouterHostedByL3Agent.
    """
    if agent["agent_type"] != L3_AGENT or not agent["admin_state_up"]:
        raise InvalidL3Agent(id=agent["id"])
    require(tx, context, ROUTER, router_id, lock="change")
    host = str(agent["host"])
    present = tx.execute(sa.select(ROUTER_BINDINGS.c.host).where(ROUTER_BINDINGS.c.router_id == router_id)).scalar()
    if present not in (None, host):
        raise RouterHostedByL3Agent(router_id=router_id, agent_id=present)
    if present is None:
        _bind(tx, {router_id: host})
        binding.bind_hosts(tx, context, dict.fromkeys(_ports(tx, [router_id]), host))


def remove_from_agent(tx: Tx, context: Context, agent: View, router_id: str) -> None:
    """Have an agent carry a router no more; nothing happens when it does not."""
    if agent["agent_type"] == L3_AGENT:
        _unbind(tx, context, agent["host"], ROUTER_BINDINGS.c.router_id == router_id)


def evacuate(tx: Tx, context: Context, host: str) -> None:
    """Have other hosts carry the routers of one whose L3 agent is no more."""
    if router_ids := _unbind(tx, context, host, sa.true()):
        schedule(tx, context, router_ids)


def agents_of(tx: Tx, context: Context, router_id: str) -> list[View]:
    """The agents that carry a router, each with its ``ha_state`` (null: the router is not highly available)."""
    hosts = sa.select(ROUTER_BINDINGS.c.host).where(ROUTER_BINDINGS.c.router_id == router_id)
    ids = sa.select(AGENTS.c.id).where(AGENTS.c.agent_type == L3_AGENT, AGENTS.c.host.in_(hosts)).order_by(AGENTS.c.id)
    agents = reading.by_ids(tx, context, AGENT, list(tx.execute(ids).scalars()))
    return [agent | {"ha_state": None} for agent in agents]


def routers_of(tx: Tx, context: Context, agent: View) -> list[View]:
    """The routers that an agent carries."""
    if agent["agent_type"] != L3_AGENT:
        return []
    bound = ROUTER_BINDINGS.c
    ids = sa.select(bound.router_id).where(bound.host == agent["host"]).order_by(bound.router_id)
    return reading.by_ids(tx, context, ROUTER, list(tx.execute(ids).scalars()))


def _ports(tx: Tx, router_ids: Collection[str]) -> dict[str, str]:
    """Ids of the ports of routers, with the id of their router."""
    statement = sa.select(PORTS.c.id, PORTS.c.device_id).where(
        among(tx, PORTS.c.device_id, router_ids), PORTS.c.device_owner.in_(ROUTER_PORTS)
    )
    return {row.id: row.device_id for row in tx.execute(statement)}


def _candidates(tx: Tx, context: Context) -> list[Candidate]:
    """Live, enabled L3 agents."""
    bindings = ROUTER_BINDINGS
    statement = (
        sa.select(
            AGENTS.c.host,
            AGENTS.c.availability_zone.label("zone"),
            sa.func.count(bindings.c.router_id).label("load"),
        )
        .outerjoin(bindings, bindings.c.host == AGENTS.c.host)
        .where(AGENTS.c.agent_type == L3_AGENT, AGENTS.c.admin_state_up, expressions(tx, context, AGENT)["alive"])
        .group_by(AGENTS.c.host, AGENTS.c.availability_zone)
    )
    return [Candidate(**row) for row in tx.rows(statement)]


def _place(candidates: Sequence[Candidate], routers: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """A host for each router, in the zones that it asks for, always the one with the least to carry."""
    load = {candidate.host: candidate.load for candidate in candidates}
    chosen: dict[str, str] = {}
    for router_id, zones in sorted(routers.items()):
        hosts = [candidate.host for candidate in candidates if not zones or candidate.zone in zones]
        if hosts:
            chosen[router_id] = min(hosts, key=lambda host: (load[host], host))
            load[chosen[router_id]] += 1
    return chosen


def _unbind(tx: Tx, context: Context, host: str, which: sa.ColumnElement[bool]) -> list[str]:
    """Take routers away from a host; their ids."""
    here = ROUTER_BINDINGS.delete().where(ROUTER_BINDINGS.c.host == host, which)
    router_ids = list(tx.execute(here.returning(ROUTER_BINDINGS.c.router_id)).scalars())
    if router_ids:
        tx.changed("host", host)
        binding.bind_hosts(tx, context, dict.fromkeys(_ports(tx, router_ids), ""))
    return router_ids


def _bind(tx: Tx, chosen: Mapping[str, str]) -> None:
    if chosen:
        tx.execute(ROUTER_BINDINGS.insert(), [{"router_id": key, "host": host} for key, host in chosen.items()])
    for router_id, host in chosen.items():
        tx.changed("router", router_id)
        tx.changed("host", host)
