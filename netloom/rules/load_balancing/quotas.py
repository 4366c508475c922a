"""How many objects of load balancing a project may have."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from netloom.model.kinds import Integer, Invalid
from netloom.rules.load_balancing.errors import InvalidOption, QuotaException
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import (
    HEALTHMONITORS,
    L7POLICIES,
    L7RULES,
    LISTENERS,
    LOADBALANCERS,
    MEMBERS,
    POOLS,
)
from netloom.store.tables.network import QUOTAS

TABLES: Mapping[str, sa.Table] = {
    "load_balancer": LOADBALANCERS,
    "listener": LISTENERS,
    "pool": POOLS,
    "member": MEMBERS,
    "health_monitor": HEALTHMONITORS,
    "l7policy": L7POLICIES,
    "l7rule": L7RULES,
}
NAMES = {table: name for name, table in TABLES.items()}
DEFAULTS: dict[str, int] = dict.fromkeys(TABLES, -1) | {"load_balancer": 10}
"""The limits of a project that has none of its own."""
OTHER_WORDS = {"loadbalancer": "load_balancer", "healthmonitor": "health_monitor"}
"""Older spellings, which answers show as well."""
LIMIT = Integer(least=-1, most=2_000_000_000, nullable=True)
PREFIX = "octavia:"
"""Before the names in the table of quotas, which the Networking API shares."""


def effective(tx: Tx, project_id: str) -> dict[str, int]:
    """The limits of a project; -1: none."""
    own = tx.execute(sa.select(QUOTAS.c.resource, QUOTAS.c.limit).where(QUOTAS.c.project_id == project_id))
    named = {row.resource.removeprefix(PREFIX): row.limit for row in own if row.resource.startswith(PREFIX)}
    return DEFAULTS | named


def shown(limits: Mapping[str, int]) -> dict[str, int]:
    """Limits as answers have them, under all names."""
    return dict(limits) | {old: limits[name] for old, name in OTHER_WORDS.items()}


def check(tx: Tx, project_id: str, counts: Mapping[sa.Table, int]) -> None:
    """Refuse so many more objects when they do not fit; 2 statements, and requests of a project take turns.

    Raises QuotaException.
    """
    limits = effective(tx, project_id)
    limited = [table for table, count in counts.items() if count and limits[NAMES[table]] >= 0]
    if not limited:
        return
    tx.alone(f"octavia quota {project_id}")
    used = [
        sa.select(sa.func.count()).select_from(table).where(table.c.project_id == project_id).scalar_subquery()
        for table in limited
    ]
    for table, count in zip(limited, tx.tuples(sa.select(*used))[0], strict=True):
        if count + counts[table] > limits[NAMES[table]]:
            raise QuotaException(resource=NAMES[table].replace("_", " ").title())


def update(tx: Tx, project_id: str, body: Mapping[str, Any]) -> dict[str, int]:
    """Set limits of a project; null gives back the default. Raises InvalidOption."""
    wanted: dict[str, int | None] = {}
    for word, value in body.items():
        name = OTHER_WORDS.get(word, word)
        if name not in TABLES:
            raise InvalidOption(value=word, option="quota")
        try:
            wanted[name] = LIMIT.parse(value)
        except Invalid as reason:
            raise InvalidOption(value=value, option=f"quota {name}: {reason}") from None
    clear(tx, project_id, wanted)
    rows = [
        {"project_id": project_id, "resource": PREFIX + name, "limit": limit}
        for name, limit in wanted.items()
        if limit is not None
    ]
    if rows:
        tx.execute(QUOTAS.insert(), rows)
    return effective(tx, project_id)


def clear(tx: Tx, project_id: str, names: Mapping[str, Any] = DEFAULTS) -> None:
    """Give a project the default limits again, of these names or all."""
    own = QUOTAS.c.resource.in_([PREFIX + name for name in names])
    tx.execute(QUOTAS.delete().where(QUOTAS.c.project_id == project_id, own))


def listing(tx: Tx, project_id: str | None) -> list[dict[str, Any]]:
    """The projects (or this one) that have limits of their own, with all their limits."""
    table = QUOTAS.c
    statement = sa.select(table.project_id).where(table.resource.startswith(PREFIX)).distinct()
    if project_id is not None:
        statement = statement.where(table.project_id == project_id)
    found: dict[str, dict[str, int]] = {
        key: dict(DEFAULTS) for (key,) in tx.tuples(statement.order_by(table.project_id))
    }
    for row in tx.execute(sa.select(QUOTAS).where(table.resource.startswith(PREFIX))):
        if row.project_id in found:
            found[row.project_id][row.resource.removeprefix(PREFIX)] = row.limit
    return [shown(limits) | {"project_id": key} for key, limits in found.items()]
