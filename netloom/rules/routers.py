"""Routers; their actions are in ``router_interfaces`` and ``extraroutes``."""

from typing import Any

import sqlalchemy as sa

from netloom.model.errors import Conflict, InvalidInput
from netloom.model.owners import ROUTER_INTERFACES
from netloom.model.routers import ROUTER
from netloom.rules import quotas, reading, standard, zones
from netloom.rules.context import Context
from netloom.rules.extraroutes import set_routes
from netloom.rules.gateways import clear_gateway, set_gateway
from netloom.rules.router_scheduling import L3_AGENT
from netloom.store.database import Tx
from netloom.store.tables.network import PORTS, ROUTER_BINDINGS, ROUTERS, TAGS

View = dict[str, Any]


class RouterInUse(Conflict):
    """The router has interfaces."""

    message = "Router {router_id} still has ports."


def create(tx: Tx, context: Context, bodies: list[View]) -> list[View]:
    """Make routers, with their gateways.

    Raises: OverQuota, InvalidInput (``ha`` or ``distributed``), AvailabilityZoneNotFound, and as ``set_gateway``.
    """
    zones.check(tx, L3_AGENT, [zone for body in bodies for zone in body["availability_zone_hints"]])
    projects = [body["project_id"] for body in bodies]
    for project_id in sorted(set(projects)):
        quotas.check(tx, context, "router", project_id, projects.count(project_id))
    rows = []
    for body in bodies:
        kinds = _kinds(body)
        snat = context.settings.enable_snat_by_default
        rows.append(standard.new_row(tx, ROUTER, body, **kinds, status="ACTIVE", routes=[], enable_snat=snat))
    tx.execute(ROUTERS.insert(), rows)
    for body, row in zip(bodies, rows, strict=True):
        if body["external_gateway_info"]:
            set_gateway(tx, context, row, body["external_gateway_info"])
    return reading.by_ids(tx, context, ROUTER, [row["id"] for row in rows])


def update(tx: Tx, context: Context, current: View, changes: View) -> View:
    """Change a router, its gateway and its routes.

    Raises: InvalidInput (``ha`` or ``distributed``), and as ``set_gateway`` and ``set_routes``.
    """
    plain = {name: value for name, value in changes.items() if name not in ("external_gateway_info", "routes")}
    if standard.update_row(tx, ROUTER, current, plain | _kinds(changes)):
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
    tx.execute(TAGS.delete().where(TAGS.c.resource_id == router_id))
    tx.execute(ROUTERS.delete().where(ROUTERS.c.id == router_id))
    tx.changed("router", router_id)


def _kinds(body: View) -> dict[str, bool]:
    """``ha`` and ``distributed``, which can only be false as yet; null means the default."""
    kinds = {"ha": False, "distributed": False}
    for name in kinds:
        if body.get(name):
            raise InvalidInput(error_message=f"routers with {name}=true are not available yet; leave it out")
    return kinds
