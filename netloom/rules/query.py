"""From a request's filters, sorts and page to rows: one statement, or two when a marker is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from netloom.model.errors import NotFound
from netloom.model.fields import Resource
from netloom.model.resources import BY_PLURAL
from netloom.rules.context import Context
from netloom.rules.trunk_status import trunk_status
from netloom.rules.visibility import Condition, Viewer, shared, viewer, visible
from netloom.store.among import among_those
from netloom.store.database import Tx
from netloom.store.tables.base import METADATA
from netloom.store.tables.network import AGENTS, IP_ALLOCATIONS, NETWORKS, PORT_SECURITY_GROUPS, TAGS, TRUNKS

Row = dict[str, Any]
Lock = Literal["stay", "change"] | None
"""Until the transaction ends, no other may remove the rows ("stay"), or none may change them either ("change")."""
Sort = tuple[Condition, bool]
"""A sort key, and whether it descends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a list request asks for. Filter values are in their stored form; any of them matches.

    ``fixed_ips`` is a mapping of its own: ``{"subnet_id": [...], "ip_address": [...], "ip_address_substr": [...]}``.
    Tag filters hold the texts of the request (``["a,b"]``).
    """

    filters: Mapping[str, Any] = field(default_factory=dict)
    sorts: Sequence[tuple[str, str]] = ()
    """Sort keys with ``asc`` or ``desc``; the id is appended."""
    limit: int | None = None
    marker: str | None = None
    page_reverse: bool = False
    fields: frozenset[str] | None = None
    """Attributes that the answer will show; None: all. Others may be absent from the views."""

    def wants(self, *names: str) -> bool:
        """Whether one of the attributes will be shown."""
        return self.fields is None or not self.fields.isdisjoint(names)


@cache
def _missing(name: str) -> type[NotFound]:
    return type(name, (NotFound,), {})


def missing(resource: Resource, object_id: str) -> NotFound:
    """The 404 of a resource, to be raised."""
    return _missing(resource.not_found)(f"{resource.label} {object_id} could not be found.")


def table_of(resource: Resource) -> sa.Table:
    """The table that holds a resource."""
    return METADATA.tables[resource.table or resource.plural]


def expressions(tx: Tx, context: Context, resource: Resource) -> dict[str, Condition]:
    """The attributes that are computed by the database, each with its expression."""
    return _expressions(viewer(context), resource, _alive_since(tx, context))


def _alive_since(tx: Tx, context: Context) -> str:
    dead = tx.now - timedelta(seconds=context.settings.agent_down_time)
    return dead.strftime("%Y-%m-%d %H:%M:%S.%f")


def _expressions(caller: Viewer, resource: Resource, alive_since: Any) -> dict[str, Condition]:
    table = table_of(resource)
    found: dict[str, Condition] = {item.name: table.c[item.column] for item in resource.stored}
    if resource.name in ("network", "security_group", "subnetpool", "address_group"):
        found["shared"] = shared(caller, resource.name, table.c.id)
    if resource.name == "subnet":
        external = sa.select(NETWORKS.c.router_external).where(NETWORKS.c.id == table.c.network_id)
        found["shared"] = shared(caller, "network", table.c.network_id)
        found["router:external"] = external.scalar_subquery()
    if resource.name == "port":  # of which it is the parent: no attribute, but what some follow from
        found["trunk_id"] = sa.select(TRUNKS.c.id).where(TRUNKS.c.port_id == table.c.id).scalar_subquery()
    if resource.name == "trunk":
        found["status"] = trunk_status()
    if resource.name == "agent":
        found["alive"] = AGENTS.c.heartbeat_timestamp >= alive_since
    return found


class _Prepared(NamedTuple):
    """A statement that was built once, and the attributes that its columns hold."""

    statement: sa.Select[Any]
    names: tuple[str, ...]


def rows_by_ids(
    tx: Tx, context: Context, resource: Resource, ids: Sequence[str], *, lock: Lock = None, scoped: bool = True
) -> list[Row]:
    """The rows of these ids in the order of the ids, with all that the database holds or computes; ``scoped`` leaves
    out what the caller may not see. Nearly every request needs this, so its statements are built once."""
    prepared = _by_ids(resource.plural, viewer(context), lock, scoped)
    values = {"ids": ids, "alive_since": _alive_since(tx, context)}
    return [dict(zip(prepared.names, row, strict=True)) for row in tx.tuples(prepared.statement, values)]


@lru_cache(maxsize=256)
def _by_ids(plural: str, caller: Viewer, lock: Lock, scoped: bool) -> _Prepared:
    resource = BY_PLURAL[plural]
    table = table_of(resource)
    columns = _expressions(caller, resource, sa.bindparam("alive_since"))
    statement = sa.select(*columns.values()).select_from(table).where(among_those(table.c.id, "ids"))
    if scoped:
        statement = statement.where(visible(caller, resource, table))
    return _Prepared(_locked(statement.order_by(table.c.id), table, lock), tuple(columns))


def _locked(statement: sa.Select[Any], table: sa.Table, lock: Lock) -> sa.Select[Any]:
    return statement.with_for_update(of=table, key_share=True, read=lock == "stay") if lock else statement


def select_rows(tx: Tx, context: Context, resource: Resource, query: Query) -> list[Row]:
    """The rows that match, with all attributes that the database holds or computes, in the order asked for.

    Raises the resource's 404 when the marker is not there.
    """
    scope = visible(viewer(context), resource, table_of(resource))
    return page(tx, resource, expressions(tx, context, resource), scope, query)


def page(tx: Tx, resource: Resource, columns: Mapping[str, Condition], scope: Condition, query: Query) -> list[Row]:
    """As ``select_rows``, of the rows of the resource's table in ``scope``; ``columns`` are the attributes."""
    table = table_of(resource)
    statement = sa.select(*columns.values()).select_from(table).where(scope)
    for name, values in query.filters.items():
        statement = statement.where(_filter(tx, columns, table, name, values))
    sorts: list[Sort] = [(columns[_alias(name)], way == "desc") for name, way in query.sorts] + [(table.c.id, False)]
    backwards = query.page_reverse and query.limit is not None
    if backwards:
        sorts = [(key, not descending) for key, descending in sorts]
    if query.marker is not None and query.limit is not None:
        place = tx.execute(sa.select(*(key for key, _ in sorts)).where(table.c.id == query.marker, scope)).first()
        if place is None:
            raise missing(resource, query.marker)
        statement = statement.where(_after(sorts, place))
    statement = statement.order_by(*_ordered(sorts, table.c.id)).limit(query.limit)
    rows = [dict(zip(columns, row, strict=True)) for row in tx.tuples(statement)]
    return rows[::-1] if backwards else rows


