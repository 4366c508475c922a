"""Counting SQL statements."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from netloom.store.database import Store


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """The statements that are run on ``store`` inside the block, transaction control excepted."""
    seen: list[str] = []

    def note(_connection, _cursor, statement, _parameters, _context, _many):
        if not statement.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            seen.append(statement)

    sa.event.listen(store.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", note)
