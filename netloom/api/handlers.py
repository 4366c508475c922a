"""The five verbs and the member actions, the same for all resources."""

import re
from dataclasses import dataclass, replace
from typing import Any

from netloom.api.access import Access, ObjectTarget, Parents, View
from netloom.api.authentication import Authenticator, identify
from netloom.api.bodies import bodies_to_create, changes_to_make, decode_object, is_bulk
from netloom.api.http import Answer, Request, answer_json
from netloom.api.policy import Policy
from netloom.api.query import page_links, parse_query, requested_fields
from netloom.api.resources import Family
from netloom.api.transactions import write
from netloom.model.errors import HTTPBadRequest, PolicyNotAuthorized, RevisionNumberConstraintFailed
from netloom.rules import reading
from netloom.rules.context import Context
from netloom.settings.network import NetworkSettings
from netloom.store.database import Store, Tx

CREATED, OK, NO_CONTENT = 201, 200, 204


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request: what is asked, by whom, what they may do, and where the data is."""

    request: Request
    context: Context
    access: Access
    store: Store


def begin(
    request: Request, authenticate: Authenticator | None, policy: Policy, store: Store, settings: NetworkSettings
) -> Call:
    """The call that a request is, once it is known who asks. Raises Unauthorized."""
    identity = identify(authenticate, request)
    access = Access(policy.rules(), identity.credentials())
    context = Context(
        user_id=identity.user_id,
        project_id=identity.project_id,
        roles=identity.roles,
        is_admin=access.decide("context_is_admin") is True,
        user_name=identity.user_name,
        project_name=identity.project_name,
        service_roles=identity.service_roles,
        request_id=request.id,
        settings=settings,
    )
    return Call(request, context, access, store)


def create(call: Call, family: Family) -> Answer:
    """POST to a collection: one object, or several at once, all or nothing."""
    resource = family.resource
    assert family.create is not None
    document = decode_object(call.request.body)
    bodies = bodies_to_create(resource, document, call.context)

    def work(tx: Tx) -> list[View]:
        parents = Parents(tx, call.context, bodies)
        for body in bodies:
            names = call.access.writing("create", resource, body)
            call.access.require(names, ObjectTarget(resource, body, parents))
        assert family.create is not None
        views = family.create(tx, call.context, [dict(body) for body in bodies])
        return call.access.shown(resource, views, Parents(tx, call.context, views))

    views = write(call.store, work)
    if is_bulk(resource, document):
        return answer_json(CREATED, {resource.plural: views})
    return answer_json(CREATED, {resource.name: views[0]})


def list_all(call: Call, family: Family) -> Answer:
    """GET of a collection: filtered, sorted, paged."""
    resource = family.resource
    request = call.request
    query = parse_query(resource, request.query, call.context.settings.pagination_max_limit)
    if family.ensure is not None:
        family.ensure(call.store, call.context, query)
    with call.store.read() as tx:
        wanted = call.access.wanted(resource, query.fields)
        found = reading.find(tx, call.context, resource, replace(query, fields=wanted))
        parents = Parents(tx, call.context, found)
        views = call.access.visible(resource, found, parents)
        ids = [view[family.key] for view in found] if query.limit is not None and family.key else []
        shown = call.access.shown(resource, views, parents, query.fields)
    answer: dict[str, Any] = {resource.plural: shown}
    if query.limit is not None and family.key:
        url = f"{request.base_url}/v2.0/{resource.collection}"
        if links := page_links(url, request.query, query, ids):
            answer[f"{resource.plural}_links"] = links
    return answer_json(OK, answer)


def show(call: Call, family: Family, object_id: str) -> Answer:
    """GET of one object."""
    resource = family.resource
    fields = requested_fields(call.request.query)
    with call.store.read() as tx:
        view = visible_object(call, tx, family, object_id)
        shown = call.access.shown(resource, [view], Parents(tx, call.context, [view]), fields)
    return answer_json(OK, {resource.name: shown[0]})


def update(call: Call, family: Family, object_id: str) -> Answer:
    """PUT of some attributes of one object."""
    resource = family.resource
    changes = changes_to_make(resource, decode_object(call.request.body))

    def work(tx: Tx) -> View:
        assert family.update is not None
        rules = call.access.writing("update", resource, changes)
        current = object_to_change(call, tx, family, object_id, rules=rules, changes=changes)
        view = family.update(tx, call.context, current, dict(changes))
        return call.access.shown(resource, [view], Parents(tx, call.context, [view]))[0]

    return answer_json(OK, {resource.name: write(call.store, work)})


def delete(call: Call, family: Family, object_id: str) -> Answer:
    """DELETE of one object."""
    if call.request.body:
        raise HTTPBadRequest("Request body is not supported in DELETE.")

    def work(tx: Tx) -> None:
        assert family.delete is not None
        current = object_to_change(call, tx, family, object_id, rules=[f"delete_{family.resource.name}"])
        family.delete(tx, call.context, current)

    write(call.store, work)
    return Answer(NO_CONTENT)


def act(call: Call, family: Family, object_id: str, action: str) -> Answer:
    """A member action: its own rule of the policy, its own body, its own answer."""
    resource = family.resource
    body = decode_object(call.request.body)

    def work(tx: Tx) -> View:
        current = object_to_change(call, tx, family, object_id, rules=[action])
        answer = dict(family.actions[action](tx, call.context, current, body))
        if family.bare:
            return call.access.shown(resource, [answer], Parents(tx, call.context, [answer]))[0]
        if resource.name in answer:
            views = [answer[resource.name]]
            answer[resource.name] = call.access.shown(resource, views, Parents(tx, call.context, views))[0]
        return answer

    return answer_json(OK, write(call.store, work))


def show_detail(call: Call, family: Family, object_id: str, detail: str) -> Answer:
    """GET of a part of one object: it has a rule of its own in the policy."""
    with call.store.read() as tx:
        view = visible_object(call, tx, family, object_id)
        call.access.require([detail], ObjectTarget(family.resource, view, Parents(tx, call.context, [view])))
        return answer_json(OK, family.details[detail](view))


def visible_object(call: Call, tx: Tx, family: Family, object_id: str) -> View:
    """The object, when the caller may get it. Raises its 404 otherwise."""
    view = reading.get(tx, call.context, family.resource, object_id)
    if view is None or not call.access.visible(family.resource, [view], Parents(tx, call.context, [view])):
        raise reading.missing(family.resource, object_id)
    return view


def object_to_change(
    call: Call, tx: Tx, family: Family, object_id: str, *, rules: list[str], changes: View | None = None
) -> View:
    """The object, locked, when ``rules`` allow the changes and ``If-Match`` names its revision.

    Raises its 404 when the caller may not know of it, ``PolicyNotAuthorized``, ``RevisionNumberConstraintFailed``.
    """
    resource = family.resource
    current = reading.get(tx, call.context, resource, object_id, for_update=True)
    if current is None:
        raise reading.missing(resource, object_id)
    parents = Parents(tx, call.context, [current])
    try:
        call.access.require(rules, ObjectTarget(resource, current | (changes or {}), parents))
    except PolicyNotAuthorized:
        if not call.access.visible(resource, [current], parents):
            raise reading.missing(resource, object_id) from None
        raise
    check_revision(call.request, current)
    return current


def check_revision(request: Request, current: View) -> None:
    """Compare the revision with the one that ``If-Match: revision_number=7`` asks for, if it does."""
    text = request.headers.get("if-match")
    if text is None or "revision_number" not in current:
        return
    match = re.fullmatch(r"""["']?revision_number=(\d{1,18})["']?""", text.strip())
    if match is None:
        raise HTTPBadRequest(f"Invalid value for If-Match: {text}; expected revision_number=NUMBER.")
    if int(match[1]) != current["revision_number"]:
        raise RevisionNumberConstraintFailed(expected=match[1], current=current["revision_number"])
