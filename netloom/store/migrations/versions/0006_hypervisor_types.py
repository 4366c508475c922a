"""Servers that are virtual machines."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add what a server is: those that were there are containers."""
    op.add_column(
        "servers", sa.Column("hypervisor_type", sa.String(length=32), nullable=False, server_default="container")
    )
