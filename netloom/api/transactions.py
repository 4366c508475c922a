"""Write transactions that lose a race are run again: the second time they see what won, and answer by the rules."""

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
import structlog

from netloom.model.errors import Conflict
from netloom.store.database import Store, Tx

LOG = structlog.get_logger()
ATTEMPTS = 5
_LOST = frozenset({"40001", "40P01", "23505", "23503"})
"""SQLSTATE: serialization failure, deadlock, unique violation, foreign key violation (PostgreSQL, appendix A)."""
T = TypeVar("T")


def write(store: Store, work: Callable[[Tx], T]) -> T:
    """The result of ``work`` in one write transaction. Raises ``Conflict`` when it keeps losing to others."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with store.write() as tx:
                return work(tx)
        except sa.exc.DBAPIError as error:
            if not _lost(error):
                raise
            LOG.info("transaction lost a race", attempt=attempt, reason=str(error.orig).splitlines()[0])
    raise Conflict("The objects of this request are being changed by others; try again.")


def _lost(error: sa.exc.DBAPIError) -> bool:
    if isinstance(error, sa.exc.IntegrityError):
        return True
    return getattr(error.orig, "sqlstate", None) in _LOST
