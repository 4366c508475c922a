"""How often a port's status began anew."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the count."""
    op.add_column("ports", sa.Column("wirings", sa.Integer(), nullable=False, server_default="0"))
