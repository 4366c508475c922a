"""Finding the objects of load balancers, and showing them in the words of Octavia's API (LBaaS v1: ``lbaas_views``)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import NotFound
from netloom.model.fields import Resource
from netloom.model.lb_l7 import L7POLICY, L7RULE
from netloom.model.lb_pools import HEALTHMONITOR, MEMBER, POOL
from netloom.model.loadbalancers import LISTENER, LOADBALANCER
from netloom.rules import binding
from netloom.rules.context import Context
from netloom.rules.load_balancing.errors import LoadBalancerNotFound
from netloom.rules.load_balancing.provisioning import provisioning
from netloom.rules.query import Query, page, table_of
from netloom.rules.reading import TAGGED, Children, children_of, collect
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import (
    HEALTHMONITORS,
    L7POLICIES,
    L7RULES,
    LISTENERS,
    LOADBALANCERS,
    MEMBERS,
    POOL_MONITORS,
    POOLS,
)

View = dict[str, Any]
BALANCER = "balancer"
"""Not an attribute: the id of the load balancer that an object belongs to."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a resource's objects are put together."""

    resource: Resource
    balancer: sa.ColumnElement[Any]
    """Id of the object's load balancer."""
    parts: Mapping[str, Children] = field(default_factory=dict)
    """Ids of what belongs to it, by the attribute that shows them as ``[{"id": …}]``."""

    @property
    def table(self) -> sa.Table:
        """Where the objects are."""
        return table_of(self.resource)


def _via(column: sa.ColumnElement[Any], owner: sa.ColumnElement[Any], reference: sa.ColumnElement[Any]) -> Any:
    """``column`` of the row whose ``owner`` column is what ``reference`` says."""
    return sa.select(column).where(owner == reference).correlate(reference.table).scalar_subquery()


_PARENT = LISTENERS.alias("listener_of")
_POLICY = L7POLICIES.alias("policy_of")
_WATCHED = (
    sa.select(sa.func.min(POOLS.c.loadbalancer_id))
    .join(POOL_MONITORS, POOL_MONITORS.c.pool_id == POOLS.c.id)
    .where(POOL_MONITORS.c.healthmonitor_id == HEALTHMONITORS.c.id)
    .correlate(HEALTHMONITORS)
    .scalar_subquery()
)
_RULED = (
    sa.select(_PARENT.c.loadbalancer_id)
    .join(_POLICY, _POLICY.c.listener_id == _PARENT.c.id)
    .where(_POLICY.c.id == L7RULES.c.l7policy_id)
    .correlate(L7RULES)
    .scalar_subquery()
)


def _ids(owner: sa.Column[Any], *order: sa.Column[Any]) -> Children:
    key = owner.table.c.id
    return children_of(owner, key, order=(*order, key))


SHAPES: Mapping[str, Shape] = {
    shape.resource.name: shape
    for shape in (
        Shape(
            LOADBALANCER,
            LOADBALANCERS.c.id,
            {"listeners": _ids(LISTENERS.c.loadbalancer_id), "pools": _ids(POOLS.c.loadbalancer_id)},
        ),
        Shape(
            LISTENER,
            LISTENERS.c.loadbalancer_id,
            {"l7policies": _ids(L7POLICIES.c.listener_id, L7POLICIES.c.position)},
        ),
        Shape(
            POOL,
            POOLS.c.loadbalancer_id,
            {
                "listeners": _ids(LISTENERS.c.default_pool_id),
                "members": _ids(MEMBERS.c.pool_id, MEMBERS.c.created_at),
                "healthmonitor_id": children_of(POOL_MONITORS.c.pool_id, POOL_MONITORS.c.healthmonitor_id),
            },
        ),
        Shape(MEMBER, _via(POOLS.c.loadbalancer_id, POOLS.c.id, MEMBERS.c.pool_id)),
        Shape(
            HEALTHMONITOR,
            _WATCHED,
            {"pools": children_of(POOL_MONITORS.c.healthmonitor_id, POOL_MONITORS.c.pool_id)},
        ),
        Shape(
            L7POLICY,
            _via(_PARENT.c.loadbalancer_id, _PARENT.c.id, L7POLICIES.c.listener_id),
            {"rules": _ids(L7RULES.c.l7policy_id)},
        ),
        Shape(L7RULE, _RULED),
    )
}
"""The shapes by name of the resource."""


