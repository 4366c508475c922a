"""Availability zones: the zones of the agents that serve networks and routers."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import NotFound
from netloom.rules.query import Query
from netloom.store.database import Tx
from netloom.store.tables.network import AGENTS

RESOURCES = {"DHCP agent": "network", "L3 agent": "router"}
"""What the zone of an agent is about, by agent type."""


class AvailabilityZoneNotFound(NotFound):
    """No agent is in this zone."""

    message = "AvailabilityZone {availability_zone} could not be found."


def find(tx: Tx, query: Query) -> list[dict[str, Any]]:
    """The zones: one row for each name and resource, available when one of its agents is enabled."""
    enabled = sa.func.max(sa.case((AGENTS.c.admin_state_up.is_(True), 1), else_=0))
    statement = (
        sa.select(AGENTS.c.availability_zone, AGENTS.c.agent_type, enabled)
        .where(AGENTS.c.agent_type.in_(RESOURCES), AGENTS.c.availability_zone.is_not(None))
        .group_by(AGENTS.c.availability_zone, AGENTS.c.agent_type)
        .order_by(AGENTS.c.availability_zone, AGENTS.c.agent_type)
    )
    rows = [
        {"name": name, "resource": RESOURCES[kind], "state": "available" if up else "unavailable"}
        for name, kind, up in tx.tuples(statement)
    ]
    return [row for row in rows if all(row[key] in values for key, values in query.filters.items())]


def check(tx: Tx, agent_type: str, hints: Collection[str]) -> None:
    """Refuse hints for zones in which there is no such agent. Raises AvailabilityZoneNotFound."""
    if not hints:
        return
    statement = sa.select(AGENTS.c.availability_zone).where(AGENTS.c.agent_type == agent_type).distinct()
    for zone in sorted(set(hints) - set(tx.connection.scalars(statement))):
        raise AvailabilityZoneNotFound(availability_zone=zone)
