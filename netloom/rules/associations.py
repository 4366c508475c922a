"""Which port a floating IP leads to, and through which router."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import BadRequest, NotFound
from netloom.model.owners import ROUTER_INTERFACES
from netloom.model.ports import PORT
from netloom.rules import standard
from netloom.rules.context import Context
from netloom.rules.lookup import require
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import FLOATINGIPS, IP_ALLOCATIONS, PORTS, ROUTERS, SUBNETS

View = dict[str, Any]
NONE = {"port_id": None, "fixed_ip_address": None, "router_id": None}
"""Columns of a floating IP that leads nowhere."""


class ExternalGatewayForFloatingIPNotFound(NotFound):
    """No router leads from the port to the external network."""

    message = (
        "External network {external_network_id} is not reachable from subnet {subnet_id}. Therefore, cannot associate "
        "Port {port_id} with a Floating IP."
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a floating IP is to lead to."""

    project_id: str
    external_network_id: str
    port_id: str
    fixed_ip_address: str | None


def resolve(tx: Tx, context: Context, wanted: Wanted) -> View:
    """The columns of a floating IP that lead where it is wanted; 4 statements.

    Raises: PortNotFound, BadRequest (a port of another project, no or several IPv4 addresses, not its address),
    ExternalGatewayForFloatingIPNotFound.
    """
    port = require(tx, context, PORT, wanted.port_id, "fixed_ips", lock="change")
    if not context.is_admin and port["project_id"] != wanted.project_id:
        raise _refused(f"Port {port['id']} is associated with a different tenant than the floating IP")
    place = _place(port, wanted.fixed_ip_address)
    router_id = _router(tx, wanted.external_network_id, place)
    if router_id is None:
        raise ExternalGatewayForFloatingIPNotFound(
            external_network_id=wanted.external_network_id, subnet_id=place["subnet_id"], port_id=port["id"]
        )
    return {"port_id": port["id"], "fixed_ip_address": place["ip_address"], "router_id": router_id}


def release(tx: Tx, port_ids: Collection[str]) -> None:
    """Have no floating IP lead to these ports; for before they go."""
    _release(tx, among(tx, FLOATINGIPS.c.port_id, port_ids))


def release_addresses(tx: Tx, port_id: str, addresses: Collection[str]) -> None:
    """Have no floating IP lead to these addresses of a port; for before they leave it."""
    if addresses:
        _release(tx, sa.and_(FLOATINGIPS.c.port_id == port_id, FLOATINGIPS.c.fixed_ip_address.in_(addresses)))


def _release(tx: Tx, which: sa.ColumnElement[bool]) -> None:
    found = tx.rows(sa.select(FLOATINGIPS.c.id, FLOATINGIPS.c.router_id).where(which))
    if not found:
        return
    ids = [row["id"] for row in found]
    tx.execute(FLOATINGIPS.update().where(among(tx, FLOATINGIPS.c.id, ids)).values(**NONE, status="DOWN"))
    standard.revise(tx, FLOATINGIPS, ids)
    for row in found:
        if row["router_id"]:
            tx.changed("router", row["router_id"])


def _place(port: View, address: str | None) -> dict[str, str]:
    """The IPv4 address of a port to lead to."""
    places: Sequence[dict[str, str]] = [place for place in port["fixed_ips"] if ":" not in place["ip_address"]]
    if not places:
        raise _refused(f"Cannot add floating IP to port {port['id']} that has no fixed IPv4 addresses")
    if address is None and len(places) > 1:
        raise _refused(f"Port {port['id']} has multiple fixed IPv4 addresses. Must provide a specific IPv4 address")
    for place in places:
        if address in (None, place["ip_address"]):
            return place
    raise _refused(f"Port {port['id']} does not have fixed IP {address}")


def _router(tx: Tx, external_network_id: str, place: dict[str, str]) -> str | None:
    """A router between the subnet and the external network; the one at the subnet's gateway address comes first."""
    statement = (
        sa.select(ROUTERS.c.id)
        .join(PORTS, PORTS.c.device_id == ROUTERS.c.id)
        .join(IP_ALLOCATIONS, IP_ALLOCATIONS.c.port_id == PORTS.c.id)
        .join(SUBNETS, SUBNETS.c.id == IP_ALLOCATIONS.c.subnet_id)
        .where(
            ROUTERS.c.gateway_network_id == external_network_id,
            PORTS.c.device_owner.in_(ROUTER_INTERFACES),
            IP_ALLOCATIONS.c.subnet_id == place["subnet_id"],
        )
        .order_by(sa.case((IP_ALLOCATIONS.c.ip_address == SUBNETS.c.gateway_ip, 0), else_=1), ROUTERS.c.id)
        # Neither the gateway nor the interface can be taken away until the association is there to be seen.
        .with_for_update(of=ROUTERS, read=True)
    )
    found: str | None = tx.execute(statement.limit(1)).scalar()
    return found


def _refused(reason: str) -> BadRequest:
    return BadRequest(resource="floatingip", msg=reason)
