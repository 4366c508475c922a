"""Reading the log of changes, so that each change is read once and none is missed.

Rows become visible when their transaction commits, not in the order of their ids. On PostgreSQL a position is
therefore the whole snapshot of the last reading (``xmin:xmax:running``): the next reading takes every row that
it sees and that was not visible in that snapshot, however late its transaction committed. On SQLite, where
writers take turns, the last id is enough.
"""

import sqlalchemy as sa

from netloom.store.database import Tx
from netloom.store.tables.feed import CHANGES

_NOW = sa.cast(sa.func.pg_current_snapshot(), sa.Text)
_OLDEST = sa.select(sa.func.min(CHANGES.c.id)).scalar_subquery()


def since(tx: Tx, last: str | None) -> tuple[str, set[tuple[str, str]] | None]:
    """The new position, and (kind, id) of what changed since position ``last``; one statement.

    None instead of a set: anything may have changed, compare everything. So it is for a new reader (``last``
    is None), and when changes after ``last`` may have been trimmed.
    """
    if last is None:
        newest = sa.func.coalesce(sa.func.max(CHANGES.c.id), 0)
        return str(tx.execute(sa.select(_NOW if tx.postgresql else newest)).scalar_one()), None
    rows = tx.execute(_since_postgresql(last) if tx.postgresql else _since_sqlite(int(last))).all()
    changed = {(row.kind, row.object_id) for row in rows if row.kind is not None}
    return str(rows[-1].position), None if rows[0].trimmed else changed


def trim(tx: Tx, keep: int) -> None:
    """Forget old changes, keeping the newest ``keep`` (at least 1)."""
    bound = sa.select(sa.func.max(CHANGES.c.id) - max(keep, 1)).scalar_subquery()
    if not tx.postgresql:
        tx.execute(CHANGES.delete().where(CHANGES.c.id <= bound))
        return
    # By transaction, and only finished ones: what is left tells then how far back it is complete.
    newest_old = CHANGES.alias()
    oldest_kept = (
        sa.select(newest_old.c.transaction).where(newest_old.c.id <= bound).order_by(newest_old.c.id.desc()).limit(1)
    )
    horizon = _number(sa.func.pg_snapshot_xmin(sa.func.pg_current_snapshot()))
    finished = sa.func.least(oldest_kept.scalar_subquery(), horizon)
    tx.execute(CHANGES.delete().where(oldest_kept.exists(), CHANGES.c.transaction < finished))


def _number(xid8: sa.ColumnElement[object]) -> sa.ColumnElement[int]:
    return sa.cast(sa.cast(xid8, sa.Text), sa.BigInteger)


def _since_sqlite(last: int) -> sa.Select[tuple[object, ...]]:
    # Ids are dense: a rolled back transaction uses none up, and trimming leaves the newest.
    state = sa.select(sa.func.coalesce(sa.literal(last + 1) < _OLDEST, sa.false()).label("trimmed")).subquery()
    return (
        sa.select(
            state.c.trimmed,
            sa.func.coalesce(CHANGES.c.id, last).label("position"),
            CHANGES.c.kind,
            CHANGES.c.object_id,
        )
        .select_from(state.outerjoin(CHANGES, CHANGES.c.id > last))
        .order_by(CHANGES.c.id)
    )


def _since_postgresql(last: str) -> sa.Select[tuple[object, ...]]:
    snapshot: sa.ColumnElement[object] = sa.cast(sa.literal(last), _Native("pg_snapshot"))
    horizon = sa.literal(int(last.split(":", 1)[0]), sa.BigInteger)
    transaction: sa.ColumnElement[object] = sa.cast(sa.cast(CHANGES.c.transaction, sa.Text), _Native("xid8"))
    oldest = sa.select(sa.func.min(CHANGES.c.transaction)).scalar_subquery()
    # A log that still has its first row was never trimmed.
    trimmed = sa.func.coalesce(sa.and_(_OLDEST > 1, oldest > horizon), sa.false())
    state = sa.select(trimmed.label("trimmed"), _NOW.label("position")).subquery()
    new = sa.and_(CHANGES.c.transaction >= horizon, sa.not_(sa.func.pg_visible_in_snapshot(transaction, snapshot)))
    return sa.select(state.c.trimmed, state.c.position, CHANGES.c.kind, CHANGES.c.object_id).select_from(
        state.outerjoin(CHANGES, new)
    )


class _Native(sa.types.UserDefinedType[object]):
    """A type of PostgreSQL that SQLAlchemy does not know."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: object) -> str:
        return self.name
