"""Why the status of a port is what it is: what is asked for, and what its host has told."""

from dataclasses import dataclass

import sqlalchemy as sa

from netloom.rules import binding
from netloom.rules.context import Context
from netloom.rules.status import speaker
from netloom.store.database import Tx
from netloom.store.tables.feed import APPLIED
from netloom.store.tables.network import AGENTS, PORTS

DEVICES = ("tap", "qr-", "qg-", "ha-", "qbr", "qvb", "qvo", "tpt-", "tpi-", "spt-", "spi-")
"""How names of devices begin that go on with a port's id: those of trunks and their sub-ports among them."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A port's status in words."""

    port_id: str
    status: str
    host: str
    """Empty when it is bound to none."""
    reason: str


def find(tx: Tx, text: str) -> list[str]:
    """Ids of the ports whose id begins with a text, or whose device has that name; 1 statement."""
    beginnings = {text, *(text[len(prefix) :] for prefix in DEVICES if text.startswith(prefix))}
    known = sa.or_(*(PORTS.c.id.startswith(beginning, autoescape=True) for beginning in beginnings))
    return list(tx.execute(sa.select(PORTS.c.id).where(known).order_by(PORTS.c.id)).scalars())


def explain(tx: Tx, context: Context, port_id: str) -> Explanation:
    """Explain the status of a port that is there; 3 statements at most."""
    (port,) = tx.rows(sa.select(PORTS).where(PORTS.c.id == port_id))
    host = port["binding_host_id"] or ""
    told = APPLIED.c
    found = tx.row(sa.select(APPLIED).where(told.host == host, told.fragment == speaker(port)))
    if not port["admin_state_up"]:
        reason = f"it is administratively down: openstack port set --enable {port_id}"
    elif not host:
        reason = "it is bound to no host: nothing uses it"
    elif port["binding_vif_type"] != binding.BOUND:
        reason = f"binding failed: when it was bound, {host} had no live Open vSwitch agent that carries its network"
    elif found is None:
        reason = f"{host} has not reported on it yet"
    elif found["state"] == "applied":
        reason = f"{host} has applied it"
    else:
        reason = f"{found['state']}: {found['reason']}"
    return Explanation(port_id, port["status"], host, reason + _silence(tx, context, host))


def _silence(tx: Tx, context: Context, host: str) -> str:
    """What to add when the host may not be heard any more."""
    agent = (AGENTS.c.host == host, AGENTS.c.agent_type == binding.SWITCH_AGENT)
    last = tx.execute(sa.select(AGENTS.c.heartbeat_timestamp).where(*agent)).scalar() if host else None
    return f" (silent since {last})" if last is not None and last < binding.alive_since(tx, context) else ""
