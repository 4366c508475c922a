"""The verbs of the load balancer API's collections."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from netloom.api.access import ObjectTarget, Parents, View
from netloom.api.bodies import decode_object
from netloom.api.handlers import Call
from netloom.api.http import Answer, answer_json
from netloom.api.load_balancing.bodies import Body, new, to_create, to_update
from netloom.api.load_balancing.collections import Below, Collection
from netloom.api.load_balancing.policy import rule
from netloom.api.query import parse_query, requested_fields
from netloom.api.routing import verbs
from netloom.api.transactions import write
from netloom.model.errors import HTTPBadRequest, HTTPNotFound, PolicyNotAuthorized
from netloom.model.fields import Resource
from netloom.model.lb_pools import MEMBER
from netloom.model.loadbalancers import LISTENER, LOADBALANCER
from netloom.rules.load_balancing import loadbalancers, members, reading, trees
from netloom.rules.query import Query
from netloom.store.database import Tx

PAGE = 1000
"""Objects in an answer, unless a client asks for fewer."""


def answer(call: Call, collection: Collection, rest: tuple[str, ...]) -> Answer:
    """The answer to any request below a collection."""
    request, resource, below = call.request, collection.resource, collection.below
    match rest:
        case ():
            return verbs(
                request, GET=lambda: _list(call, resource, resource.plural), POST=lambda: _create(call, collection)
            )
        case (key,):
            return verbs(
                request,
                GET=lambda: _show(call, resource, key),
                PUT=lambda: _update(call, collection, key),
                DELETE=lambda: _delete(call, collection, key),
            )
        case (key, "status" | "statuses") if resource is LOADBALANCER:
            return verbs(request, GET=lambda: _statuses(call, key))
        case (key, "stats") if resource in (LOADBALANCER, LISTENER):
            return verbs(request, GET=lambda: _statistics(call, resource, key))
        case (key, "failover") if resource is LOADBALANCER:
            return verbs(request, PUT=lambda: _failover(call, key))
        case (key, name, *further) if below is not None and name == below.resource.plural:
            return _answer_below(call, collection, below, key, tuple(further))
    raise HTTPNotFound


def permit(call: Call, name: str, values: Mapping[str, Any] | None = None) -> None:
    """Raise ``PolicyNotAuthorized`` unless a rule allows it: for an object, or for the caller's own project."""
    target: View = {"project_id": call.context.project_id} if values is None else dict(values)
    with call.store.read() as tx:
        _require(call, tx, LOADBALANCER, name, target)


def _answer_below(call: Call, collection: Collection, below: Below, owner: str, rest: tuple[str, ...]) -> Answer:
    request = call.request
    match rest:
        case ():
            answers = {
                "GET": lambda: _list_below(call, collection, below, owner),
                "POST": lambda: _create_below(call, collection, below, owner),
            }
            if below.resource is MEMBER:
                answers["PUT"] = lambda: _replace_members(call, collection, owner)
            return verbs(request, **answers)
        case (key,):
            return verbs(
                request,
                GET=lambda: _show(call, below.resource, key, **{below.reference: owner}),
                PUT=lambda: _update_below(call, collection, below, owner, key),
                DELETE=lambda: _delete_below(call, collection, below, owner, key),
            )
    raise HTTPNotFound


def _list(call: Call, resource: Resource, path: str, within: Mapping[str, str] | None = None) -> Answer:
    query, project_id = asked(call, resource), call.context.project_id
    _require_own(call, resource, query)
    everybody = call.access.decide(rule(resource.name, "get_all-global")) is True
    with call.store.read() as tx:
        found = reading.find(tx, call.context, resource, query, within, None if everybody else project_id)
    document: View = {resource.plural: shown(resource, found, query.fields)}
    if links := _links(call, path, query, [view["id"] for view in found]):
        document[f"{resource.plural}_links"] = links
    return answer_json(200, document)


def _require_own(call: Call, resource: Resource, query: Query) -> None:
    """Refuse callers who may read nothing, or who ask for what is another project's."""
    if call.access.decide(rule(resource.name, "get_all-global")) is True:
        return
    for project_id in query.filters.get("project_id") or [call.context.project_id]:
        permit(call, rule(resource.name, "get_all"), {"project_id": project_id})


