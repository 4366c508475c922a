"""What a request names must be there, and be visible to the caller."""

from typing import Any

from netloom.model.fields import Resource
from netloom.rules import reading
from netloom.rules.context import Context
from netloom.rules.query import Lock
from netloom.store.database import Tx


def require(
    tx: Tx, context: Context, resource: Resource, object_id: str, *children: str, lock: Lock = None
) -> dict[str, Any]:
    """An object, with only these of its assembled attributes (each costs a statement). Raises the resource's 404.

    ``lock`` as in ``rules.query``.
    """
    fields = frozenset(children)
    found = reading.by_ids(tx, context, resource, [object_id], scoped=True, fields=fields, lock=lock)
    if not found:
        raise reading.missing(resource, object_id)
    return found[0]
