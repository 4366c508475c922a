"""Trunks."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add trunks and their sub-ports."""
    op.create_table(
        "trunks",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("port_id", sa.Text()),
        sa.Column("admin_state_up", sa.Boolean()),
        sa.Column("description", sa.Text()),
        sa.Column("revision_number", sa.BigInteger()),
        sa.Column("created_at", sa.Text()),
        sa.Column("updated_at", sa.Text()),
        sa.ForeignKeyConstraint(["port_id"], ["ports.id"], name="fk_trunks_port_id"),
        sa.PrimaryKeyConstraint("id", name="pk_trunks"),
        sa.UniqueConstraint("port_id", name="uq_trunks_port_id"),
    )
    op.create_index("ix_trunks_project_id", "trunks", ["project_id"])
    op.create_table(
        "sub_ports",
        sa.Column("port_id", sa.String(length=64), nullable=False),
        sa.Column("trunk_id", sa.String(length=64), nullable=False),
        sa.Column("segmentation_type", sa.String(length=32), nullable=False),
        sa.Column("segmentation_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["port_id"], ["ports.id"], name="fk_sub_ports_port_id"),
        sa.ForeignKeyConstraint(["trunk_id"], ["trunks.id"], name="fk_sub_ports_trunk_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("port_id", name="pk_sub_ports"),
        sa.UniqueConstraint(
            "trunk_id",
            "segmentation_type",
            "segmentation_id",
            name="uq_sub_ports_trunk_id_segmentation_type_segmentation_id",
        ),
    )
