"""Finding resources, and showing them: views are plain dictionaries under the names of the API.

One statement for the rows, then one for each kind of child that the answer shows, whatever the number of rows.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from netloom.model.agents import AVAILABILITY_ZONE
from netloom.model.availability import NETWORK_IP_AVAILABILITY
from netloom.model.fields import Resource
from netloom.model.security_groups import SECURITY_GROUP_RULE
from netloom.rules import availability, zones
from netloom.rules.context import Context
from netloom.rules.load_balancing import lbaas_views
from netloom.rules.query import Lock, Query, Row, missing, rows_by_ids, select_rows, table_of
from netloom.store.among import among, among_those
from netloom.store.database import Tx
from netloom.store.tables.network import (
    AGENTS,
    DHCP_BINDINGS,
    IP_ALLOCATIONS,
    PORT_SECURITY_GROUPS,
    PORTS,
    ROUTER_BINDINGS,
    ROUTERS,
    SECURITY_GROUP_RULES,
    SUB_PORTS,
    SUBNETS,
    TAGS,
)

__all__ = ["Query", "by_ids", "find", "get", "missing", "table_of"]

View = dict[str, Any]
Views = Mapping[str, View]
"""Views by id."""
Part = Callable[[Tx, Context, Views], None]
"""Adds one kind of child to views."""


def find(tx: Tx, context: Context, resource: Resource, query: Query) -> list[View]:
    """What of ``resource`` the caller may see and the query asks for.

    Raises the resource's 404 when the marker is unknown.
    """
    if resource is NETWORK_IP_AVAILABILITY:
        return availability.find(tx, context, query)
    if resource is AVAILABILITY_ZONE:
        return zones.find(tx, query)
    if resource.extension == lbaas_views.EXTENSION:
        return lbaas_views.find(tx, context, resource, query)
    return _assemble(tx, context, resource, select_rows(tx, context, resource, query), query)


def get(tx: Tx, context: Context, resource: Resource, object_id: str, for_update: bool = False) -> View | None:
    """One object, or None when the caller may not see it.

    ``for_update`` locks its row until the transaction ends (on SQLite writers are alone anyway).
    """
    if resource is NETWORK_IP_AVAILABILITY:
        return next(iter(availability.find(tx, context, Query(filters={"network_id": [object_id]}))), None)
    if resource.extension == lbaas_views.EXTENSION:  # who changes one locks its load balancer
        return lbaas_views.get(tx, context, resource, object_id)
    rows = rows_by_ids(tx, context, resource, [object_id], lock="change" if for_update else None)
    return next(iter(_assemble(tx, context, resource, rows, Query())), None)


def by_ids(
    tx: Tx, context: Context, resource: Resource, ids: Sequence[str], *, lock: Lock = None, scoped: bool = False,
    fields: frozenset[str] | None = None,
) -> list[View]:  # fmt: skip
    """The objects of these ids in their order; absent ones are left out.

    The rules must see also what the caller may not; ``scoped`` leaves that out. ``lock`` and ``fields``
    as in ``rules.query``.
    """
    rows = rows_by_ids(tx, context, resource, ids, lock=lock, scoped=scoped)
    views = {view["id"]: view for view in _assemble(tx, context, resource, rows, Query(fields=fields))}
    return [views[object_id] for object_id in ids if object_id in views]


def _assemble(tx: Tx, context: Context, resource: Resource, rows: list[Row], query: Query) -> list[View]:
    if rows and "project_id" in rows[0]:
        for row in rows:
            row["tenant_id"] = row["project_id"]
    views = {row["id"]: row for row in rows}
    for name, part in PARTS.get(resource.name, {}).items():
        if views and query.wants(name):
            part(tx, context, views)
    return rows


class Children(NamedTuple):
    """One kind of child: the statement, built once, and the names of the values that follow the owner's id."""

    statement: sa.Select[Any]
    names: tuple[str, ...]


def children_of(
    owner: sa.ColumnElement[Any], *values: sa.ColumnElement[Any], order: Sequence[sa.ColumnElement[Any]] = ()
) -> Children:
    """The values of rows that belong to ``owner``, in this order."""
    statement = sa.select(owner, *values).where(among_those(owner, "owners")).order_by(*order)
    return Children(statement, tuple(str(value.key) for value in values))


