"""Membership in a list of any length, as one bound value: one statement to prepare, no limit on the length."""

import json
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from netloom.store.database import Tx


def among(tx: Tx, column: sa.ColumnElement[Any], values: Collection[str]) -> sa.ColumnElement[bool]:
    """Whether ``column`` is one of ``values``."""
    if tx.postgresql:
        return column == sa.any_(sa.literal(list(values), ARRAY(sa.Text)))
    return column.in_(sa.select(sa.func.json_each(json.dumps(list(values))).table_valued("value").c.value))
