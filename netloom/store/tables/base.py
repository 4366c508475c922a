"""The metadata that all tables share, and columns derived from the model's declarations."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

from netloom.model.fields import Field, Resource

METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

TYPES: dict[str, TypeEngine[Any]] = {
    "text": sa.Text(),
    "boolean": sa.Boolean(),
    "bigint": sa.BigInteger(),
    "json": sa.JSON(none_as_null=True),
}

KEY = sa.String(64)
"""Type of ids; wide enough for a project's id of any identity service."""


def column(declaration: Field) -> sa.Column[Any]:
    """The column that holds a declared field."""
    if declaration.name == "id":
        return sa.Column("id", KEY, primary_key=True)
    return sa.Column(declaration.column, TYPES[declaration.kind.sql])


def resource_table(resource: Resource, *extra: SchemaItem) -> sa.Table:
    """The table of a resource: a column for each stored field, then what only the store needs."""
    columns: Sequence[SchemaItem] = [column(item) for item in resource.stored]
    return sa.Table(resource.table or resource.plural, METADATA, *columns, *extra)
