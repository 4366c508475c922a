"""Which hosts can take work, and which of them is to: the least loaded ones, spread over the zones."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from netloom.model.agents import AGENT
from netloom.rules.context import Context
from netloom.rules.load_balancing.provisioning import LB_AGENT
from netloom.rules.query import expressions
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import LB_BINDINGS
from netloom.store.tables.network import AGENTS, DHCP_BINDINGS, ROUTER_BINDINGS

DHCP_AGENT, L3_AGENT = "DHCP agent", "L3 agent"
BINDINGS = {DHCP_AGENT: DHCP_BINDINGS, L3_AGENT: ROUTER_BINDINGS, LB_AGENT: LB_BINDINGS}
"""What agents are given to do, by their type."""


@dataclass(slots=True)
class Candidate:
    """A host with an agent of the type that is asked for."""

    host: str
    zone: str | None
    alive: bool
    enabled: bool
    load: int
    """Networks, routers or load balancers that it has; grows with what it is chosen for."""
    active: int
    """Highly available routers for which it is the active host."""

    @property
    def willing(self) -> bool:
        """Whether it may be given more."""
        return self.alive and self.enabled

    @property
    def draining(self) -> bool:
        """Whether it lives, but is to be relieved of what it has."""
        return self.alive and not self.enabled


def hosts(tx: Tx, context: Context, agent_type: str) -> dict[str, Candidate]:
    """The hosts with an agent of this type, by name; 1 statement."""
    table = BINDINGS[agent_type]
    active = sa.case((ROUTER_BINDINGS.c.ha_state == "active", 1)) if table is ROUTER_BINDINGS else sa.null()
    statement = (
        sa.select(
            AGENTS.c.host,
            AGENTS.c.availability_zone.label("zone"),
            expressions(tx, context, AGENT)["alive"].label("alive"),
            AGENTS.c.admin_state_up.label("enabled"),
            sa.func.count(table.c.host).label("load"),
            sa.func.count(active).label("active"),
        )
        .outerjoin(table, table.c.host == AGENTS.c.host)
        .where(AGENTS.c.agent_type == agent_type)
        .group_by(AGENTS.c.id)
    )
    return {row["host"]: Candidate(**(row | {"alive": bool(row["alive"])})) for row in tx.rows(statement)}


def pick(known: Mapping[str, Candidate], held: Collection[str], zones: Collection[str], count: int) -> list[str]:
    """Up to ``count`` further hosts for something that ``held`` have already.

    Only willing ones, in ``zones`` unless that is empty; from the zones that have it least, those with the least load.
    """
    used = Counter(known[host].zone for host in held if host in known)
    free = {
        candidate.host: candidate
        for candidate in known.values()
        if candidate.willing and candidate.host not in held and (not zones or candidate.zone in zones)
    }
    chosen: list[str] = []
    while free and len(chosen) < count:
        best = min(free.values(), key=lambda candidate: (used[candidate.zone], candidate.load, candidate.host))
        best.load += 1
        used[best.zone] += 1
        chosen.append(best.host)
        del free[best.host]
    return chosen


def needs_moving(tx: Tx, context: Context) -> sa.Select[tuple[str]]:
    """The types of the agents, dead or disabled, that still have something to do."""
    unwilling = sa.or_(AGENTS.c.admin_state_up.is_(False), ~expressions(tx, context, AGENT)["alive"])
    busy = [
        (AGENTS.c.agent_type == agent_type) & sa.select(table.c.host).where(table.c.host == AGENTS.c.host).exists()
        for agent_type, table in BINDINGS.items()
    ]
    return sa.select(AGENTS.c.agent_type).where(unwilling, sa.or_(*busy)).distinct()
