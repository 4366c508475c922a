"""Taking free numbers (addresses, segment ids): lowest first, each at most once, with any number of servers.

The primary key of the table of what is taken decides. On PostgreSQL a transaction does not see what others are
taking at the moment; it claims numbers by advisory locks first, so that it passes over those instead of
waiting for them. Locks only save time: correctness rests on the key. On SQLite writers are alone.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from netloom.store.database import Tx

SLACK = 64
"""How many more free numbers are looked up than are needed, for those that others are taking."""


Column: TypeAlias = sa.ColumnElement[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Numbers of which each can be taken once."""

    key: str
    """Its name, unique among the spaces of all tables."""
    column: Column
    """Column of the taken numbers."""
    scope: tuple[tuple[Column, str], ...]
    """Which rows of that column's table belong to this space: those with these values."""
    ranges: tuple[tuple[int, int], ...]
    """First and last numbers to choose from."""


Attempt = tuple[int, Space, int]
"""Index of the want, and the number that it may take from a space."""


def insert_new(tx: Tx, table: sa.Table, rows: Sequence[Mapping[str, Any]], *keys: str) -> set[tuple[Any, ...]]:
    """Insert the rows that collide with no other; returns the ``keys`` columns of those that went in."""
    if not rows:
        return set()
    statement = postgresql.insert(table) if tx.postgresql else sqlite.insert(table)
    wanted = statement.on_conflict_do_nothing().returning(*(table.c[key] for key in keys))
    return {tuple(row) for row in tx.execute(wanted, list(rows))}


def take(
    tx: Tx, wants: Sequence[Sequence[Space]], insert: Callable[[list[Attempt]], set[int]]
) -> list[tuple[Space, int] | None]:
    """Give each want the lowest free number of the first of its spaces that has one; None when none has.

    ``insert`` stores attempts and returns the indices of those that nobody was quicker to take. Ends, because
    every round either serves a want, rules out a number for good, or rules out a space for a want.
    """
    served: list[tuple[Space, int] | None] = [None] * len(wants)
    open_spaces = {index: list(spaces) for index, spaces in enumerate(wants) if spaces}
    refused: dict[str, set[int]] = defaultdict(set)
    while open_spaces:
        demand: dict[str, tuple[Space, list[int]]] = {}
        for index, spaces in open_spaces.items():
            demand.setdefault(spaces[0].key, (spaces[0], []))[1].append(index)
        found = _free(tx, demand, refused)
        claimed = _claim(tx, {key: (found[key], len(indices)) for key, (_, indices) in demand.items()})
        attempts = [
            (index, space, number)
            for key, (space, indices) in demand.items()
            for index, number in zip(indices, claimed[key], strict=False)
        ]
        stored = insert(attempts) if attempts else set()
        for index, space, number in attempts:
            if index in stored:
                served[index] = (space, number)
                del open_spaces[index]
            else:
                refused[space.key].add(number)
        for key, (_, indices) in demand.items():
            if len(claimed[key]) < len(indices):
                _pass_on(open_spaces, indices[len(claimed[key]) :], exhausted=len(found[key]) == len(claimed[key]))
                refused[key].update(found[key])
    return served


def _pass_on(open_spaces: dict[int, list[Space]], indices: Iterable[int], exhausted: bool) -> None:
    """Wants that got nothing try their next space when this one has no more; else the next numbers."""
    for index in indices if exhausted else ():
        open_spaces[index].pop(0)
        if not open_spaces[index]:
            del open_spaces[index]


def _free(
    tx: Tx, demand: Mapping[str, tuple[Space, list[int]]], refused: Mapping[str, set[int]]
) -> dict[str, list[int]]:
    """The lowest free numbers of each space: as many as are wanted and ``SLACK`` more; one statement."""
    limits = {key: len(indices) + SLACK + len(refused.get(key, ())) for key, (_, indices) in demand.items()}
    asked = [(space, *ends, limits[key]) for key, (space, _) in demand.items() for ends in space.ranges]
    gaps: dict[str, list[tuple[int, int]]] = defaultdict(list)
    if asked:
        shapes = tuple((space.column, tuple(column for column, _ in space.scope)) for space, *_ in asked)
        values: dict[str, Any] = {}
        for place, (space, first, last, limit) in enumerate(asked):
            values |= {f"key{place}": space.key, f"first{place}": first, f"last{place}": last, f"limit{place}": limit}
            values |= {f"scope{place}_{number}": value for number, (_, value) in enumerate(space.scope)}
        for key, first, last in tx.tuples(_all_gaps(shapes), values):
            gaps[key].append((first, last))
    return {
        key: list(islice(_numbers(sorted(gaps[key]), refused.get(key, set())), len(indices) + SLACK))
        for key, (_, indices) in demand.items()
    }


