"""Servers that are rebuilt and resized."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add what is kept of a server while it gets another shape."""
    op.add_column("servers", sa.Column("life", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("servers", sa.Column("old_flavor", sa.JSON(none_as_null=True), nullable=True))
