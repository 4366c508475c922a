"""Declarations: a resource and its fields."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

from netloom.model.kinds import Boolean, Integer, Kind, ListOf, SpokenInteger, Text, Time, Uuid


class Missing(Enum):
    """What an absent attribute means on POST when it has no plain default."""

    REQUIRED = "required"
    """The request is refused."""
    COMPUTED = "computed"
    """The rules fill it in; absent can be told from null."""


REQUIRED = Missing.REQUIRED
COMPUTED = Missing.COMPUTED


@dataclass(frozen=True, slots=True)
class Field:
    """One attribute of a resource.

    ``flags``: C accepted on POST, U accepted on PUT, V visible, F usable as a filter, S usable as a sort key,
    P guarded by attribute rules of the policy (``create_port:mac_address``).
    """

    name: str
    flags: str
    kind: Kind
    default: Any = COMPUTED
    extension: str = ""
    """Alias of the extension that adds it; empty for the core API."""
    doc: str = ""
    stored: bool = True
    """Whether it is a column of the resource's own table (else the store assembles it)."""

    def has(self, flag: str) -> bool:
        """Whether one of the letters of ``flags`` is set."""
        return flag in self.flags

    @property
    def column(self) -> str:
        """Name of its column: ``router:external`` is kept as ``router_external``."""
        return self.name.replace(":", "_").replace("-", "_")


@dataclass(frozen=True)
class Resource:
    """One resource of the API."""

    name: str
    """Singular, as in bodies and policy rules: ``security_group``."""
    plural: str
    """Plural, as in bodies: ``security_groups``."""
    fields: tuple[Field, ...]
    path: str = ""
    """Path of the collection when it is not the plural with dashes."""
    table: str = ""
    """Name of its table when it is not the plural."""
    bulk: bool = False
    verbs: frozenset[str] = frozenset({"create", "list", "show", "update", "delete"})
    extension: str = ""
    """Alias of the extension that adds the resource; empty for the core API."""
    not_found: str = ""
    """``type`` of its 404, e.g. ``NetworkNotFound``."""
    label: str = ""
    """Its name in messages, e.g. ``Security group``."""
    actions: Mapping[str, str] = field(default_factory=dict)
    """Member actions and their verb: ``add_router_interface: PUT``."""
    tagged: bool = False
    quota: int | None = None
    """Default quota; None when the resource is not counted."""

    @property
    def collection(self) -> str:
        """Last path segment of the collection."""
        return self.path or self.plural.replace("_", "-")

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        """The fields by name."""
        return {item.name: item for item in self.fields}

    @cached_property
    def spoken(self) -> tuple[str, ...]:
        """The numbers that answers show as text."""
        return tuple(item.name for item in self.fields if isinstance(item.kind, SpokenInteger))

    @cached_property
    def stored(self) -> tuple[Field, ...]:
        """The fields that are columns of its own table."""
        return tuple(item for item in self.fields if item.stored)


def identity() -> tuple[Field, ...]:
    """The id, and the project under both of its names."""
    return (Field("id", "VFS", Uuid(), doc="Identifier."), *project("CVFS"))


def project(flags: str) -> tuple[Field, ...]:
    """The owning project; ``tenant_id`` is its older name and always equal."""
    return (
        Field("project_id", flags, Text(most=255), extension="project-id", doc="Owning project."),
        Field("tenant_id", flags, Text(most=255), stored=False, doc="The project under its older name."),
    )


def standard(tagged: bool = True, description: bool = True, revised: bool = True) -> tuple[Field, ...]:
    """The standard attributes: description, revision, timestamps, tags."""
    tags = Field("tags", "VF", ListOf(item=Text(most=255), distinct=True), extension="standard-attr-tag", stored=False)
    stamp = "standard-attr-timestamp"
    fields = (
        Field("description", "CUVF", Text(most=255), "", extension="standard-attr-description")
        if description
        else None,
        Field("revision_number", "VF", Integer(), extension="standard-attr-revisions") if revised else None,
        Field("created_at", "V", Time(), extension=stamp),
        Field("updated_at", "V", Time(), extension=stamp),
        tags if tagged else None,
    )
    return tuple(item for item in fields if item is not None)


def admin_state() -> Field:
    """The administrative state."""
    return Field("admin_state_up", "CUVFS", Boolean(), True, doc="Administrative state: up is true.")