def _show(call: Call, resource: Resource, key: str, **within: str) -> Answer:
    with call.store.read() as tx:
        view = _object(call, tx, resource, key, "get_one", **within)
    return answer_json(200, {resource.name: shown(resource, [view], requested_fields(call.request.query))[0]})


def _create(call: Call, collection: Collection) -> Answer:
    resource = collection.resource
    body = to_create(resource, decode_object(call.request.body), call.context.project_id)

    def work(tx: Tx) -> View:
        for name, parent in collection.parent:
            if body.get(name):
                body["project_id"] = reading.get(tx, call.context, parent, body[name])["project_id"]
        _require(call, tx, resource, rule(resource.name, "post"), body)
        return collection.create(tx, call.context, dict(body))

    return _made(resource, write(call.store, work))


def _update(call: Call, collection: Collection, key: str) -> Answer:
    resource = collection.resource
    changes = to_update(resource, decode_object(call.request.body))

    def work(tx: Tx) -> View:
        current = _object(call, tx, resource, key, "put")
        return collection.update(tx, call.context, current, dict(changes))

    return _changed(resource, write(call.store, work))


def _delete(call: Call, collection: Collection, key: str) -> Answer:
    cascade = dict(parse_qsl(call.request.query)).get("cascade", "").lower() in ("true", "1", "yes")

    def work(tx: Tx) -> None:
        current = _object(call, tx, collection.resource, key, "delete")
        if collection.resource is LOADBALANCER:
            loadbalancers.delete(tx, call.context, current, cascade)
        else:
            collection.delete(tx, call.context, current)

    write(call.store, work)
    return Answer(204)


def _list_below(call: Call, collection: Collection, below: Below, owner: str) -> Answer:
    with call.store.read() as tx:
        _object(call, tx, collection.resource, owner, "get_one")
    path = f"{collection.resource.plural}/{owner}/{below.resource.plural}"
    return _list(call, below.resource, path, {below.reference: owner})


def _create_below(call: Call, collection: Collection, below: Below, owner: str) -> Answer:
    resource = below.resource
    body = to_create(resource, decode_object(call.request.body), call.context.project_id)

    def work(tx: Tx) -> View:
        parent = reading.get(tx, call.context, collection.resource, owner)
        _require(call, tx, resource, rule(resource.name, "post"), {"project_id": parent["project_id"]})
        return below.create(tx, call.context, _with_balancer(parent), dict(body))

    return _made(resource, write(call.store, work))


def _update_below(call: Call, collection: Collection, below: Below, owner: str, key: str) -> Answer:
    resource = below.resource
    changes = to_update(resource, decode_object(call.request.body))

    def work(tx: Tx) -> View:
        parent = reading.get(tx, call.context, collection.resource, owner)
        current = _object(call, tx, resource, key, "put", **{below.reference: owner})
        return below.update(tx, call.context, _with_balancer(parent), current, dict(changes))

    return _changed(resource, write(call.store, work))


def _delete_below(call: Call, collection: Collection, below: Below, owner: str, key: str) -> Answer:
    def work(tx: Tx) -> None:
        parent = reading.get(tx, call.context, collection.resource, owner)
        current = _object(call, tx, below.resource, key, "delete", **{below.reference: owner})
        below.delete(tx, call.context, _with_balancer(parent), current)

    write(call.store, work)
    return Answer(204)


def _replace_members(call: Call, collection: Collection, owner: str) -> Answer:
    """PUT on the collection: what is sent is what there will be, or comes to what there is."""
    given = decode_object(call.request.body).get("members")
    if not isinstance(given, list):
        raise HTTPBadRequest("Invalid input: the body must have a list of 'members'.")
    owned = ("project_id", "tenant_id")
    sent = [{k: v for k, v in each.items() if k not in owned} if isinstance(each, dict) else each for each in given]
    bodies = [new(MEMBER, each) for each in sent]
    additive = dict(parse_qsl(call.request.query)).get("additive_only", "").lower() in ("true", "1", "yes")

    def work(tx: Tx) -> None:
        pool = reading.get(tx, call.context, collection.resource, owner)
        _require(call, tx, MEMBER, rule(MEMBER.name, "put"), {"project_id": pool["project_id"]})
        members.replace(tx, call.context, _with_balancer(pool), bodies, sent, additive)

    write(call.store, work)
    return Answer(202)


