"""Callers, and bodies as the API hands them to the rules."""

from collections.abc import Mapping
from typing import Any

from netloom.model.fields import Missing, Resource
from netloom.rules.context import Context
from netloom.settings.network import NetworkSettings

DEMO, OTHER = "1" * 32, "2" * 32


def member(project_id: str = DEMO, **settings: Any) -> Context:
    roles = frozenset({"member", "reader"})
    return Context(f"user of {project_id}", project_id, roles, False, settings=NetworkSettings(**settings))


def admin(project_id: str = DEMO, **settings: Any) -> Context:
    roles = frozenset({"admin", "manager", "member", "reader"})
    return Context("admin", project_id, roles, True, settings=NetworkSettings(**settings))


def body(resource: Resource, project_id: str = DEMO, **values: Any) -> dict[str, Any]:
    """A body of POST with its defaults filled in, attributes parsed."""
    given: Mapping[str, Any] = {name.replace("__", ":"): value for name, value in values.items()}
    found = {"project_id": project_id}
    for field in resource.fields:
        if not field.has("C") or field.name in ("project_id", "tenant_id"):
            continue
        if field.name in given:
            found[field.name] = field.kind.parse(given[field.name])
        elif not isinstance(field.default, Missing):
            found[field.name] = field.default
    unknown = given.keys() - found.keys()
    assert not unknown, unknown
    return found
