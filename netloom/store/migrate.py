"""Bringing a database to the present schema. Migrations only add, so old and new servers run side by side."""

from pathlib import Path

import sqlalchemy as sa

from netloom.store.database import Store

HEAD = "0011"
"""The newest revision in ``migrations/versions``; a test compares."""


def migrate(store: Store) -> None:
    """Bring the database to ``HEAD``; quick when it is there already (Alembic is not even imported).

    Several servers may do it at once: the others wait for the first. A newer schema, of a newer server, is left as it
    is: migrations only add.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with store.read() as tx:
        known = sa.inspect(tx.connection).has_table("alembic_version")
        if known and str(tx.connection.scalar(sa.text("SELECT version_num FROM alembic_version")) or "") >= HEAD:
            return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["engine"] = store.engine
    command.upgrade(config, HEAD)
