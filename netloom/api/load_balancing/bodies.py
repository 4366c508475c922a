"""From the body of a request about load balancers to what the rules work with. All errors here are 400."""

from collections.abc import Mapping
from typing import Any

from netloom.model.errors import HTTPBadRequest
from netloom.model.fields import COMPUTED, REQUIRED, Resource
from netloom.model.kinds import Invalid
from netloom.model.lb_l7 import L7POLICY, L7RULE
from netloom.model.lb_pools import HEALTHMONITOR, MEMBER, POOL
from netloom.model.loadbalancers import LISTENER

Body = dict[str, Any]
NESTED: Mapping[str, Resource] = {
    "listeners": LISTENER,
    "pools": POOL,
    "default_pool": POOL,
    "l7policies": L7POLICY,
    "redirect_pool": POOL,
    "rules": L7RULE,
    "members": MEMBER,
    "healthmonitor": HEALTHMONITOR,
}
"""What can be made along with another object, by the attribute that holds it."""
PARENTS = frozenset({"loadbalancer_id", "listener_id", "pool_id"})
"""What an object need not say of itself when it is nested."""


def to_create(resource: Resource, document: Body, project_id: str) -> Body:
    """The object to create, parsed, with plain defaults and its project, and so is what is nested in it."""
    values = envelope(resource.name, document)
    owners = {values.pop(name) for name in ("project_id", "tenant_id") if values.get(name)}
    if len(owners) > 1:
        raise HTTPBadRequest("project_id and tenant_id do not match")
    return new(resource, values) | {"project_id": owners.pop() if owners else project_id}


def to_update(resource: Resource, document: Body) -> Body:
    """The attributes that an update changes, parsed."""
    values = envelope(resource.name, document)
    for name in values:
        if name not in resource.by_name or not resource.by_name[name].has("U"):
            raise unknown(name)
    return {name: _parse(resource, name, value) for name, value in values.items()}


def envelope(name: str, document: Body) -> Body:
    """The object in a body."""
    if not isinstance(document.get(name), dict):
        raise HTTPBadRequest(f"Invalid input: the body must be an object with the member '{name}'.")
    return dict(document[name])


def new(resource: Resource, values: Any, nested: bool = False) -> Body:
    """One new object, parsed; a ``nested`` one does not name what it belongs to."""
    if not isinstance(values, dict):
        raise HTTPBadRequest(f"Invalid input for {resource.name}. Value: '{values}'. It must be an object.")
    parsed: Body = {}
    for name, value in values.items():
        if name not in resource.by_name or not resource.by_name[name].has("C"):
            raise unknown(name)
        parsed[name] = _nested(name, _parse(resource, name, value))
    for item in resource.fields:
        if item.name in parsed or not item.has("C"):
            continue
        if item.default is REQUIRED:
            if not (nested and item.name in PARENTS):
                raise HTTPBadRequest(
                    f"Invalid input for field/attribute {item.name}. Value: 'None'. Mandatory field missing."
                )
        elif item.default is not COMPUTED:
            parsed[item.name] = list(item.default) if isinstance(item.default, tuple) else item.default
    return parsed


def unknown(name: str) -> HTTPBadRequest:
    """The error for an attribute that an object of this kind, or a request of this kind, does not have."""
    return HTTPBadRequest(f"Unknown attribute for argument: {name}")


def _nested(name: str, value: Any) -> Any:
    if name not in NESTED or value is None:
        return value
    if isinstance(value, list):
        return [new(NESTED[name], each, nested=True) for each in value]
    if NESTED[name] is POOL and set(value) == {"name"}:  # one that the same request makes elsewhere
        return value
    return new(NESTED[name], value, nested=True)


def _parse(resource: Resource, name: str, value: Any) -> Any:
    try:
        return resource.by_name[name].kind.parse(value)
    except Invalid as reason:
        raise HTTPBadRequest(f"Invalid input for field/attribute {name}. Value: '{value}'. {reason}.") from None
