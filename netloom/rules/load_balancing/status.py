"""What hosts tell of load balancers: what they have applied, how members are, and what has passed through listeners.

Provisioning follows from the first whenever an object is shown (``provisioning``). The operating status of all
objects follows from how haproxy finds the members. Writing a status logs no change.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import L7POLICIES, LB_BINDINGS, LISTENERS, LOADBALANCERS, MEMBERS, POOLS

ONLINE, OFFLINE, DEGRADED, ERROR = "ONLINE", "OFFLINE", "DEGRADED", "ERROR"
MEMBER_STATES = {"up": ONLINE, "down": ERROR, "unchecked": "NO_MONITOR", "draining": "DRAINING", "off": OFFLINE}
"""Operating status of a member by what its host tells."""
Row = Mapping[str, Any]
Members = Mapping[str, str] | None
"""States of the members of one balancer, by id; None: it does not answer."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a load balancer on a host."""

    revision: int
    """Generation of the balancer that this is about."""
    state: str
    """``applied``, ``waiting`` or ``failed``."""
    reason: str = ""


def report(tx: Tx, told: Mapping[str, Mapping[str, Applied]]) -> None:
    """Note what became of balancers on hosts (by name of the host and id of the balancer).

    What a host does not carry (any more) is passed over. The number of statements does not depend on that of hosts or
    balancers.
    """
    ids = {balancer for its in told.values() for balancer in its}
    if not ids:
        return
    _lock(tx, ids)
    table = LB_BINDINGS.c
    known = sa.select(table.host, table.loadbalancer_id, table.revision, table.state, table.reason)
    news = [
        {"of_host": host, "of_balancer": key, "revision": new.revision, "state": new.state, "reason": new.reason}
        for host, key, *old in tx.tuples(
            known.where(among(tx, table.host, told), among(tx, table.loadbalancer_id, ids))
        )
        if (new := told[host].get(key)) is not None and old != [new.revision, new.state, new.reason]
    ]
    if not news:
        return
    those = (table.host == sa.bindparam("of_host"), table.loadbalancer_id == sa.bindparam("of_balancer"))
    values: dict[str, Any] = {name: sa.bindparam(name) for name in ("revision", "state", "reason")}
    tx.execute(LB_BINDINGS.update().where(*those).values(values), news)
    settle(tx, {each["of_balancer"] for each in news})


def report_members(tx: Tx, told: Mapping[str, Mapping[str, Members]]) -> None:
    """Note how the members of balancers are (by name of the host, ids of the balancer and of the member).

    What a host does not carry (any more) is passed over. The number of statements does not depend on that of hosts,
    balancers or members.
    """
    ids = {balancer for its in told.values() for balancer in its}
    _lock(tx, ids)
    table = LB_BINDINGS.c
    carried = sa.select(table.host, table.loadbalancer_id).where(
        among(tx, table.host, told), among(tx, table.loadbalancer_id, ids)
    )
    heard = {key: told[host][key] for host, key in tx.tuples(carried.order_by(table.host)) if key in told[host]}
    if heard:
        settle(tx, heard.keys(), heard)


def report_states(tx: Tx, host: str, states: Mapping[str, str]) -> None:
    """Note what a host is for balancers (``active``, ``standby`` or ``fault`` by id); others are passed over."""
    table = LB_BINDINGS.c
    mine = (table.host == host, among(tx, table.loadbalancer_id, list(states)))
    rows = tx.tuples(sa.select(table.loadbalancer_id, table.ha_state).where(*mine))
    changed = [{"of_balancer": key, "now": states[key]} for key, state in rows if states[key] != state]
    if changed:
        _lock(tx, [each["of_balancer"] for each in changed])
        update = LB_BINDINGS.update().where(table.host == host, table.loadbalancer_id == sa.bindparam("of_balancer"))
        tx.execute(update.values(ha_state=sa.bindparam("now")), changed)


def settle(tx: Tx, ids: Collection[str], told: Mapping[str, Members] | None = None) -> None:
    """Have the operating statuses of balancers and of all that they have follow; ``told``: how their members are now.

    As long as no host has applied a balancer, what was told before stays. 7 statements, and one for each status that
    some objects of a kind newly have.
    """
    heard = told or {}
    parts = _read(tx, ids)
    changes: dict[tuple[sa.Table, str], list[str]] = defaultdict(list)
    for key, balancer in parts.balancers.items():
        if key in heard or "applied" in parts.applied[key] or not parts.applied[key]:
            for table, row, status in _statuses(balancer, parts, key in heard, heard.get(key, {})):
                if row["operating_status"] != status:
                    changes[table, status].append(row["id"])
    for (table, status), rows in sorted(changes.items(), key=lambda each: (each[0][0].name, each[0][1])):
        tx.execute(table.update().where(among(tx, table.c.id, rows)).values(operating_status=status))


