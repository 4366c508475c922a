"""Membership in a list of any length, as one bound value: one statement to prepare, no limit on the length."""

import json
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from netloom.store.database import Tx


class Texts(sa.types.TypeDecorator[list[str]]):
    """A list of texts as one value: an array on PostgreSQL, JSON on SQLite."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        """The database's own type."""
        return dialect.type_descriptor(ARRAY(sa.Text) if dialect.name == "postgresql" else sa.Text())

    def process_bind_param(self, value: Collection[str] | None, dialect: Dialect) -> Any:
        """What the driver gets."""
        texts = list(value or ())
        return texts if dialect.name == "postgresql" else json.dumps(texts)


class _Among(FunctionElement[bool]):
    """``column`` is one of the texts. An element of its own, because building it of parts for each request is slow."""

    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> "_Among":
        """It stands in conditions as it is: compared with true, as SQLite would have it, no index would serve it."""
        return self


@compiles(_Among, "postgresql")
def _any(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, texts = (compiler.process(part, **options) for part in element.clauses)
    return f"({column} = ANY ({texts}))"


@compiles(_Among, "sqlite")
def _each(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, texts = (compiler.process(part, **options) for part in element.clauses)
    return f"({column} IN (SELECT value FROM json_each({texts})))"  # noqa: S608 - names and parameters


def among(_tx: Tx, column: sa.ColumnElement[Any], values: Collection[str]) -> sa.ColumnElement[bool]:
    """Whether ``column`` is one of ``values``."""
    return _Among(column, sa.bindparam(None, values, Texts()))


def among_those(column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    """Whether ``column`` is one of the values of parameter ``name``: for statements that are built once."""
    return _Among(column, sa.bindparam(name, type_=Texts()))