TAGGED = children_of(TAGS.c.resource_id, TAGS.c.tag, order=(TAGS.c.tag,))
ON_NETWORKS = children_of(SUBNETS.c.network_id, SUBNETS.c.id, order=(SUBNETS.c.created_at, SUBNETS.c.id))
ADDRESSES = children_of(
    IP_ALLOCATIONS.c.port_id,
    IP_ALLOCATIONS.c.subnet_id,
    IP_ALLOCATIONS.c.ip_address,
    order=(IP_ALLOCATIONS.c.position,),
)
MEMBERSHIPS = children_of(
    PORT_SECURITY_GROUPS.c.port_id,
    PORT_SECURITY_GROUPS.c.security_group_id,
    order=(PORT_SECURITY_GROUPS.c.security_group_id,),
)
BEHIND = children_of(
    SUB_PORTS.c.trunk_id,
    SUB_PORTS.c.port_id,
    SUB_PORTS.c.segmentation_type,
    SUB_PORTS.c.segmentation_id,
    order=(SUB_PORTS.c.segmentation_id,),
)
DETAILS = Children(
    BEHIND.statement.join(PORTS, PORTS.c.id == SUB_PORTS.c.port_id).add_columns(PORTS.c.mac_address),
    (*BEHIND.names, "mac_address"),
)


def collect(tx: Tx, views: Views, name: str, children: Children) -> None:
    """Add under ``name`` the list of the rows' values that belong to each view: plain, or as dictionaries."""
    for view in views.values():
        view[name] = []
    rows = tx.tuples(children.statement, {"owners": views.keys()})
    if len(children.names) == 1:
        for row in rows:
            views[row[0]][name].append(row[1])
    else:
        for row in rows:
            views[row[0]][name].append(dict(zip(children.names, row[1:], strict=True)))


def _tags(tx: Tx, _context: Context, views: Views) -> None:
    collect(tx, views, "tags", TAGGED)


def _subnet_ids(tx: Tx, _context: Context, views: Views) -> None:
    collect(tx, views, "subnets", ON_NETWORKS)


def _zones(tx: Tx, views: Views, owner: sa.ColumnElement[Any], host: sa.ColumnElement[Any], kind: str) -> None:
    """The availability zones of the agents that carry each of the views' objects."""
    for view in views.values():
        view["availability_zones"] = []
    statement = (
        sa.select(owner, AGENTS.c.availability_zone)
        .distinct()
        .join(AGENTS, (AGENTS.c.host == host) & (AGENTS.c.agent_type == kind))
        .where(among(tx, owner, views), AGENTS.c.availability_zone.is_not(None))
        .order_by(AGENTS.c.availability_zone)
    )
    for row in tx.tuples(statement):
        views[row[0]]["availability_zones"].append(row[1])


def _network_zones(tx: Tx, _context: Context, views: Views) -> None:
    _zones(tx, views, DHCP_BINDINGS.c.network_id, DHCP_BINDINGS.c.host, "DHCP agent")


def _router_zones(tx: Tx, _context: Context, views: Views) -> None:
    _zones(tx, views, ROUTER_BINDINGS.c.router_id, ROUTER_BINDINGS.c.host, "L3 agent")


def _fixed_ips(tx: Tx, _context: Context, views: Views) -> None:
    collect(tx, views, "fixed_ips", ADDRESSES)


def _groups(tx: Tx, _context: Context, views: Views) -> None:
    collect(tx, views, "security_groups", MEMBERSHIPS)


def _vif_details(tx: Tx, _context: Context, views: Views) -> None:
    """How a bound port is to be plugged: as its host's Open vSwitch agent says."""
    for view in views.values():
        view["binding:vif_details"] = {}
    bound = [view for view in views.values() if view["binding:vif_type"] == "ovs"]
    if not bound:
        return
    agents = sa.select(AGENTS.c.host, AGENTS.c.configurations).where(
        AGENTS.c.agent_type == "Open vSwitch agent",
        among(tx, AGENTS.c.host, {view["binding:host_id"] for view in bound}),
    )
    configurations: dict[str, dict[str, Any]] = {row[0]: row[1] or {} for row in tx.tuples(agents)}
    for view in bound:
        known, trunk_id = configurations.get(view["binding:host_id"], {}), view["trunk_id"]
        view["binding:vif_details"] = {
            "connectivity": "l2",
            "port_filter": True,
            "ovs_hybrid_plug": bool(known.get("ovs_hybrid_plug", False)),
            "datapath_type": known.get("datapath_type", "system"),
            "bridge_name": f"tbr-{trunk_id[:10]}" if trunk_id else known.get("integration_bridge", "br-int"),
            "ovs_create_tap": False,
            "bound_drivers": {"0": "openvswitch"},
        }


