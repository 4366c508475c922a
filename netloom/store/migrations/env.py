"""Alembic's entry point: runs the migrations on the engine that ``store.migrate`` gives."""

from alembic import context

from netloom.store.tables import compute, feed, identity, images, network  # noqa: F401  # their tables belong to METADATA
from netloom.store.tables.base import METADATA

with context.config.attributes["engine"].connect() as connection:
    context.configure(connection=connection, target_metadata=METADATA, render_as_batch=False)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
