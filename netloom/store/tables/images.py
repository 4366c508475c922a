"""The table of the stand-in for images; their contents are files."""

import sqlalchemy as sa

from netloom.store.tables.base import KEY, METADATA

IMAGES = sa.Table(
    "images",
    METADATA,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("name", sa.String(255)),
    sa.Column("owner", KEY, nullable=False, index=True),
    sa.Column("visibility", sa.String(16), nullable=False, doc="public, community, shared or private."),
    sa.Column("status", sa.String(16), nullable=False, doc="queued, saving or active."),
    sa.Column("disk_format", sa.String(32)),
    sa.Column("container_format", sa.String(32)),
    sa.Column("min_disk", sa.BigInteger, nullable=False, default=0, doc="GiB."),
    sa.Column("min_ram", sa.BigInteger, nullable=False, default=0, doc="MiB."),
    sa.Column("protected", sa.Boolean, nullable=False, default=False),
    sa.Column("hidden", sa.Boolean, nullable=False, default=False),
    sa.Column("size", sa.BigInteger, doc="Octets."),
    sa.Column("checksum", sa.String(32), doc="MD5."),
    sa.Column("os_hash_value", sa.String(128), doc="SHA-512."),
    sa.Column("tags", sa.JSON, nullable=False, default=list),
    sa.Column("properties", sa.JSON, nullable=False, default=dict, doc="Texts by name, as users give them."),
    sa.Column("created_at", sa.String(32), nullable=False),
    sa.Column("updated_at", sa.String(32), nullable=False),
)
