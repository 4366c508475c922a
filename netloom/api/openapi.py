"""The OpenAPI 3.1 document, from the declarations; served at ``/openapi.json``, and as a page at ``/docs``."""

from collections.abc import Sequence
from functools import cache

from netloom import __doc__ as product
from netloom.api import topologies
from netloom.api.http import Answer, Request, answer_json
from netloom.api.reference import page
from netloom.api.resources import FAMILIES, Family
from netloom.api.schedulers import SCHEDULERS, Scheduler
from netloom.model.agents import AGENT
from netloom.model.auto_allocation import AUTO_ALLOCATED_TOPOLOGY
from netloom.model.extensions import EXTENSIONS
from netloom.model.fields import REQUIRED, Field, Resource
from netloom.model.kinds import Boolean, Cidr, Schema, Uuid
from netloom.model.routers import ROUTER
from netloom.model.subnets import SUBNETPOOL
from netloom.model.trunks import TRUNK
from netloom.rules import quotas

ERROR = {"$ref": "#/components/responses/error"}
ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
TEXT = {"type": "string"}
PAGING: dict[str, tuple[str, Schema]] = {
    "fields": ("Attributes to show.", {"type": "array", "items": TEXT}),
    "sort_key": ("Attributes to sort by.", {"type": "array", "items": TEXT}),
    "sort_dir": ("The direction of each sort_key.", {"type": "array", "items": {"enum": ["asc", "desc"]}}),
    "limit": ("Most objects in the answer.", {"type": "integer", "minimum": 0}),
    "marker": ("Id after which the page begins.", TEXT),
    "page_reverse": ("The page before the marker.", {"type": "boolean"}),
}
DRY_RUN = {
    "name": "fields",
    "in": "query",
    "description": "Only say whether a topology could be made.",
    "schema": {"enum": sorted(topologies.CHECK)},
}
TAG_FILTERS = ("tags-any", "not-tags", "not-tags-any")


def _members(**members: Schema) -> Schema:
    return {"type": "object", "properties": members, "required": list(members)}


_INTERFACE = {
    "anyOf": [_members(subnet_id=Uuid().schema()), _members(port_id=Uuid().schema())],
    "description": "The subnet, or one of its ports.",
}
_ROUTES = _members(router=_members(routes=ROUTER.by_name["routes"].kind.schema()))
_PREFIXES = _members(prefixes=SUBNETPOOL.by_name["prefixes"].kind.schema())
_SUB_PORTS = _members(sub_ports=TRUNK.by_name["sub_ports"].kind.schema())
_ADDRESSES = _members(addresses={"type": "array", "items": Cidr().schema()})
ACTIONS = {
    "add_router_interface": _INTERFACE,
    "remove_router_interface": _INTERFACE,
    "add_extraroutes": _ROUTES,
    "remove_extraroutes": _ROUTES,
    "add_prefixes": _PREFIXES,
    "remove_prefixes": _PREFIXES,
    "add_addresses": _ADDRESSES,
    "remove_addresses": _ADDRESSES,
    "add_subports": _SUB_PORTS,
    "remove_subports": _SUB_PORTS,
}
"""The bodies of actions."""


def document_answer(request: Request, withheld: frozenset[str]) -> Answer:
    """The document, with the address by which the client reached us."""
    return answer_json(200, document(withheld) | {"servers": [{"url": f"{request.base_url}/v2.0"}]})


def page_answer(withheld: frozenset[str]) -> Answer:
    """The page to read."""
    return Answer(200, page(document(withheld)).encode(), "text/html; charset=utf-8")


@cache
def document(withheld: frozenset[str] = frozenset()) -> Schema:
    """The whole document but the server's address, without the extensions of these aliases."""
    families = [family for family in FAMILIES if family.resource.extension not in withheld]
    paths: dict[str, Schema] = {}
    for family in families:
        paths |= _paths(family)
    for scheduler in SCHEDULERS:
        paths |= _scheduler_paths(scheduler)
    paths |= _quota_paths() | _extension_paths()
    return {
        "openapi": "3.1.0",
        "info": {"title": "Networking API", "version": "2.0", "description": (product or "").strip()},
        "paths": paths,
        "components": _components(families),
        "security": [{"token": []}],
        "x-extensions": [
            {"alias": item.alias, "description": item.description} for item in EXTENSIONS if item.alias not in withheld
        ],
    }