@lru_cache(maxsize=64)
def _all_gaps(shapes: tuple[tuple[Column, tuple[Column, ...]], ...]) -> sa.CompoundSelect[Any]:
    """The gaps of several ranges of spaces, as ``_gaps`` of each; built once."""
    return sa.union_all(
        *(query for place, (column, scope) in enumerate(shapes) for query in _gaps(place, column, scope))
    )


def _gaps(place: int, column: Column, scope: Iterable[Column]) -> list[sa.Select[Any]]:
    """The gap before the first taken number, and the lowest ones behind taken numbers: read in index order.

    Parameters: ``key``, ``first``, ``last``, ``limit`` and the values of the scope's columns, each with the place.

    Most spaces are taken without gaps. Counting tells so several times quicker than comparing neighbours, which
    then starts at the last number.
    """
    key = sa.bindparam(f"key{place}", type_=sa.Text)
    low, high = (
        sa.cast(sa.bindparam(f"{end}{place}", type_=sa.BigInteger), sa.BigInteger) for end in ("first", "last")
    )
    mine = [part == sa.bindparam(f"scope{place}_{number}") for number, part in enumerate(scope)]
    taken = (*mine, column >= low, column <= high)
    lowest = sa.select(sa.func.min(column)).where(*taken).scalar_subquery()
    dense = sa.func.count() == sa.func.max(column) - sa.func.min(column) + 1
    start = sa.select(sa.case((dense, sa.func.max(column)), else_=sa.func.min(column))).where(*taken).scalar_subquery()
    head = sa.select(key, low, sa.func.coalesce(lowest - 1, high))
    following = sa.func.lead(column).over(order_by=column).label("following")
    pairs = sa.select(column.label("number"), following).where(*taken, column >= start).subquery()
    behind = (
        sa.select(key, pairs.c.number + 1, sa.func.coalesce(pairs.c.following - 1, high))
        .where(sa.func.coalesce(pairs.c.following, high + 1) > pairs.c.number + 1)
        .order_by(pairs.c.number)
        .limit(sa.bindparam(f"limit{place}", type_=sa.Integer))
        .subquery()
    )
    return [head, sa.select(behind)]


def _numbers(gaps: Iterable[tuple[int, int]], refused: set[int]) -> Iterator[int]:
    for first, last in gaps:
        yield from (number for number in range(first, last + 1) if number not in refused)


def _claim(tx: Tx, offers: Mapping[str, tuple[list[int], int]]) -> dict[str, list[int]]:
    """Of the free numbers of each space, lowest first, as many as are wanted and nobody else is taking now."""
    claimed: dict[str, list[int]] = {key: [] for key in offers}
    if not tx.postgresql:
        return {key: numbers[:count] for key, (numbers, count) in offers.items()}
    queries = []
    for key, (numbers, count) in offers.items():
        array = sa.literal(numbers, postgresql.ARRAY(sa.BigInteger))
        offer = sa.func.unnest(array).table_valued("number").render_derived()
        name = sa.literal(f"{key}/", sa.Text) + sa.cast(offer.c.number, sa.Text)
        lock = sa.func.pg_try_advisory_xact_lock(sa.func.hashtextextended(name, 0), type_=sa.Boolean)
        # The limit stops the scan, so that no more numbers are locked than wanted.
        mine = sa.select(sa.literal(key, sa.Text).label("key"), offer.c.number).where(lock).limit(count).subquery()
        queries.append(sa.select(mine))
    for key, number in tx.tuples(sa.union_all(*queries)):
        claimed[key].append(number)
    return claimed
