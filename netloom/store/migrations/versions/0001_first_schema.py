"""The first schema: what the tables of the first release are."""

from alembic import op

from netloom.store.tables import compute, feed, identity, images, network  # noqa: F401  # their tables belong to METADATA
from netloom.store.tables.base import METADATA

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    METADATA.create_all(op.get_bind())