def find(
    tx: Tx, context: Context, resource: Resource, query: Query, within: Mapping[str, str] | None = None,
    project_id: str | None = None,
) -> list[View]:  # fmt: skip
    """The objects that a query asks for. ``within``: of this pool or policy alone; ``project_id``: of this project.

    Raises LoadBalancerNotFound when the marker is not there.
    """
    shape = SHAPES[resource.name]
    scope = _made_by_octavia(shape.table)
    if project_id is not None:
        scope &= shape.table.c.project_id == project_id
    for name, value in (within or {}).items():
        scope &= shape.table.c[name] == value
    try:
        rows = page(tx, resource, _columns(tx, context, shape), scope, query)
    except NotFound:
        raise not_found(resource, str(query.marker)) from None
    return _assemble(tx, shape, rows, query)


def by_ids(tx: Tx, context: Context, resource: Resource, ids: Sequence[str]) -> list[View]:
    """The objects of these ids, in their order; absent ones are left out."""
    shape = SHAPES[resource.name]
    columns = _columns(tx, context, shape)
    statement = sa.select(*columns.values()).where(among(tx, shape.table.c.id, ids), _made_by_octavia(shape.table))
    rows = [dict(zip(columns, row, strict=True)) for row in tx.tuples(statement)]
    views = {view["id"]: view for view in _assemble(tx, shape, rows, Query())}
    return [views[key] for key in ids if key in views]


def of_parents(tx: Tx, context: Context, resource: Resource, parent: str, ids: Sequence[str]) -> list[View]:
    """The objects whose attribute ``parent`` is one of ``ids``, the oldest first."""
    shape = SHAPES[resource.name]
    columns = _columns(tx, context, shape)
    statement = sa.select(*columns.values()).where(among(tx, shape.table.c[parent], ids))
    ordered = statement.order_by(shape.table.c.created_at, shape.table.c.id)
    return _assemble(tx, shape, [dict(zip(columns, row, strict=True)) for row in tx.tuples(ordered)], Query())


def get(tx: Tx, context: Context, resource: Resource, object_id: str, **within: str) -> View:
    """One object; of the pool or policy that ``within`` names. Raises LoadBalancerNotFound."""
    found = by_ids(tx, context, resource, [object_id])
    if not found or any(found[0][name] != value for name, value in within.items()):
        raise not_found(resource, object_id)
    return found[0]


def not_found(resource: Resource, object_id: str) -> LoadBalancerNotFound:
    """The 404 of a resource, to be raised."""
    return LoadBalancerNotFound(resource=resource.label, id=object_id)


def _made_by_octavia(table: sa.Table) -> sa.ColumnElement[bool]:
    return table.c.api == 2 if "api" in table.c else sa.true()


def _columns(tx: Tx, context: Context, shape: Shape) -> dict[str, sa.ColumnElement[Any]]:
    """The attributes that the database holds or computes."""
    table = shape.table
    found: dict[str, sa.ColumnElement[Any]] = {item.name: table.c[item.column] for item in shape.resource.stored}
    own = {"made": table.c.made, "touched": table.c.touched} if "made" in table.c else {}
    found["provisioning_status"] = provisioning(shape.balancer, binding.alive_since(tx, context), **own)
    if "operating_status" not in found:
        found["operating_status"] = sa.case((table.c.admin_state_up, "ONLINE"), else_="OFFLINE")
    found[BALANCER] = shape.balancer
    if shape.resource is LOADBALANCER:
        found["generation"], found["own_port"] = table.c.generation, table.c.own_port
        found["vrid"] = table.c.vrid
    return found


def _assemble(tx: Tx, shape: Shape, rows: list[View], query: Query) -> list[View]:
    views = {row["id"]: row for row in rows}
    if not views:
        return []
    for name, part in shape.parts.items():
        if query.wants(name):
            collect(tx, views, name, part)
            for view in rows:
                _PRESENT.get(name, _references)(view, name)
    if "loadbalancers" in shape.resource.by_name:
        for view in rows:
            view["loadbalancers"] = [{"id": view[BALANCER]}]
    if query.wants("tags"):
        collect(tx, views, "tags", TAGGED)
    for view in rows:
        if view.get("updated_at", "") is None and view.get("provisioning_status") != "PENDING_CREATE":
            view["updated_at"] = view.get("created_at")  # the last change is that it became what was asked for
    return rows


def _references(view: View, name: str) -> None:
    view[name] = [{"id": key} for key in view[name]]


def _first(view: View, name: str) -> None:
    view[name] = view[name][0] if view[name] else None


_PRESENT: Mapping[str, Callable[[View, str], None]] = {"healthmonitor_id": _first}
"""How ids of parts are shown, where not as a list of references."""
