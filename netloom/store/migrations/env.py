"""Alembic's entry point: runs the migrations on the engine that ``store.migrate`` gives."""

from alembic import context

from netloom.store.database import Tx
from netloom.store.tables import compute, feed, identity, images, loadbalancers, network  # noqa: F401  # their tables belong to METADATA
from netloom.store.tables.base import METADATA

# One transaction: SQLite's writers take turns (``writes``), PostgreSQL's need a lock for it.
with context.config.attributes["engine"].connect().execution_options(writes=True) as connection:
    Tx(connection).alone("migration")
    context.configure(connection=connection, target_metadata=METADATA, render_as_batch=False)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
