"""Interfaces of routers: attaching subnets and ports, and detaching them."""

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import BadRequest, Conflict, HTTPBadRequest, NotFound
from netloom.model.kinds import is_uuid
from netloom.model.networks import NETWORK
from netloom.model.owners import HA_ROUTER_INTERFACE, ROUTER_INTERFACE
from netloom.model.ports import PORT
from netloom.model.subnets import SUBNET
from netloom.rules import ports, reading, standard, trunk_ports
from netloom.rules.context import Context
from netloom.rules.lookup import require
from netloom.rules.router_ports import Attached, attached, check_overlap
from netloom.rules.router_scheduling import host_for
from netloom.store.database import Tx
from netloom.store.tables.network import FLOATINGIPS, IP_ALLOCATIONS, ROUTERS

View = dict[str, Any]
Body = Mapping[str, Any]


class PortInUse(Conflict):
    """The port belongs to something else."""

    message = (
        "Unable to complete operation on port {port_id} for network {net_id}. Port already has an attached device "
        "{device_id}."
    )


class RouterInterfaceNotFound(NotFound):
    """The router is not attached to the port."""

    message = "Router {router_id} does not have an interface with id {port_id}."


class RouterInterfaceNotFoundForSubnet(NotFound):
    """The router is not attached to the subnet."""

    message = "Router {router_id} has no interface on subnet {subnet_id}."


class SubnetMismatchForPort(BadRequest):
    """The port is not on the subnet."""

    message = "Subnet on port {port_id} does not match the requested subnet {subnet_id}."


class RouterInterfaceInUseByFloatingIP(Conflict):
    """Floating IPs reach their ports through the interface."""

    message = (
        "Router interface for subnet {subnet_id} on router {router_id} cannot be deleted, as it is required by one or "
        "more floating IPs."
    )


class RouterInterfaceInUseByRoute(Conflict):
    """Static routes lead through the interface."""

    message = (
        "Router interface for subnet {subnet_id} on router {router_id} cannot be deleted, as it is required by one or "
        "more routes."
    )


def add_router_interface(tx: Tx, context: Context, current: View, body: Body) -> View:
    """Attach a router to a subnet, at the subnet's gateway address, or to a port that nothing uses.

    Raises: HTTPBadRequest, SubnetNotFound, PortNotFound, PortInUse, PortInUseAsTrunkParent, BadRequest (the subnet has
    no gateway address, is attached, overlaps with one that is, or is foreign and not shared; the port has no address or
    several IPv4 subnets), and what ports raise (the gateway address is taken).
    """
    subnet_id, port_id = _targets(body)
    if (subnet_id is None) == (port_id is None):
        raise BadRequest(resource="router", msg="Either subnet_id or port_id must be specified, and not both")
    standard.revise(tx, ROUTERS, [current["id"]])  # first of all: it locks the router
    if subnet_id is not None:
        port = _attach_subnet(tx, context, current, subnet_id)
    else:
        port = _attach_port(tx, context, current, str(port_id))
    subnets = [subnet_id] if subnet_id is not None else [place["subnet_id"] for place in port["fixed_ips"]]
    return _answer(tx, current, port["id"], port["network_id"], subnets)


def remove_router_interface(tx: Tx, context: Context, current: View, body: Body) -> View:
    """Detach a router from a subnet or a port; the port is deleted, whoever made it.

    Raises: HTTPBadRequest, SubnetNotFound, RouterInterfaceNotFound, RouterInterfaceNotFoundForSubnet,
    SubnetMismatchForPort, RouterInterfaceInUseByFloatingIP, RouterInterfaceInUseByRoute.
    """
    subnet_id, port_id = _targets(body)
    if subnet_id is None and port_id is None:
        raise BadRequest(resource="router", msg="Either subnet_id or port_id must be specified")
    standard.revise(tx, ROUTERS, [current["id"]])
    present = attached(tx, current["id"])
    internal = [place for place in present if not place.external]
    mine = _of_port(current["id"], internal, port_id, subnet_id) if port_id else []
    if port_id is None and subnet_id is not None:
        mine = _of_subnet(tx, context, current["id"], internal, subnet_id)
    leaving = [place for place in mine if port_id is not None or place.subnet_id == subnet_id]
    gone = {place.subnet_id for place in leaving}
    _check_floating(tx, current["id"], gone)
    _check_routes(tx, current["id"], leaving)
    if staying := [place for place in mine if place not in leaving]:
        port = reading.by_ids(tx, context, PORT, [mine[0].port_id])[0]
        left = [{"subnet_id": place.subnet_id, "ip_address": place.ip_address} for place in staying]
        # An automatic address stays on a port unless it is told to go.
        drop = [{"subnet_id": place.subnet_id, "delete_subnet": True} for place in leaving]
        ports.update_internal(tx, context, port, {"fixed_ips": left + drop})
    else:
        ports.delete_internal(tx, context, [mine[0].port_id])
    subnets = [subnet_id] if port_id is None and subnet_id else [place.subnet_id for place in leaving]
    return _answer(tx, current, mine[0].port_id, mine[0].network_id, subnets)


def _targets(body: Body) -> tuple[str | None, str | None]:
    found = []
    for name in ("subnet_id", "port_id"):
        value = body.get(name) if isinstance(body, Mapping) else None
        if value is not None and not is_uuid(value):
            raise HTTPBadRequest(f"Invalid input for {name}. Reason: '{value}' is not a valid UUID.")
        found.append(value)
    return found[0], found[1]


