"""Connections and transactions.

One transaction per request. A write ends with the rows of the change log that it caused, in the same
transaction, so that nothing which was committed can be missed; listeners are woken after the commit.
"""

import os
import select
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
import sqlalchemy as sa
import structlog

from netloom.model.errors import ServiceUnavailable
from netloom.store.tables.feed import CHANGES

LOG = structlog.get_logger()
POSTGRESQL: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}
"""How soon a database that does not answer counts as lost (libpq's connection parameters; seconds)."""
POOL_TIMEOUT = 10.0
"""Seconds to wait for a connection that others use."""


class DatabaseFull(ServiceUnavailable):
    """The database cannot grow."""

    message = "The server has no room to write: nothing was changed. Free disk space where its database is."


class DatabaseUnavailable(ServiceUnavailable):
    """The database is stopped, not reached, or was lost on the way."""

    message = "The server's database does not answer. Try again."


class Interrupted(ServiceUnavailable):
    """PostgreSQL ended a transaction that stood in another's way."""

    message = "The request met another one in the database and was undone: nothing was changed. Try again."


class Tx:
    """A transaction: a connection, the time of the request, and the changes to log."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self.now = datetime.now(UTC)
        self._changes: dict[tuple[str, str], None] = {}
        self.revised: set[tuple[str, str]] = set()
        """Table and id of each row that this transaction made or bumped: a revision grows once."""

    @property
    def postgresql(self) -> bool:
        """Whether the database is PostgreSQL (else SQLite, whose writers wait for each other anyway)."""
        return self.connection.dialect.name == "postgresql"

    @property
    def timestamp(self) -> str:
        """The time of the request as the API shows it."""
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    def execute(self, statement: sa.Executable, parameters: Any = None) -> sa.CursorResult[Any]:
        """Run one statement."""
        return self.connection.execute(statement, parameters)

    def rows(self, statement: sa.Executable) -> list[dict[str, Any]]:
        """The rows of a query, as dictionaries."""
        return [dict(row) for row in self.connection.execute(statement).mappings()]

    def tuples(self, statement: sa.Executable, parameters: Any = None) -> Sequence[tuple[Any, ...]]:
        """The rows of a query, as tuples: the quickest form."""
        found: Any = self.connection.execute(statement, parameters).all()
        return cast(Sequence[tuple[Any, ...]], found)

    def row(self, statement: sa.Executable) -> dict[str, Any] | None:
        """The first row of a query, or None."""
        row = self.connection.execute(statement).mappings().first()
        return dict(row) if row is not None else None

    def alone(self, what: str) -> None:
        """Wait until no other transaction that has said the same is under way, on any server."""
        if self.postgresql:
            self.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(what, 0))))

    def changed(self, kind: str, object_id: str) -> None:
        """Note that the fragment ``kind/object_id`` may look different after this transaction."""
        self._changes[(kind, object_id)] = None

    def _log(self) -> None:
        if not self._changes:
            return
        rows = [{"kind": kind, "object_id": object_id} for kind, object_id in self._changes]
        self.connection.execute(_LOG_POSTGRESQL if self.postgresql else _LOG_SQLITE, rows)


_THIS_TRANSACTION = sa.cast(sa.cast(sa.func.pg_current_xact_id(), sa.Text), sa.BigInteger)
_LOG_POSTGRESQL = CHANGES.insert().values(transaction=_THIS_TRANSACTION)
_LOG_SQLITE = CHANGES.insert().values(transaction=0)


class Store:
    """The database."""

    def __init__(self, url: str, pool_size: int = 20) -> None:
        """Open ``url``, e.g. ``sqlite:////var/lib/netloom/netloom.db`` or ``postgresql+psycopg://…``."""
        options: dict[str, Any] = {
            "pool_size": pool_size,
            "max_overflow": 0,
            "json_deserializer": msgspec.json.decode,  # lists decode thousands of small values
        }
        if url.startswith("sqlite"):
            options["connect_args"] = {"check_same_thread": False, "timeout": 60}
            _make_private(sa.make_url(url).database)
        if url.startswith("postgresql"):
            options |= {"connect_args": POSTGRESQL, "pool_timeout": POOL_TIMEOUT}
        self.engine = sa.create_engine(url, **options)
        self._answers = True
        self._listeners: list[Callable[[], None]] = []
        self._writer = threading.Lock() if self.engine.dialect.name == "sqlite" else None
        if self._writer is not None:
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)
        else:
            sa.event.listen(self.engine, "checkout", _check_postgresql)

    def listen(self, wake: Callable[[], None]) -> None:
        """Have ``wake`` called after each commit that changed something."""
        self._listeners.append(wake)

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A transaction that only reads, from one snapshot.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        with self._faults(), self.engine.connect() as connection:
            yield Tx(connection)

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """A transaction that is committed at the end, or rolled back when an exception leaves the block.

        Raises:
            DatabaseFull: there is no room for it; nothing was changed.
            Interrupted: it stood in another's way; nothing was changed.
            DatabaseUnavailable: the database does not answer; if it was lost during the commit, nobody knows.
        """
        if self._writer is not None:
            with self._writer:
                yield from self._write()
        else:
            yield from self._write()

    def _write(self) -> Iterator[Tx]:
        with self._faults(), self.engine.connect().execution_options(writes=True) as connection:
            tx = Tx(connection)
            yield tx
            tx._log()
            connection.commit()
        if tx._changes:
            for wake in self._listeners:
                wake()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Turns what is not the request's fault into errors that say so."""
        try:
            yield
        except sa.exc.TimeoutError as error:  # all connections are in use
            raise DatabaseUnavailable from error
        except sa.exc.DBAPIError as error:
            if _is_full(error):
                raise DatabaseFull from error
            if _is_lost(error):
                self._note(answers=False, reason=" ".join(str(error.orig).split()))
                raise DatabaseUnavailable from error
            if str(getattr(error.orig, "sqlstate", "")).startswith("40"):
                raise Interrupted from error
            raise
        self._note(answers=True)

    def _note(self, *, answers: bool, **details: str) -> None:
        """Log that the database went away or came back, once."""
        if answers != self._answers:
            self._answers = answers
            LOG.warning("the database answers again" if answers else "the database does not answer", **details)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _make_private(path: str | None) -> None:
    """Make the database's file for its owner alone, before SQLite does; its other files take after it."""
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))


def _is_lost(error: sa.exc.DBAPIError) -> bool:
    """Whether PostgreSQL was not reached, or ended the connection (codes 08…, 57P…, 53300, or none at all)."""
    code = getattr(error.orig, "sqlstate", "")
    reached = code is not None and not code.startswith(("08", "57P", "53300"))
    return error.connection_invalidated or (isinstance(error, sa.exc.OperationalError) and not reached)


def _check_postgresql(connection: Any, _record: Any, _proxy: Any) -> None:
    """Replace a connection that PostgreSQL has closed while it lay in the pool: an idle one has nothing to read."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise sa.exc.DisconnectionError


def _is_full(error: sa.exc.DBAPIError) -> bool:
    """Whether a statement failed for lack of room (SQLite result codes; PostgreSQL error code 53100)."""
    sqlite, postgresql = (getattr(error.orig, name, None) for name in ("sqlite_errorname", "sqlstate"))
    return postgresql == "53100" or sqlite in ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's "begin" event issues BEGIN, see below
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=60000",
        "cache_size=-16000",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer takes the lock at once: upgrading a read snapshot later would fail under concurrency.
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
