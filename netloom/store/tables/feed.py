"""Tables of the feed: the log of changes, the hosts with their keys, and what each host has applied."""

import sqlalchemy as sa

from netloom.store.tables.base import KEY, METADATA

CHANGES = sa.Table(
    "changes",
    METADATA,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("transaction", sa.BigInteger, nullable=False, index=True, doc="PostgreSQL's xid8; 0 on SQLite."),
    sa.Column("kind", sa.String(32), nullable=False, doc="Kind of fragment that the change is about."),
    sa.Column("object_id", KEY, nullable=False),
)
HOSTS = sa.Table(
    "hosts",
    METADATA,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("key_digest", sa.String(128), nullable=False, doc="Digest of the host's key; the key is not kept."),
)
APPLIED = sa.Table(
    "applied",
    METADATA,
    sa.Column("host", sa.String(255), primary_key=True),
    sa.Column("fragment", sa.String(128), primary_key=True, index=True),
    sa.Column("version", sa.String(32), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, doc="applied, waiting or failed."),
    sa.Column("reason", sa.Text, nullable=False, default=""),
)
