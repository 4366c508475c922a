"""From the body of a request to the attributes that the rules work with. All errors here are 400."""

from collections.abc import Mapping
from typing import Any

from netloom.api.errors import invalid
from netloom.api.http import decode_json
from netloom.model.errors import HTTPBadRequest
from netloom.model.fields import COMPUTED, REQUIRED, Resource
from netloom.model.kinds import Invalid
from netloom.rules.context import Context

Body = dict[str, Any]


def decode_object(body: bytes) -> Body:
    """The JSON object of a request's body."""
    try:
        document = decode_json(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise HTTPBadRequest("Body contains invalid data")
    return document


def bodies_to_create(resource: Resource, document: Body, context: Context) -> list[Body]:
    """The objects to create, each parsed, with plain defaults and ``project_id``; several only in a bulk request."""
    return [_create(resource, _envelope(resource, item), context) for item in _items(resource, document)]


def is_bulk(resource: Resource, document: Body) -> bool:
    """Whether the answer is to be a list."""
    return resource.name not in document


def changes_to_make(resource: Resource, document: Body) -> Body:
    """The attributes that an update changes, parsed."""
    if resource.name not in document:
        raise HTTPBadRequest(f"Unable to find '{resource.name}' in request body")
    values = _envelope(resource, document[resource.name])
    _refuse_unknown(resource, values)
    for name in values:
        if not resource.by_name[name].has("U"):
            raise HTTPBadRequest(f"Cannot update read-only attribute {name}")
    return {name: parse(resource, name, value) for name, value in values.items()}


def parse(resource: Resource, name: str, value: Any) -> Any:
    """The stored form of an attribute's value."""
    try:
        return resource.by_name[name].kind.parse(value)
    except Invalid as reason:
        raise invalid(name, reason) from None


def _items(resource: Resource, document: Body) -> list[Any]:
    if resource.name in document:
        return [document[resource.name]]
    if resource.plural not in document:
        raise HTTPBadRequest(f"Unable to find '{resource.name}' in request body")
    if not resource.bulk:
        raise HTTPBadRequest("Bulk operation not supported")
    items = document[resource.plural]
    if not isinstance(items, list):
        raise HTTPBadRequest(f"Object '{resource.plural}' contains invalid data")
    if not items:
        raise HTTPBadRequest("Resources required")
    return [item[resource.name] if isinstance(item, dict) and resource.name in item else item for item in items]


def _envelope(resource: Resource, values: Any) -> Body:
    if not isinstance(values, dict):
        raise HTTPBadRequest(f"Object '{resource.name}' contains invalid data")
    return dict(values)


def _create(resource: Resource, values: Body, context: Context) -> Body:
    if "project_id" in resource.by_name:
        values["project_id"] = _owner(values, context)
    values.pop("tenant_id", None)
    _refuse_unknown(resource, values)
    parsed: Body = {}
    for item in resource.fields:
        if item.name in values:
            if not item.has("C"):
                raise HTTPBadRequest(f"Attribute '{item.name}' not allowed in POST")
            parsed[item.name] = parse(resource, item.name, values[item.name])
        elif item.default is REQUIRED and item.has("C"):
            raise HTTPBadRequest(f"Failed to parse request. Required attribute '{item.name}' not specified")
        elif item.has("C") and item.default is not COMPUTED:
            parsed[item.name] = list(item.default) if isinstance(item.default, tuple) else item.default
    return parsed


def _owner(values: Mapping[str, Any], context: Context) -> Any:
    """The project for a new object, from either of its names, else the caller's."""
    given = [values[name] for name in ("project_id", "tenant_id") if name in values]
    if len(given) == 2 and given[0] != given[1]:
        raise HTTPBadRequest("'project_id' and 'tenant_id' do not match")
    owner = given[0] if given else context.project_id
    if owner != context.project_id and not context.is_admin:
        raise HTTPBadRequest(
            "Specifying 'project_id' other than the authenticated project in request is not allowed for the "
            "current user."
        )
    return owner


def _refuse_unknown(resource: Resource, values: Mapping[str, Any]) -> None:
    if unknown := sorted(values.keys() - resource.by_name.keys()):
        raise HTTPBadRequest(f"Unrecognized attribute(s) '{', '.join(unknown)}'")
