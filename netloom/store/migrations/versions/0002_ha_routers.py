"""Highly available routers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add virtual router ids, the state of a router on each of its hosts, and the networks of their elections."""
    op.add_column("routers", sa.Column("ha_vr_id", sa.Integer()))
    op.create_index("uq_routers_project_id_ha_vr_id", "routers", ["project_id", "ha_vr_id"], unique=True)
    op.add_column("router_bindings", sa.Column("ha_state", sa.String(length=16)))
    op.add_column("router_bindings", sa.Column("ha_state_since", sa.String(length=32)))
    op.create_table(
        "ha_networks",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("network_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["network_id"],
            ["networks.id"],
            name="fk_ha_networks_network_id",
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("project_id", name="pk_ha_networks"),
        sa.UniqueConstraint("network_id", name="uq_ha_networks_network_id"),
    )
