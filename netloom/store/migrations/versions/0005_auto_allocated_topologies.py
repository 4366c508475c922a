"""What "get me a network" has made for projects."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table of topologies."""
    op.create_table(
        "auto_allocated_topologies",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("network_id", sa.String(length=64), nullable=False),
        sa.Column("router_id", sa.String(length=64)),
        sa.ForeignKeyConstraint(
            ["network_id"],
            ["networks.id"],
            name="fk_auto_allocated_topologies_network_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["router_id"], ["routers.id"], name="fk_auto_allocated_topologies_router_id", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("project_id", name="pk_auto_allocated_topologies"),
        sa.UniqueConstraint("network_id", name="uq_auto_allocated_topologies_network_id"),
        sa.UniqueConstraint("router_id", name="uq_auto_allocated_topologies_router_id"),
    )
