"""What has passed through listeners: counts that outlive the processes and hosts that have counted.

A process (worker) tells the sums since its start; one that is not told of any more has ended, and its last sums are
added to those of its host's earlier ones, which have no worker's name.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import LB_STATISTICS, LISTENERS

ENDED = ""
"""Stands for all workers that are no more."""
COUNTERS = ("active_connections", "bytes_in", "bytes_out", "request_errors", "total_connections")


class Key(NamedTuple):
    """What a row is about."""

    listener_id: str
    host: str
    worker: str


def report_traffic(tx: Tx, told: Mapping[str, Mapping[str, Mapping[str, Mapping[str, int]]]]) -> None:
    """Note what has passed, by name of the host, id of the listener and worker: the counts of all workers of the hosts.

    3 statements, 4 when workers have ended; none that writes when nothing has passed.
    """
    held = _held(tx, told)
    known = _known(tx, {listener for its in told.values() for listener in its})
    now = {
        Key(listener, host, worker): tuple(counts[name] for name in COUNTERS)
        for host, its in told.items()
        for listener, workers in its.items()
        for worker, counts in workers.items()
        if listener in known
    }
    ended = [key for key in held if key.worker != ENDED and key not in now]
    for key in ended:
        total = key._replace(worker=ENDED)
        before = now.get(total) or held.get(total) or (0,) * len(COUNTERS)
        # Nothing is connected to it any more.
        now[total] = (0, *(sum(pair) for pair in zip(before[1:], held[key][1:], strict=True)))
    _store(tx, {key: counts for key, counts in now.items() if held.get(key) != counts})
    if ended:
        table = LB_STATISTICS.c
        those = [table[name] == sa.bindparam(f"of_{name}") for name in Key._fields]
        tx.execute(LB_STATISTICS.delete().where(*those), [_parameters(key) for key in sorted(ended)])


def _held(tx: Tx, hosts: Mapping[str, Any]) -> dict[Key, tuple[int, ...]]:
    table = LB_STATISTICS.c
    columns = [table[name] for name in (*Key._fields, *COUNTERS)]
    rows = tx.tuples(sa.select(*columns).where(among(tx, table.host, list(hosts))))
    return {Key(*row[:3]): tuple(row[3:]) for row in rows}


def _known(tx: Tx, listeners: set[str]) -> set[str]:
    return {key for (key,) in tx.tuples(sa.select(LISTENERS.c.id).where(among(tx, LISTENERS.c.id, sorted(listeners))))}


def _store(tx: Tx, fresh: Mapping[Key, tuple[int, ...]]) -> None:
    if not fresh:
        return
    statement = postgresql.insert(LB_STATISTICS) if tx.postgresql else sqlite.insert(LB_STATISTICS)
    updates = {name: statement.excluded[name] for name in COUNTERS}
    rows = [key._asdict() | dict(zip(COUNTERS, counts, strict=True)) for key, counts in sorted(fresh.items())]
    tx.execute(statement.on_conflict_do_update(index_elements=list(Key._fields), set_=updates), rows)


def _parameters(key: Key) -> dict[str, str]:
    return {f"of_{name}": value for name, value in key._asdict().items()}
