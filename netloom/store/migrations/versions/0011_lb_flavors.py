"""Flavors of load balancers."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add flavors and their profiles."""
    op.create_table(
        "lb_flavor_profiles",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("provider_name", sa.Text()),
        sa.Column("flavor_data", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_lb_flavor_profiles"),
    )
    op.create_table(
        "lb_flavors",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("description", sa.Text()),
        sa.Column("enabled", sa.Boolean()),
        sa.Column("flavor_profile_id", sa.Text()),
        sa.ForeignKeyConstraint(
            ["flavor_profile_id"], ["lb_flavor_profiles.id"], name="fk_lb_flavors_flavor_profile_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_lb_flavors"),
        sa.UniqueConstraint("name", name="uq_lb_flavors_name"),
    )
