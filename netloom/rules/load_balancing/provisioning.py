"""Whether what was asked of a load balancer is done: what its hosts have told, never what was asked for.

Worked out by the database whenever an object is shown, so that it cannot be outdated and nothing stays pending: a
host that tells nothing any more counts no longer once it is dead.
"""

from typing import Any

import sqlalchemy as sa

from netloom.store.tables.loadbalancers import LB_BINDINGS, LOADBALANCERS
from netloom.store.tables.network import AGENTS

LB_AGENT = "Loadbalancer agent"
"""Type of the agents that carry load balancers."""
DONE, UNDER_WAY, FAILED = 1, 2, 3
"""What the worst of a balancer's hosts has made of it."""


def provisioning(
    balancer: sa.ColumnElement[Any],
    alive_since: Any,
    made: sa.ColumnElement[Any] | None = None,
    touched: sa.ColumnElement[Any] | None = None,
) -> sa.ColumnElement[Any]:
    """``provisioning_status`` of an object of the load balancer of id ``balancer``; ERROR when no live host has it.

    ``made``, ``touched``: the balancer's generations of the object's creation and last change; none: its own.
    What was not touched since is as it was.
    """
    table = LOADBALANCERS.alias("balancer_of")
    untouched = sa.false() if touched is None else touched < table.c.generation
    new = table.c.generation == (1 if made is None else made)
    pending = sa.case((untouched, "ACTIVE"), (new, "PENDING_CREATE"), else_="PENDING_UPDATE")
    failed = sa.case((untouched, "ACTIVE"), else_="ERROR")
    status = sa.case({DONE: sa.literal("ACTIVE"), UNDER_WAY: pending}, value=_worst(table, alive_since), else_=failed)
    found = sa.select(status).where(table.c.id == balancer).correlate_except(table)
    return found.scalar_subquery()


def _worst(balancer: sa.FromClause, alive_since: Any) -> sa.ColumnElement[Any]:
    """What the live hosts of a balancer have made of its present generation; null when there is none."""
    table = LB_BINDINGS.c
    outdated = table.state.is_(None) | (table.state == "waiting") | (table.revision < balancer.c.generation)
    worst = sa.case((outdated, UNDER_WAY), (table.state == "failed", FAILED), else_=DONE)
    alive = (AGENTS.c.host == table.host) & (AGENTS.c.agent_type == LB_AGENT)
    alive &= AGENTS.c.heartbeat_timestamp >= alive_since
    found = sa.select(sa.func.max(worst)).select_from(LB_BINDINGS.join(AGENTS, alive))
    return found.where(table.loadbalancer_id == balancer.c.id).correlate(balancer).scalar_subquery()
