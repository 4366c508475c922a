"""Work moves away from agents that are dead or disabled. To be called again and again, by any number of servers."""

import sqlalchemy as sa

from netloom.rules import dhcp_scheduling, placement, router_scheduling
from netloom.rules.context import Context
from netloom.rules.load_balancing import scheduling
from netloom.rules.load_balancing.provisioning import LB_AGENT
from netloom.rules.placement import DHCP_AGENT, L3_AGENT
from netloom.store.database import Tx

LOCK = 0x6E65746C
"""Advisory lock of PostgreSQL: one server at a time does this."""


def run(tx: Tx, context: Context) -> bool:
    """Move networks, routers, load balancers as far as others can take them; whether there may be more to move at once.

    1 statement, and on PostgreSQL another for the lock, when nothing is to be done. An agent counts as dead when the
    database has no heartbeat of it within ``agent_down_time``: do not call it before the servers have been listening
    for so long.
    """
    if tx.postgresql and not tx.execute(sa.select(sa.func.pg_try_advisory_xact_lock(LOCK))).scalar_one():
        return False
    busy = set(tx.execute(placement.needs_moving(tx, context)).scalars())
    more = [
        relieve(tx, context)
        for agent_type, relieve in (
            (DHCP_AGENT, dhcp_scheduling.relieve),
            (L3_AGENT, router_scheduling.relieve),
            (LB_AGENT, scheduling.relieve),
        )
        if agent_type in busy
    ]
    return any(more)