def _sub_ports(tx: Tx, _context: Context, views: Views) -> None:
    collect(tx, views, "sub_ports", BEHIND)


def _trunk_details(tx: Tx, _context: Context, views: Views) -> None:
    """The trunks of those ports that are parents; others do not show the attribute."""
    behind: dict[str, list[dict[str, Any]]] = {view["trunk_id"]: [] for view in views.values() if view["trunk_id"]}
    if not behind:
        return
    for trunk_id, *values in tx.tuples(DETAILS.statement, {"owners": behind.keys()}):
        behind[trunk_id].append(dict(zip(DETAILS.names, values, strict=True)))
    for view in views.values():
        if view["trunk_id"]:
            view["trunk_details"] = {"trunk_id": view["trunk_id"], "sub_ports": behind[view["trunk_id"]]}


def _rules(tx: Tx, context: Context, views: Views) -> None:
    table = SECURITY_GROUP_RULES.c
    for view in views.values():
        view["security_group_rules"] = []
    columns = {item.name: table[item.column] for item in SECURITY_GROUP_RULE.stored}
    statement = sa.select(*columns.values()).where(among(tx, table.security_group_id, views)).order_by(table.id)
    for row in tx.tuples(statement):
        rule = dict(zip(columns, row, strict=True))
        rule["tenant_id"] = rule["project_id"]
        views[rule["security_group_id"]]["security_group_rules"].append(rule)


def _gateway(tx: Tx, _context: Context, views: Views) -> None:
    table = ROUTERS.c
    gateways = sa.select(table.id, table.gateway_port_id, table.gateway_network_id, table.enable_snat)
    places: dict[str, list[dict[str, str]]] = defaultdict(list)
    for key, port_id, network_id, snat in tx.tuples(gateways.where(among(tx, table.id, views))):
        shown = {"network_id": network_id, "enable_snat": snat, "external_fixed_ips": places[port_id]}
        views[key]["external_gateway_info"] = shown if network_id is not None else None
    addresses = IP_ALLOCATIONS.c
    statement = sa.select(addresses.port_id, addresses.subnet_id, addresses.ip_address)
    gateway_ports = among(tx, addresses.port_id, [key for key in places if key])
    for row in tx.tuples(statement.where(gateway_ports).order_by(addresses.position)):
        places[row[0]].append({"subnet_id": row[1], "ip_address": row[2]})


def _port_details(tx: Tx, _context: Context, views: Views) -> None:
    shown = ("name", "network_id", "mac_address", "admin_state_up", "status", "device_id", "device_owner")
    wanted = {view["port_id"] for view in views.values() if view["port_id"]}
    statement = sa.select(PORTS.c.id, *(PORTS.c[name] for name in shown))
    found = tx.tuples(statement.where(among(tx, PORTS.c.id, wanted)))
    details = {row[0]: dict(zip(shown, row[1:], strict=True)) for row in found}
    for view in views.values():
        view["port_details"] = details.get(view["port_id"])


PARTS: Mapping[str, Mapping[str, Part]] = {
    "network": {"subnets": _subnet_ids, "availability_zones": _network_zones, "tags": _tags},
    "subnet": {"tags": _tags},
    "subnetpool": {"tags": _tags},
    "port": {
        "fixed_ips": _fixed_ips,
        "security_groups": _groups,
        "binding:vif_details": _vif_details,
        "trunk_details": _trunk_details,
        "tags": _tags,
    },
    "router": {"external_gateway_info": _gateway, "availability_zones": _router_zones, "tags": _tags},
    "floatingip": {"port_details": _port_details, "tags": _tags},
    "security_group": {"security_group_rules": _rules, "tags": _tags},
    "trunk": {"sub_ports": _sub_ports, "tags": _tags},
}
"""The children of each resource, by the attribute that shows them."""
