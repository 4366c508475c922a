"""``/{collection}/{id}/tags``: the tags of an object."""

from collections.abc import Callable

from netloom.api.access import Parents
from netloom.api.bodies import decode_object
from netloom.api.handlers import CREATED, NO_CONTENT, OK, Call, object_to_change
from netloom.api.http import Answer, answer_json
from netloom.api.resources import Family
from netloom.api.routing import verbs
from netloom.api.transactions import write
from netloom.model.errors import NotFound
from netloom.rules import reading, tags
from netloom.rules.tags import TagNotFound, TagResourceNotFound
from netloom.store.database import Tx


def answer_all(call: Call, family: Family, object_id: str) -> Answer:
    """The answer to any request on all tags of an object."""
    resource = family.resource

    def show() -> Answer:
        return answer_json(OK, {"tags": _read(call, family, object_id)})

    def replace() -> Answer:
        wanted = tags.parse(decode_object(call.request.body))
        _change(call, family, object_id, "update", lambda tx: tags.replace(tx, resource, object_id, wanted))
        return answer_json(OK, {"tags": wanted})

    def add() -> Answer:
        wanted = tags.parse(decode_object(call.request.body))
        _change(call, family, object_id, "create", lambda tx: tags.add(tx, resource, object_id, wanted))
        return answer_json(OK, {"tags": wanted})

    def clear() -> Answer:
        _change(call, family, object_id, "delete", lambda tx: tags.replace(tx, resource, object_id, []))
        return Answer(NO_CONTENT)

    return verbs(call.request, GET=show, PUT=replace, POST=add, DELETE=clear)


def answer_one(call: Call, family: Family, object_id: str, tag: str) -> Answer:
    """The answer to any request on one tag of an object."""
    resource = family.resource

    def show() -> Answer:
        if tag not in _read(call, family, object_id):
            raise TagNotFound(tag=tag)
        return Answer(NO_CONTENT)

    def add() -> Answer:
        wanted = tags.parse({"tags": [tag]})
        _change(call, family, object_id, "update", lambda tx: tags.add(tx, resource, object_id, wanted))
        return answer_json(CREATED, None)

    def remove() -> Answer:
        _change(call, family, object_id, "delete", lambda tx: tags.remove(tx, resource, object_id, tag))
        return Answer(NO_CONTENT)

    return verbs(call.request, GET=show, PUT=add, DELETE=remove)


def _read(call: Call, family: Family, object_id: str) -> list[str]:
    with call.store.read() as tx:
        view = reading.get(tx, call.context, family.resource, object_id)
        if view is None or not call.access.visible(family.resource, [view], Parents(tx, call.context, [view])):
            raise TagResourceNotFound(resource=family.resource.plural, resource_id=object_id)
        return list(view["tags"])


def _change(call: Call, family: Family, object_id: str, verb: str, change: Callable[[Tx], None]) -> None:
    def work(tx: Tx) -> None:
        try:
            object_to_change(call, tx, family, object_id, rules=[f"{verb}_{family.resource.name}:tags"])
        except NotFound:
            raise TagResourceNotFound(resource=family.resource.plural, resource_id=object_id) from None
        change(tx)

    write(call.store, work)
