"""Write transactions that lose a race are run again: the second time they see what won, and answer by the rules."""

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
import structlog

from netloom.model.errors import Conflict
from netloom.store.database import Interrupted, Store, Tx

LOG = structlog.get_logger()
ATTEMPTS = 5
T = TypeVar("T")


def write(store: Store, work: Callable[[Tx], T]) -> T:
    """The result of ``work`` in one write transaction. Raises ``Conflict`` when it keeps losing to others.

    It loses when a constraint forbids what another one made meanwhile, or to end a deadlock.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with store.write() as tx:
                return work(tx)
        except (Interrupted, sa.exc.IntegrityError) as error:
            cause = error.orig if isinstance(error, sa.exc.IntegrityError) else error.__cause__
            LOG.info("transaction lost a race", attempt=attempt, reason=str(cause).splitlines()[0])
    raise Conflict("The objects of this request are being changed by others; try again.")