def _attach_subnet(tx: Tx, context: Context, router: View, subnet_id: str) -> View:
    subnet = require(tx, context, SUBNET, subnet_id)
    _check_usable(tx, context, [subnet])
    if subnet["gateway_ip"] is None:
        raise BadRequest(resource="router", msg="Subnet for router interface must have a gateway IP")
    present = attached(tx, router["id"])
    check_overlap([(subnet_id, subnet["cidr"])], present)
    place = {"subnet_id": subnet_id, "ip_address": subnet["gateway_ip"]}
    if subnet["ip_version"] == 6 and (port_id := _port_for_ipv6(present, subnet["network_id"])):
        port = reading.by_ids(tx, context, PORT, [port_id])[0]
        return ports.update_internal(tx, context, port, {"fixed_ips": [*port["fixed_ips"], place]})
    body = {
        "network_id": subnet["network_id"],
        "project_id": router["project_id"],
        "device_id": router["id"],
        "device_owner": _owner(router),
        "fixed_ips": [place],
        "binding:host_id": host_for(tx, context, router),
    }
    return ports.create_internal(tx, context, [body])[0]


def _port_for_ipv6(present: Sequence[Attached], network_id: str) -> str | None:
    """The IPv6 subnets of a network share one port of the router."""
    shared = (
        place.port_id
        for place in present
        if place.network_id == network_id and place.ip_version == 6 and not place.external
    )
    return next(shared, None)


def _attach_port(tx: Tx, context: Context, router: View, port_id: str) -> View:
    port = require(tx, context, PORT, port_id, "fixed_ips", "security_groups", lock="change")
    if port["device_id"]:
        raise PortInUse(port_id=port_id, net_id=port["network_id"], device_id=port["device_id"])
    trunk_ports.check_free(tx, port_id)
    if not port["fixed_ips"]:
        raise BadRequest(resource="router", msg="Router port must have at least one fixed IP")
    subnets = reading.by_ids(tx, context, SUBNET, sorted({place["subnet_id"] for place in port["fixed_ips"]}))
    if sum(subnet["ip_version"] == 4 for subnet in subnets) > 1:
        raise BadRequest(resource="router", msg="Cannot have multiple IPv4 subnets on router port")
    _check_usable(tx, context, subnets)
    check_overlap([(subnet["id"], subnet["cidr"]) for subnet in subnets], attached(tx, router["id"]))
    owner = {"device_id": router["id"], "device_owner": _owner(router)}
    return ports.update_internal(tx, context, port, owner | {"binding:host_id": host_for(tx, context, router)})


def _owner(router: View) -> str:
    return HA_ROUTER_INTERFACE if router["ha"] else ROUTER_INTERFACE


def _check_usable(tx: Tx, context: Context, subnets: Sequence[View]) -> None:
    """Subnets that one may see, as those of external networks, are not yet subnets to attach to."""
    foreign = [subnet for subnet in subnets if subnet["project_id"] != context.project_id]
    if context.is_admin or not foreign:
        return
    network = require(tx, context, NETWORK, foreign[0]["network_id"])
    if not (network["shared"] or network["project_id"] == context.project_id):
        raise BadRequest(resource="router", msg=f"Subnet {foreign[0]['id']} is of another project and not shared")


def _of_port(router_id: str, internal: Sequence[Attached], port_id: str, subnet_id: str | None) -> list[Attached]:
    mine = [place for place in internal if place.port_id == port_id]
    if not mine:
        raise RouterInterfaceNotFound(router_id=router_id, port_id=port_id)
    if subnet_id is not None and subnet_id not in {place.subnet_id for place in mine}:
        raise SubnetMismatchForPort(port_id=port_id, subnet_id=subnet_id)
    return mine


def _of_subnet(
    tx: Tx, context: Context, router_id: str, internal: Sequence[Attached], subnet_id: str
) -> list[Attached]:
    ids = {place.port_id for place in internal if place.subnet_id == subnet_id}
    if not ids:
        require(tx, context, SUBNET, subnet_id)
        raise RouterInterfaceNotFoundForSubnet(router_id=router_id, subnet_id=subnet_id)
    return [place for place in internal if place.port_id in ids]


def _check_floating(tx: Tx, router_id: str, subnet_ids: Collection[str]) -> None:
    statement = (
        sa.select(IP_ALLOCATIONS.c.subnet_id)
        .join(
            FLOATINGIPS,
            sa.and_(
                FLOATINGIPS.c.port_id == IP_ALLOCATIONS.c.port_id,
                FLOATINGIPS.c.fixed_ip_address == IP_ALLOCATIONS.c.ip_address,
            ),
        )
        .where(FLOATINGIPS.c.router_id == router_id, IP_ALLOCATIONS.c.subnet_id.in_(subnet_ids))
    )
    if (subnet_id := tx.execute(statement.limit(1)).scalar()) is not None:
        raise RouterInterfaceInUseByFloatingIP(subnet_id=subnet_id, router_id=router_id)


def _check_routes(tx: Tx, router_id: str, leaving: Sequence[Attached]) -> None:
    routes = tx.execute(sa.select(ROUTERS.c.routes).where(ROUTERS.c.id == router_id)).scalar() or ()
    hops = [ipaddress.ip_address(route["nexthop"]) for route in routes]
    for place in leaving:
        if any(hop in ipaddress.ip_network(place.cidr) for hop in hops):
            raise RouterInterfaceInUseByRoute(subnet_id=place.subnet_id, router_id=router_id)


def _answer(tx: Tx, router: View, port_id: str, network_id: str, subnet_ids: list[str]) -> View:
    tx.changed("router", router["id"])
    tx.changed("dhcp", network_id)  # its subnets became, or cease to be, isolated
    return {
        "id": router["id"],
        "project_id": router["project_id"],
        "tenant_id": router["project_id"],
        "port_id": port_id,
        "network_id": network_id,
        "subnet_id": subnet_ids[0],
        "subnet_ids": subnet_ids,
    }