@dataclass(frozen=True, slots=True)
class _Parts:
    """Balancers and what they have, each by the id of what it belongs to."""

    balancers: Mapping[str, Row]
    applied: Mapping[str, set[str | None]]
    """What became of a balancer on its hosts; empty without hosts."""
    listeners: Mapping[str, list[Row]]
    pools: Mapping[str, list[Row]]
    members: Mapping[str, list[Row]]
    used: Collection[str]
    """Ids of the pools that some listener sends to."""


def _lock(tx: Tx, ids: Iterable[str]) -> None:
    """Until the transaction ends, nobody else changes these balancers."""
    rows = sa.select(LOADBALANCERS.c.id).where(among(tx, LOADBALANCERS.c.id, sorted(ids))).order_by(LOADBALANCERS.c.id)
    tx.execute(rows.with_for_update(key_share=True))


def _read(tx: Tx, ids: Collection[str]) -> _Parts:
    common = ("id", "admin_state_up", "operating_status")
    balancers = tx.rows(sa.select(*_named(LOADBALANCERS, *common)).where(among(tx, LOADBALANCERS.c.id, ids)))
    table = LB_BINDINGS.c
    applied: dict[str, set[str | None]] = defaultdict(set)
    told = sa.select(table.loadbalancer_id, table.state).where(among(tx, table.loadbalancer_id, ids))
    for key, state in tx.tuples(told):
        applied[key].add(state)
    mine = (among(tx, each.c.loadbalancer_id, ids) for each in (LISTENERS, POOLS))
    listeners = tx.rows(
        sa.select(*_named(LISTENERS, *common, "loadbalancer_id", "default_pool_id")).where(next(mine)).order_by("id")
    )
    pools = tx.rows(sa.select(*_named(POOLS, *common, "loadbalancer_id")).where(next(mine)).order_by("id"))
    members = tx.rows(
        sa.select(*_named(MEMBERS, *common, "pool_id")).where(among(tx, MEMBERS.c.pool_id, [p["id"] for p in pools]))
    )
    serving = [listener["id"] for listener in listeners if listener["admin_state_up"]]
    leading = sa.select(L7POLICIES.c.redirect_pool_id).where(
        among(tx, L7POLICIES.c.listener_id, serving), L7POLICIES.c.admin_state_up
    )
    used = {pool for (pool,) in tx.tuples(leading)}
    used |= {listener["default_pool_id"] for listener in listeners if listener["admin_state_up"]}
    return _Parts(
        {row["id"]: row for row in balancers},
        applied,
        _by(listeners, "loadbalancer_id"),
        _by(pools, "loadbalancer_id"),
        _by(members, "pool_id"),
        used,
    )


def _named(table: sa.Table, *names: str) -> list[sa.Column[Any]]:
    return [table.c[name] for name in names]


def _by(rows: Iterable[Row], owner: str) -> Mapping[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[owner]].append(row)
    return found


def _statuses(balancer: Row, parts: _Parts, fresh: bool, told: Members) -> Iterable[tuple[sa.Table, Row, str]]:
    """The objects of a balancer, itself the last, each with its operating status."""
    up = balancer["admin_state_up"] and (fresh or "applied" in parts.applied[balancer["id"]])
    pool_states = []
    for pool in parts.pools[balancer["id"]]:
        works = up and pool["admin_state_up"] and pool["id"] in parts.used
        states = [
            (member, _of_member(member, up and pool["admin_state_up"], told)) for member in parts.members[pool["id"]]
        ]
        yield from ((MEMBERS, member, state) for member, state in states)
        state = _of_pool([state for member, state in states if member["admin_state_up"]]) if works else OFFLINE
        state = ERROR if works and told is None else state
        pool_states.append(state)
        yield POOLS, pool, state
    for listener in parts.listeners[balancer["id"]]:
        works = up and listener["admin_state_up"]
        yield LISTENERS, listener, (ERROR if told is None else ONLINE) if works else OFFLINE
    whole = ERROR if told is None else _worst(pool_states)
    yield LOADBALANCERS, balancer, whole if up else OFFLINE


def _of_member(member: Row, up: bool, told: Members) -> str:
    if not up or not member["admin_state_up"] or told is None:
        return OFFLINE
    state = told.get(member["id"])
    return MEMBER_STATES.get(state, OFFLINE) if state is not None else str(member["operating_status"])


def _of_pool(members: Collection[str]) -> str:
    """Of a pool that works: what its members that should serve are."""
    if members and all(state == ERROR for state in members):
        return ERROR
    return DEGRADED if ERROR in members else ONLINE


def _worst(pools: Collection[str]) -> str:
    return next((state for state in (ERROR, DEGRADED) if state in pools), ONLINE)