def _alias(name: str) -> str:
    return "project_id" if name == "tenant_id" else name


def _filter(tx: Tx, columns: Mapping[str, Condition], table: sa.Table, name: str, values: Any) -> Condition:
    if name == "fixed_ips":
        return _fixed_ips(table, values)
    if name == "security_groups":
        members = sa.select(PORT_SECURITY_GROUPS.c.port_id)
        return table.c.id.in_(members.where(PORT_SECURITY_GROUPS.c.security_group_id.in_(values)))
    if name in ("tags", "tags-any", "not-tags", "not-tags-any"):
        return _tags(table, name, values)
    column = columns[_alias(name)]
    known = [value for value in values if value is not None]
    if isinstance(column.type, sa.BigInteger):
        known = [value for value in known if isinstance(value, int)]  # "4x" matches nothing, and is no fault
        return column.in_(known)
    return column.in_(known) if len(known) == len(values) else column.in_(known) | column.is_(None)


def _fixed_ips(table: sa.Table, wanted: Mapping[str, Sequence[str]]) -> Condition:
    ports = sa.select(IP_ALLOCATIONS.c.port_id)
    conditions: list[Condition] = [sa.true()]
    for key in ("subnet_id", "ip_address"):
        if values := wanted.get(key):
            conditions.append(table.c.id.in_(ports.where(IP_ALLOCATIONS.c[key].in_(values))))
    if parts := wanted.get("ip_address_substr"):
        matches = sa.or_(*(IP_ALLOCATIONS.c.ip_address.contains(part, autoescape=True) for part in parts))
        conditions.append(table.c.id.in_(ports.where(matches)))
    return sa.and_(*conditions)


def _tags(table: sa.Table, name: str, values: Sequence[str]) -> Condition:
    """``tags``: all of them, ``tags-any``: one of them; ``not-`` turns the answer round."""
    tags = sorted({tag for value in values for tag in value.split(",")})
    tagged = sa.select(TAGS.c.resource_id).where(TAGS.c.tag.in_(tags))
    if not name.endswith("-any"):
        tagged = tagged.group_by(TAGS.c.resource_id).having(sa.func.count() == len(tags))
    return table.c.id.not_in(tagged) if name.startswith("not-") else table.c.id.in_(tagged)


def _ordered(sorts: Sequence[Sort], identity: Condition) -> list[Condition]:
    """Null values come last (first when descending) on every database, so that pages agree with the order."""
    keys = [
        (part, descending)
        for key, descending in sorts
        for part in ((key,) if key is identity else (key.is_(None), key))
    ]
    return [part.desc() if descending else part.asc() for part, descending in keys]


def _after(sorts: Sequence[Sort], place: Sequence[Any]) -> Condition:
    """Rows that come after the one whose sort keys are ``place``."""
    condition: Condition = sa.false()
    for (key, descending), value in reversed(list(zip(sorts, place, strict=True))):
        if value is None:
            further, equal = (key.is_not(None) if descending else sa.false()), key.is_(None)
        else:
            bound = sa.literal(value, key.type)
            further, equal = (key < bound if descending else (key > bound) | key.is_(None)), key == bound
        condition = further | (equal & condition)
    return condition
