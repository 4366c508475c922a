"""Routers; their actions are in ``router_interfaces`` and ``extraroutes``."""

from typing import Any

import sqlalchemy as sa

from netloom.model.errors import BadRequest, Conflict, InvalidInput
from netloom.model.owners import HA_PORT, HA_ROUTER_INTERFACE, ROUTER_INTERFACE, ROUTER_INTERFACES
from netloom.model.routers import ROUTER
from netloom.rules import ha_networks, ports, quotas, reading, router_scheduling, standard, zones
from netloom.rules.context import Context
from netloom.rules.extraroutes import set_routes
from netloom.rules.gateways import clear_gateway, set_gateway
from netloom.rules.placement import L3_AGENT
from netloom.store.database import Tx
from netloom.store.tables.network import PORTS, ROUTER_BINDINGS, ROUTERS, TAGS

View = dict[str, Any]


class RouterInUse(Conflict):
    """The router has interfaces."""

    message = "Router {router_id} still has ports."


def create(tx: Tx, context: Context, bodies: list[View]) -> list[View]:
    """Make routers, with their gateways; highly available ones get their hosts at once.

    Raises: OverQuota, InvalidInput (``distributed``), AvailabilityZoneNotFound, NoVRIDAvailable, and as
    ``set_gateway``.
    """
    zones.check(tx, L3_AGENT, [zone for body in bodies for zone in body["availability_zone_hints"]])
    projects = [body["project_id"] for body in bodies]
    for project_id in sorted(set(projects)):
        quotas.check(tx, context, "router", project_id, projects.count(project_id))
    common = {"status": "ACTIVE", "routes": [], "enable_snat": context.settings.enable_snat_by_default}
    rows = [standard.new_row(tx, ROUTER, body, **_kinds(context, body), **common, ha_vr_id=None) for body in bodies]
    available = [row for row in rows if row["ha"]]
    for project_id in sorted({row["project_id"] for row in available}):
        own = [row for row in available if row["project_id"] == project_id]
        for row, number in zip(own, ha_networks.reserve(tx, context, project_id, len(own)), strict=True):
            row["ha_vr_id"] = number
    tx.execute(ROUTERS.insert(), rows)
    if available:
        router_scheduling.schedule(tx, context, [row["id"] for row in available])
    for body, row in zip(bodies, rows, strict=True):
        if body["external_gateway_info"]:
            set_gateway(tx, context, row, body["external_gateway_info"])
    return reading.by_ids(tx, context, ROUTER, [row["id"] for row in rows])


def update(tx: Tx, context: Context, current: View, changes: View) -> View:
    """Change a router, its gateway and its routes.

    Raises: BadRequest (``ha`` of a router that is up), InvalidInput (``distributed``), NoVRIDAvailable, and as
    ``set_gateway`` and ``set_routes``.
    """
    special = ("external_gateway_info", "routes", "ha", "distributed")
    plain = {name: value for name, value in changes.items() if name not in special}
    kinds = _kinds(context, current | {name: changes[name] for name in special if changes.get(name) is not None})
    if kinds["ha"] != current["ha"]:
        _switch(tx, context, current, kinds["ha"])
    if standard.update_row(tx, ROUTER, current, plain):
        tx.changed("router", current["id"])
    if "external_gateway_info" in changes:
        if info := changes["external_gateway_info"]:
            set_gateway(tx, context, current, info)
        else:
            clear_gateway(tx, context, current)
    if "routes" in changes:
        set_routes(tx, context, current, changes["routes"])
    return reading.by_ids(tx, context, ROUTER, [current["id"]])[0]


def delete(tx: Tx, context: Context, current: View) -> None:
    """Remove a router with its gateway. Raises RouterInUse, RouterExternalGatewayInUseByFloatingIp."""
    router_id = current["id"]
    clear_gateway(tx, context, current)  # also when there is none: it locks the router
    interfaces = sa.select(PORTS.c.id).where(
        PORTS.c.device_id == router_id, PORTS.c.device_owner.in_(ROUTER_INTERFACES)
    )
    if tx.execute(interfaces.limit(1)).first() is not None:
        raise RouterInUse(router_id=router_id)
    for host in tx.execute(sa.select(ROUTER_BINDINGS.c.host).where(ROUTER_BINDINGS.c.router_id == router_id)).scalars():
        tx.changed("host", host)
    if current["ha"]:
        voting = sa.select(PORTS.c.id).where(PORTS.c.device_id == router_id, PORTS.c.device_owner == HA_PORT)
        ports.delete_internal(tx, context, list(tx.execute(voting).scalars()))
    tx.execute(TAGS.delete().where(TAGS.c.resource_id == router_id))
    tx.execute(ROUTERS.delete().where(ROUTERS.c.id == router_id))
    tx.changed("router", router_id)
    if current["ha"]:
        ha_networks.release(tx, context, current["project_id"])


def _switch(tx: Tx, context: Context, current: View, available: bool) -> None:
    """Make a router highly available, or no more so."""
    if current["admin_state_up"]:
        raise BadRequest(resource="router", msg="ha can be changed only while admin_state_up is false")
    router_id, project_id = current["id"], current["project_id"]
    number = ha_networks.reserve(tx, context, project_id, 1)[0] if available else None
    if not available:
        router_scheduling.make_single(tx, context, router_id)
    standard.update_row(tx, ROUTER, current, {"ha": available}, ha_vr_id=number)
    tx.changed("router", router_id)
    before, after = ROUTER_INTERFACE, HA_ROUTER_INTERFACE
    if not available:
        before, after = after, before
    mine = (PORTS.c.device_id == router_id, PORTS.c.device_owner == before)
    owned = tx.execute(PORTS.update().where(*mine).values(device_owner=after).returning(PORTS.c.id))
    port_ids = list(owned.scalars())
    standard.revise(tx, PORTS, port_ids)
    for port_id in port_ids:
        tx.changed("port", port_id)
    if available:
        router_scheduling.make_available(tx, context, router_id)
    else:
        ha_networks.release(tx, context, project_id)


def _kinds(context: Context, body: View) -> dict[str, bool]:
    """``ha`` and ``distributed``; null means the default."""
    if body.get("distributed"):
        raise InvalidInput(error_message="routers with distributed=true are not available; leave it out")
    ha = body.get("ha")
    return {"ha": context.settings.l3_ha if ha is None else bool(ha), "distributed": False}