def _statuses(call: Call, key: str) -> Answer:
    with call.store.read() as tx:
        balancer = _object(call, tx, LOADBALANCER, key, "get_status")
        return answer_json(200, trees.statuses(tx, call.context, balancer))


def _statistics(call: Call, resource: Resource, key: str) -> Answer:
    with call.store.read() as tx:
        view = _object(call, tx, resource, key, "get_stats")
        ids = [key] if resource is LISTENER else [each["id"] for each in view["listeners"]]
        return answer_json(200, trees.statistics(tx, ids))


def _failover(call: Call, key: str) -> Answer:
    write(
        call.store,
        lambda tx: loadbalancers.failover(tx, call.context, _object(call, tx, LOADBALANCER, key, "put_failover")),
    )
    return Answer(202)


def _object(call: Call, tx: Tx, resource: Resource, key: str, action: str, **within: str) -> View:
    """An object with which the caller may do this. Raises LoadBalancerNotFound, PolicyNotAuthorized."""
    view = reading.get(tx, call.context, resource, key, **within)
    _require(call, tx, resource, rule(resource.name, action), view)
    return view


def _require(call: Call, tx: Tx, resource: Resource, name: str, values: Mapping[str, Any]) -> None:
    if not call.access.allows(name, ObjectTarget(resource, values, Parents(tx, call.context, [values]))):
        raise PolicyNotAuthorized(action=f"rule:{name}")


def _with_balancer(parent: View) -> View:
    """A pool's load balancer is not among its attributes on the wire, but in its row."""
    return parent | {"loadbalancer_id": parent[reading.BALANCER]}


def shown(resource: Resource, views: Sequence[View], fields: frozenset[str] | None) -> list[View]:
    """Objects as answers show them: the visible attributes, or of these what is in ``fields``."""
    names = [item.name for item in resource.fields if item.has("V") and (fields is None or item.name in fields)]
    return [{name: view[name] for name in names} for view in views]


def _made(resource: Resource, view: View) -> Answer:
    return answer_json(201, {resource.name: shown(resource, [view], None)[0]})


def _changed(resource: Resource, view: View) -> Answer:
    return answer_json(200, {resource.name: shown(resource, [view], None)[0]})


def asked(call: Call, resource: Resource, first: str = "created_at") -> Query:
    """What a list request asks for; sorts come as ``sort=name:asc,id`` too, without them the least ``first``."""
    pairs: Body = {}
    text: list[tuple[str, str]] = []
    for key, value in parse_qsl(call.request.query, keep_blank_values=True):
        if key in ("sort", "sort_key", "sort_dir"):
            pairs.setdefault(key, []).extend(part for part in value.split(",") if part)
        else:
            text.append(("project_id" if key == "tenant_id" else key, value))
    short = [part.partition(":")[::2] for part in pairs.get("sort", [])]
    keys = [*(key for key, _ in short), *pairs.get("sort_key", [])] or [first]
    ways = [*(way or "asc" for _, way in short), *pairs.get("sort_dir", [])]
    ways += ["asc"] * (len(keys) - len(ways))
    for key, way in zip(keys, ways, strict=False):
        text += [("sort_key", key), ("sort_dir", way)]
    return parse_query(resource, urlencode(text), PAGE)


def _links(call: Call, path: str, query: Query, ids: Sequence[str]) -> list[dict[str, str]]:
    """Where the pages before and after this one are, as far as there may be any."""
    links = []
    pairs = [(key, value) for key, value in parse_qsl(call.request.query) if key not in ("marker", "page_reverse")]
    url = f"{call.request.base_url}/v2.0/lbaas/{path}"
    if ids and query.limit is not None and len(ids) >= query.limit:
        links.append({"rel": "next", "href": f"{url}?{urlencode([*pairs, ('marker', ids[-1])])}"})
    if ids and query.marker is not None:
        back = [*pairs, ("marker", ids[0]), ("page_reverse", "True")]
        links.append({"rel": "previous", "href": f"{url}?{urlencode(back)}"})
    return links