def _components(families: Sequence[Family]) -> Schema:
    schemas: dict[str, Schema] = {}
    for family in families:
        schemas |= _schemas(family.resource)
    error = {
        "type": "object",
        "required": ["NeutronError"],
        "properties": {
            "NeutronError": {
                "type": "object",
                "required": ["type", "message", "detail"],
                "properties": {name: {"type": "string"} for name in ("type", "message", "detail")},
            }
        },
    }
    content = {"application/json": {"schema": error}, "text/plain": {"schema": {"type": "string"}}}
    return {
        "schemas": schemas,
        "responses": {"error": {"description": "The request was refused.", "content": content}},
        "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
    }


def _schemas(resource: Resource) -> dict[str, Schema]:
    made = [item for item in resource.fields if item.has("C")]
    required = [item.name for item in made if item.default is REQUIRED]
    schemas = {resource.name: _object([item for item in resource.fields if item.has("V")], [])}
    if "create" in resource.verbs:
        schemas[f"{resource.name}_create"] = _object(made, required)
    if "update" in resource.verbs:
        schemas[f"{resource.name}_update"] = _object([item for item in resource.fields if item.has("U")], [])
    return schemas


def _object(fields: list[Field], required: list[str]) -> Schema:
    properties = {item.name: _property(item) for item in fields}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _property(item: Field) -> Schema:
    schema = item.kind.schema()
    notes = [item.doc, f"Extension {item.extension}." if item.extension else ""]
    text = " ".join(note for note in notes if note)
    return schema | ({"description": text} if text else {})


def _paths(family: Family) -> dict[str, Schema]:
    resource = family.resource
    name, plural, label = resource.name, resource.plural, (resource.label or resource.name)
    collection: Schema = {}
    member: Schema = {"parameters": [ID]}
    verbs = resource.verbs
    if "list" in verbs:
        collection["get"] = _operation(f"list_{plural}", f"List: {label}", 200, _listed(resource))
        collection["get"]["parameters"] = _list_parameters(resource)
    if "create" in verbs:
        collection["post"] = _operation(f"create_{name}", f"Create: {label}", 201, _reference(resource, name))
        collection["post"]["requestBody"] = _body(_wrapped(name, f"{name}_create"))
    if "show" in verbs:
        member["get"] = _operation(f"show_{name}", f"Show: {label}", 200, _reference(resource, name))
    if resource is AUTO_ALLOCATED_TOPOLOGY:
        member["get"]["parameters"] = [DRY_RUN]
    if "update" in verbs:
        member["put"] = _operation(f"update_{name}", f"Update: {label}", 200, _reference(resource, name))
        member["put"]["requestBody"] = _body(_wrapped(name, f"{name}_update"))
    if "delete" in verbs:
        member["delete"] = _operation(f"delete_{name}", f"Delete: {label}", 204, None)
    paths = {f"/{resource.collection}": collection}
    if len(member) > 1:
        paths[f"/{resource.collection}/{{id}}"] = member
    for action in family.actions:
        operation = _operation(action, action.replace("_", " ").capitalize(), 200, {"type": "object"})
        operation["requestBody"] = _body(ACTIONS[action])
        paths[f"/{resource.collection}/{{id}}/{action}"] = {"parameters": [ID], "put": operation}
    for detail in family.details:
        operation = _operation(detail, detail.replace("_", " ").capitalize(), 200, {"type": "object"})
        paths[f"/{resource.collection}/{{id}}/{detail}"] = {"parameters": [ID], "get": operation}
    if resource.tagged:
        paths |= _tag_paths(resource)
    return paths


def _tag_paths(resource: Resource) -> dict[str, Schema]:
    name = resource.name
    tags = {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 255}, "uniqueItems": True}
    body = {"type": "object", "properties": {"tags": tags}, "required": ["tags"]}
    every: Schema = {"parameters": [ID]}
    every["get"] = _operation(f"list_{name}_tags", "List its tags", 200, body)
    every["put"] = _operation(f"replace_{name}_tags", "Replace its tags", 200, body) | {"requestBody": _body(body)}
    every["post"] = _operation(f"add_{name}_tags", "Add tags", 200, body) | {"requestBody": _body(body)}
    every["delete"] = _operation(f"delete_{name}_tags", "Remove all its tags", 204, None)
    one: Schema = {"parameters": [ID, ID | {"name": "tag"}]}
    one["get"] = _operation(f"check_{name}_tag", "Whether it has a tag", 204, None)
    one["put"] = _operation(f"add_{name}_tag", "Add a tag", 201, {"type": "null"})
    one["delete"] = _operation(f"delete_{name}_tag", "Remove a tag", 204, None)
    path = f"/{resource.collection}/{{id}}/tags"
    return {path: every, f"{path}/{{tag}}": one}


