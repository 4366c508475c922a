"""Tags of resources. A change of tags is a change of the resource: its revision grows."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import BadRequest, HTTPBadRequest, NotFound
from netloom.model.fields import Resource
from netloom.model.kinds import Invalid, ListOf, Text
from netloom.rules import standard
from netloom.rules.query import table_of
from netloom.store.database import Tx
from netloom.store.tables.network import TAGS

MOST = 50
"""Tags of one resource."""
LIST = ListOf(item=Text(most=255, least=1), distinct=True)


class TagNotFound(NotFound):
    """The resource does not have the tag."""

    message = "Tag {tag} could not be found."


class TagResourceNotFound(NotFound):
    """There is no such resource, or the caller may not see it."""

    message = "Resource {resource} {resource_id} could not be found."


def parse(body: Any) -> list[str]:
    """The tags of a request's body ``{"tags": […]}``. Raises HTTPBadRequest."""
    try:
        return list(LIST.parse(body["tags"] if isinstance(body, dict) else None))
    except KeyError:
        raise HTTPBadRequest("Invalid input for tags. Reason: the body has no 'tags'.") from None
    except Invalid as error:
        raise HTTPBadRequest(f"Invalid input for tags. Reason: {error}.") from None


def read(tx: Tx, resource_id: str) -> list[str]:
    """The tags of a resource, sorted."""
    statement = sa.select(TAGS.c.tag).where(TAGS.c.resource_id == resource_id)
    return sorted(tx.execute(statement).scalars())


def replace(tx: Tx, resource: Resource, resource_id: str, tags: Sequence[str]) -> None:
    """Have exactly these tags. Raises BadRequest when they are too many."""
    present = _locked(tx, resource, resource_id)
    if gone := present - set(tags):
        tx.execute(TAGS.delete().where(TAGS.c.resource_id == resource_id, TAGS.c.tag.in_(gone)))
    _insert(tx, resource_id, set(tags) - present, total=len(set(tags)))
    if present != set(tags):
        standard.revise(tx, table_of(resource), [resource_id])


def add(tx: Tx, resource: Resource, resource_id: str, tags: Sequence[str]) -> None:
    """Have these tags too. Raises BadRequest when they become too many."""
    present = _locked(tx, resource, resource_id)
    if new := set(tags) - present:
        _insert(tx, resource_id, new, total=len(present) + len(new))
        standard.revise(tx, table_of(resource), [resource_id])


def remove(tx: Tx, resource: Resource, resource_id: str, tag: str) -> None:
    """Do without a tag. Raises TagNotFound."""
    if not tx.execute(TAGS.delete().where(TAGS.c.resource_id == resource_id, TAGS.c.tag == tag)).rowcount:
        raise TagNotFound(tag=tag)
    standard.revise(tx, table_of(resource), [resource_id])


def _locked(tx: Tx, resource: Resource, resource_id: str) -> set[str]:
    """The present tags; another change of them waits until this transaction ends."""
    table = table_of(resource)
    tx.execute(sa.select(table.c.id).where(table.c.id == resource_id).with_for_update(key_share=True))
    return set(read(tx, resource_id))


def _insert(tx: Tx, resource_id: str, tags: Collection[str], total: int) -> None:
    if total > MOST:
        raise BadRequest(resource="tags", msg=f"a resource has at most {MOST} tags, and would have {total}")
    if tags:
        tx.execute(TAGS.insert(), [{"resource_id": resource_id, "tag": tag} for tag in sorted(tags)])
