"""Status of trunks: what the host of the parent port has told of the trunk and its ports, never what was asked for.

It is worked out by the database whenever a trunk is shown, so it can neither be outdated nor bump a revision.
"""

from typing import Any

import sqlalchemy as sa

from netloom.model.ports import BINDING_FAILED, UNBOUND
from netloom.store.tables.feed import APPLIED
from netloom.store.tables.network import PORTS, SUB_PORTS, TRUNKS

NOWHERE, ERROR, DOWN, DEGRADED, BUILD, ACTIVE = range(5, -1, -1)
"""What a trunk's worst part makes of it, the worst first; a parent port that is bound to no host excuses the rest."""
NAMES = {
    NOWHERE: "DOWN",
    ERROR: "ERROR",
    DOWN: "DOWN",
    DEGRADED: "DEGRADED",
    BUILD: "BUILD",
    ACTIVE: "ACTIVE",
}


def trunk_status() -> sa.ColumnElement[Any]:
    """The status of the trunk that is a row of the table of trunks.

    DOWN: the parent port is unbound, not plugged, or its host has not heard of the trunk. ERROR: a port cannot be bound
    there, or the trunk itself or its parent failed. DEGRADED: a sub-port failed. BUILD: the host still has to wire
    something. ACTIVE: all is wired.
    """
    parent, sub = PORTS.alias("parent"), PORTS.alias("sub")
    trunk_told, parent_told, sub_told = (APPLIED.alias(f"{name}_told") for name in ("trunk", "parent", "sub"))
    known = (
        parent.outerjoin(trunk_told, _of(trunk_told, parent, "trunk/", TRUNKS.c.id))
        .outerjoin(parent_told, _of(parent_told, parent, "port/", parent.c.id))
        .outerjoin(SUB_PORTS, SUB_PORTS.c.trunk_id == TRUNKS.c.id)
        .outerjoin(sub, sub.c.id == SUB_PORTS.c.port_id)
        .outerjoin(sub_told, _of(sub_told, parent, "port/", sub.c.id))
    )
    trunk, port, member = trunk_told.c.state, parent_told.c.state, sub_told.c.state
    worst = sa.case(
        (parent.c.binding_vif_type == UNBOUND, NOWHERE),
        ((parent.c.binding_vif_type == BINDING_FAILED) | (sub.c.binding_vif_type == BINDING_FAILED), ERROR),
        ((trunk == "failed") | (port == "failed"), ERROR),
        (trunk.is_(None) | port.is_(None) | (port == "waiting"), DOWN),
        (_stale(parent), DOWN),
        (member == "failed", DEGRADED),
        ((trunk == "waiting") | (member == "waiting") | (sub.c.id.is_not(None) & member.is_(None)), BUILD),
        (_stale(sub), BUILD),
        else_=ACTIVE,
    )
    found = sa.select(sa.func.max(worst)).select_from(known).where(parent.c.id == TRUNKS.c.port_id).correlate(TRUNKS)
    return sa.case(NAMES, value=found.scalar_subquery())


def _of(told: sa.FromClause, parent: sa.FromClause, kind: str, object_id: sa.ColumnElement[Any]) -> Any:
    """Of what the parent's host has told, what it said of one fragment."""
    return (told.c.host == parent.c.binding_host_id) & (told.c.fragment == sa.literal(kind, sa.Text) + object_id)


def _stale(port: sa.FromClause) -> Any:
    """Whether what was told of a port is from before it was bound where it is: its own status waits for the next."""
    return port.c.admin_state_up & (port.c.status != "ACTIVE")
