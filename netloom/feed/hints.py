"""Hints between servers on one PostgreSQL database: there are changes to look at.

They are sent after the commit, several changes in one, and may be lost: who gets none looks now and then. A
notification inside each transaction would make all commits wait for each other.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Callable

import psycopg
import sqlalchemy as sa
import structlog

from netloom.store.database import POSTGRESQL, Store

LOG = structlog.get_logger()
CHANNEL = "netloom_changes"
PAUSE = 0.01
"""Seconds between two hints at least."""
RETRY = 1.0
"""Seconds until the next attempt to listen."""


class Hints:
    """This server's ear and voice; silent on SQLite, which has one server."""

    def __init__(self, store: Store, heard: Callable[[], None]) -> None:
        """``heard`` is called when another server has changed something, from the event loop."""
        self._store, self._heard = store, heard
        self._name = uuid.uuid4().hex
        self._changed = asyncio.Event()

    def tell(self) -> None:
        """Have the other servers know that something was changed here; to be called from the event loop."""
        self._changed.set()

    async def run(self) -> None:
        """Listen and tell until cancelled."""
        if self._store.engine.dialect.name == "postgresql":
            await asyncio.gather(self._listen(), self._send())

    async def _listen(self) -> None:
        while True:
            try:
                await self._follow()
            except psycopg.Error as error:
                LOG.warning("hints of other servers are not heard: their changes come later", error=str(error))
                await asyncio.sleep(RETRY)

    async def _follow(self) -> None:
        _, options = self._store.engine.dialect.create_connect_args(self._store.engine.url)
        async with await psycopg.AsyncConnection.connect(**options, **POSTGRESQL, autocommit=True) as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            self._heard()  # what happened before we listened
            async for notification in connection.notifies():
                if notification.payload != self._name:
                    self._heard()

    async def _send(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            with contextlib.suppress(sa.exc.DBAPIError):
                await asyncio.to_thread(self._notify)
            await asyncio.sleep(PAUSE)

    def _notify(self) -> None:
        with self._store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.select(sa.func.pg_notify(CHANNEL, self._name)))
