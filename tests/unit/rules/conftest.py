"""The rules are tested on both databases."""

from tests.databases import postgresql, postgresql_store, sqlite_store, store

__all__ = ["postgresql", "postgresql_store", "sqlite_store", "store"]
