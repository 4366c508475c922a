"""Addresses that owners of servers say they are reached by."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the addresses, unknown for servers that are there."""
    for column in ("access_ip_v4", "access_ip_v6"):
        op.add_column("servers", sa.Column(column, sa.String(64), nullable=True))
