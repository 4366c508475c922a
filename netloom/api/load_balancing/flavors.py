"""The verbs of flavors and of their profiles: administrators make them, everybody may choose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from netloom.api.bodies import decode_object
from netloom.api.handlers import Call
from netloom.api.http import Answer, answer_json
from netloom.api.load_balancing.bodies import to_create, to_update
from netloom.api.load_balancing.handlers import asked, permit, shown
from netloom.api.load_balancing.policy import rule
from netloom.api.query import requested_fields
from netloom.api.routing import verbs
from netloom.api.transactions import write
from netloom.model.errors import HTTPNotFound
from netloom.model.fields import Resource
from netloom.model.lb_flavors import FLAVOR, FLAVOR_PROFILE
from netloom.rules.load_balancing import flavors
from netloom.rules.load_balancing.flavors import CAPABILITIES, View
from netloom.store.database import Tx


@dataclass(frozen=True, slots=True)
class Kind:
    """Flavors, or profiles."""

    resource: Resource
    policy: str
    """Their name in rules."""
    create: Callable[[Tx, View], View]
    update: Callable[[Tx, View, View], View]
    delete: Callable[[Tx, View], None]


KINDS: Mapping[str, Kind] = {
    kind.resource.plural: kind
    for kind in (
        Kind(FLAVOR, "flavor", flavors.create_flavor, flavors.update_flavor, flavors.delete_flavor),
        Kind(
            FLAVOR_PROFILE, "flavor-profile", flavors.create_profile, flavors.update_profile,
            flavors.delete_profile,
        ),
    )
}  # fmt: skip


def answer(call: Call, kind: Kind, rest: tuple[str, ...]) -> Answer:
    """The answer to any request below flavors or profiles."""
    match rest:
        case ():
            return verbs(call.request, GET=lambda: _list(call, kind), POST=lambda: _create(call, kind))
        case (key,):
            return verbs(
                call.request,
                GET=lambda: _show(call, kind, key),
                PUT=lambda: _update(call, kind, key),
                DELETE=lambda: _delete(call, kind, key),
            )
    raise HTTPNotFound


def capabilities(call: Call) -> Answer:
    """What flavors can say, to administrators."""
    permit(call, rule("provider-flavor", "get_all"))
    filters = [(key, value) for key, value in parse_qsl(call.request.query) if key in ("name", "description")]
    views = [{"name": name, "description": text} for name, text in CAPABILITIES.items()]
    found = [view for view in views if all(view[key] == value for key, value in filters)]
    fields = requested_fields(call.request.query)
    listed = [{key: view[key] for key in view if fields is None or key in fields} for view in found]
    return answer_json(200, {"flavor_capabilities": listed})


def _list(call: Call, kind: Kind) -> Answer:
    permit(call, rule(kind.policy, "get_all"))
    query = asked(call, kind.resource, first="id")
    with call.store.read() as tx:
        found = flavors.find(tx, kind.resource, query)
    return answer_json(200, {kind.resource.plural: shown(kind.resource, found, query.fields)})


def _show(call: Call, kind: Kind, key: str) -> Answer:
    permit(call, rule(kind.policy, "get_one"))
    with call.store.read() as tx:
        view = flavors.get(tx, kind.resource, key)
    return _told(200, kind, view, requested_fields(call.request.query))


def _create(call: Call, kind: Kind) -> Answer:
    permit(call, rule(kind.policy, "post"))
    body = to_create(kind.resource, decode_object(call.request.body), call.context.project_id)
    return _told(201, kind, write(call.store, lambda tx: kind.create(tx, body)))


def _update(call: Call, kind: Kind, key: str) -> Answer:
    permit(call, rule(kind.policy, "put"))
    changes = to_update(kind.resource, decode_object(call.request.body))
    return _told(200, kind, write(call.store, lambda tx: kind.update(tx, _current(tx, kind, key), changes)))


def _delete(call: Call, kind: Kind, key: str) -> Answer:
    permit(call, rule(kind.policy, "delete"))
    write(call.store, lambda tx: kind.delete(tx, _current(tx, kind, key)))
    return Answer(204)


def _current(tx: Tx, kind: Kind, key: str) -> View:
    return flavors.get(tx, kind.resource, key, lock=True)


def _told(status: int, kind: Kind, view: View, fields: Any = None) -> Answer:
    return answer_json(status, {kind.resource.name: shown(kind.resource, [view], fields)[0]})