def _scheduler_paths(scheduler: Scheduler) -> dict[str, Schema]:
    resource, kind = scheduler.resource, scheduler.kind
    name, plural = f"{kind}_{resource.name}", f"{kind}_{resource.plural}"
    agents = _operation(f"list_{resource.name}_{kind}_agents", "Agents that carry it", 200, _listed(AGENT))
    every: Schema = {"parameters": [ID]}
    every["get"] = _operation(f"list_{plural}", f"List its {resource.plural}", 200, _listed(resource))
    every["post"] = _operation(f"add_{name}", f"Have it carry a {resource.name}", 201, {"type": "null"})
    every["post"]["requestBody"] = _body(_members(**{scheduler.key: Uuid().schema()}))
    one: Schema = {"parameters": [ID, ID | {"name": scheduler.key}]}
    one["delete"] = _operation(f"remove_{name}", f"Have it carry a {resource.name} no more", 204, None)
    path = f"/agents/{{id}}/{scheduler.carried}"
    return {
        f"/{resource.collection}/{{id}}/{scheduler.agents}": {"parameters": [ID], "get": agents},
        path: every,
        f"{path}/{{{scheduler.key}}}": one,
    }


def _quota_paths() -> dict[str, Schema]:
    names = [*quotas.COUNTED, quotas.ROUTER_ROUTE]
    limits = {name: quotas.LIMIT.schema() for name in names}
    flags = {name: Boolean().schema() for name in ("force", "check_limit")}
    shown = _members(quota=_members(**limits))
    wanted = {"type": "object", "properties": limits | flags, "additionalProperties": False}
    uses = _members(**{name: {"type": "integer"} for name in ("limit", "used", "reserved")})
    project: Schema = {"parameters": [ID]}
    project["get"] = _operation("show_quota", "Limits of a project", 200, shown)
    project["put"] = _operation("update_quota", "Set limits", 200, shown)
    project["put"]["requestBody"] = _body(_members(quota=wanted))
    project["delete"] = _operation("delete_quota", "Back to the defaults", 204, None)
    listed = _members(quotas={"type": "array", "items": {"type": "object"}})
    details = _members(quota=_members(**dict.fromkeys(names, uses)))
    return {
        "/quotas": {"get": _operation("list_quotas", "Projects with limits of their own", 200, listed)},
        "/quotas/{id}": project,
        "/quotas/{id}/default": {"parameters": [ID], "get": _operation("default_quota", "Defaults", 200, shown)},
        "/quotas/{id}/details": {"parameters": [ID], "get": _operation("quota_details", "Use", 200, details)},
    }


def _extension_paths() -> dict[str, Schema]:
    shown = _members(**dict.fromkeys(("name", "alias", "description", "updated"), TEXT))
    listed = _members(extensions={"type": "array", "items": shown})
    return {
        "/extensions": {"get": _operation("list_extensions", "List extensions", 200, listed)},
        "/extensions/{id}": {
            "parameters": [ID],
            "get": _operation("show_extension", "Show an extension", 200, _members(extension=shown)),
        },
    }


def _operation(operation_id: str, summary: str, status: int, schema: Schema | None) -> Schema:
    success: Schema = {"description": "Success."}
    if schema is not None:
        success["content"] = {"application/json": {"schema": schema}}
    return {"operationId": operation_id, "summary": summary, "responses": {str(status): success, "default": ERROR}}


def _body(schema: Schema) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _wrapped(name: str, schema: str) -> Schema:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"type": "object", "properties": {name: reference}, "required": [name]}


def _reference(resource: Resource, name: str) -> Schema:
    return _wrapped(name, resource.name)


def _listed(resource: Resource) -> Schema:
    items = {"type": "array", "items": {"$ref": f"#/components/schemas/{resource.name}"}}
    return {"type": "object", "properties": {resource.plural: items}, "required": [resource.plural]}


def _list_parameters(resource: Resource) -> list[Schema]:
    shown: dict[str, tuple[str, Schema]] = {
        item.name: (f"Filter: any of these. {item.doc}".strip(), {"type": "array", "items": TEXT})
        for item in resource.fields
        if item.has("F")
    }
    shown |= {name: ("Filter by tags.", TEXT) for name in TAG_FILTERS if resource.tagged}
    sortable = sorted(item.name for item in resource.fields if item.has("S"))
    sort_key = {"type": "array", "items": {"enum": sortable}}
    shown |= PAGING | ({"sort_key": (PAGING["sort_key"][0], sort_key)} if sortable else {})
    return [
        {"name": name, "in": "query", "description": text, "schema": schema} for name, (text, schema) in shown.items()
    ]
