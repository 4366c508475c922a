"""Why the provisioning status of a load balancer is what it is: what each of its hosts has told."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from netloom.rules import binding
from netloom.rules.context import Context
from netloom.rules.load_balancing.provisioning import LB_AGENT, provisioning
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import LB_BINDINGS, LOADBALANCERS
from netloom.store.tables.network import AGENTS

NAMESPACE = "qlbaas-"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one host makes of a load balancer, in words."""

    balancer_id: str
    status: str
    """``provisioning_status`` of the balancer."""
    host: str
    """Empty when none carries it."""
    reason: str


def find(tx: Tx, text: str) -> list[str]:
    """Ids of the load balancers whose id begins with a text, or whose namespace has that name; 1 statement."""
    table = LOADBALANCERS.c
    beginning = table.id.startswith(text.removeprefix(NAMESPACE), autoescape=True)
    return list(tx.execute(sa.select(table.id).where(beginning).order_by(table.id)).scalars())


def explain(tx: Tx, context: Context, balancer_id: str) -> list[Explanation]:
    """Explain the status of a load balancer that is there, host by host; 2 statements."""
    table, told = LOADBALANCERS.c, LB_BINDINGS.c
    since = binding.alive_since(tx, context)
    status = provisioning(table.id, since).label("status")
    asked = sa.select(table.generation, table.vip_port_id, status).where(table.id == balancer_id)
    balancer = tx.execute(asked).one()
    agent = (AGENTS.c.host == told.host) & (AGENTS.c.agent_type == LB_AGENT)
    rows = sa.select(LB_BINDINGS, AGENTS.c.heartbeat_timestamp).outerjoin(AGENTS, agent)
    found = tx.execute(rows.where(told.loadbalancer_id == balancer_id).order_by(told.host)).all()
    if not found:
        return [Explanation(balancer_id, balancer.status, "", f"no host carries it: there is no live {LB_AGENT}")]
    return [Explanation(balancer_id, balancer.status, row.host, _reason(balancer, row, since)) for row in found]


def _reason(balancer: Any, row: Any, since: str) -> str:
    if balancer.vip_port_id is None:
        return "it has no VIP yet: nothing is to be done"
    if (row.heartbeat_timestamp or "") < since:
        return f"its {LB_AGENT} is silent since {row.heartbeat_timestamp or 'ever'}: what it told does not count"
    role = f", {row.ha_state}" if row.ha_state else ""
    if row.state is None:
        return "it has not reported on it yet"
    if row.revision < balancer.generation:
        return f"it works on the change to generation {balancer.generation}; {row.revision} is {row.state}{role}"
    return f"it has applied it{role}" if row.state == "applied" else f"{row.state}: {row.reason}"
