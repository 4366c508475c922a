"""The external gateway of a router."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import BadRequest, Conflict
from netloom.model.networks import NETWORK
from netloom.model.owners import ROUTER_GATEWAY
from netloom.model.ports import PORT
from netloom.model.routers import ROUTER
from netloom.rules import ports, reading, standard
from netloom.rules.context import Context
from netloom.rules.lookup import require
from netloom.rules.router_ports import attached, check_overlap
from netloom.rules.router_scheduling import host_for
from netloom.store.database import Tx
from netloom.store.tables.network import FLOATINGIPS, ROUTERS, SUBNETS

View = dict[str, Any]


class RouterExternalGatewayInUseByFloatingIp(Conflict):
    """Floating IPs need the gateway."""

    message = (
        "Gateway cannot be updated for router {router_id}, since a gateway to external network {net_id} is required "
        "by one or more floating IPs."
    )


def set_gateway(tx: Tx, context: Context, router: View, info: Mapping[str, Any]) -> None:
    """Give a router a gateway, or change the one it has: its network, addresses, or whether it translates addresses.

    ``info`` is ``external_gateway_info`` as parsed. Without ``network_id`` the network stays.

    Raises: BadRequest (no or no external network, an address that is a subnet's gateway, overlapping subnets),
    NetworkNotFound, SubnetNotFound, IpAddressGenerationFailure, RouterExternalGatewayInUseByFloatingIp.
    """
    held = _held(tx, router["id"])
    network_id = info.get("network_id") or held["gateway_network_id"]
    if network_id is None:
        raise BadRequest(resource="router", msg="external_gateway_info needs a network_id")
    wanted = {
        "gateway_port_id": held["gateway_port_id"],
        "gateway_network_id": network_id,
        "enable_snat": info.get("enable_snat", context.settings.enable_snat_by_default),
    }
    places = info.get("external_fixed_ips")
    _check_places(tx, network_id, places or ())
    if network_id != held["gateway_network_id"]:
        _check_unused(tx, router["id"], held["gateway_network_id"])
        wanted["gateway_port_id"] = _create_port(tx, context, router, network_id, places)
    elif places is not None:
        _move(tx, context, router, held["gateway_port_id"], places)
    _store(tx, router, held, wanted)
    if held["gateway_port_id"] not in (None, wanted["gateway_port_id"]):
        ports.delete_internal(tx, context, [held["gateway_port_id"]])
    present = attached(tx, router["id"])
    external = [(place.subnet_id, place.cidr) for place in present if place.external]
    check_overlap(external, [place for place in present if not place.external])


def clear_gateway(tx: Tx, context: Context, router: View) -> None:
    """Take a router's gateway away, if it has one. Raises RouterExternalGatewayInUseByFloatingIp."""
    held = _held(tx, router["id"])
    if held["gateway_network_id"] is None:
        return
    _check_unused(tx, router["id"], held["gateway_network_id"])
    _store(tx, router, held, {"gateway_port_id": None, "gateway_network_id": None, "enable_snat": True})
    ports.delete_internal(tx, context, [held["gateway_port_id"]])


def _held(tx: Tx, router_id: str) -> dict[str, Any]:
    """What the router has; others that change the router wait until this transaction ends."""
    columns = (ROUTERS.c.gateway_port_id, ROUTERS.c.gateway_network_id, ROUTERS.c.enable_snat)
    statement = sa.select(*columns).where(ROUTERS.c.id == router_id).with_for_update(key_share=True)
    if (row := tx.row(statement)) is None:
        raise reading.missing(ROUTER, router_id)
    return row


def _store(tx: Tx, router: View, held: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    if wanted != held:
        tx.execute(ROUTERS.update().where(ROUTERS.c.id == router["id"]).values(**wanted))
        standard.revise(tx, ROUTERS, [router["id"]])
        tx.changed("router", router["id"])


def _move(tx: Tx, context: Context, router: View, port_id: str, places: Any) -> None:
    """Give the gateway's port other addresses."""
    port = reading.by_ids(tx, context, PORT, [port_id])[0]
    if ports.update_internal(tx, context, port, {"fixed_ips": places})["fixed_ips"] != port["fixed_ips"]:
        standard.revise(tx, ROUTERS, [router["id"]])
        tx.changed("router", router["id"])


def _create_port(tx: Tx, context: Context, router: View, network_id: str, places: Any) -> str:
    if not require(tx, context, NETWORK, network_id)["router:external"]:
        raise BadRequest(resource="router", msg=f"Network {network_id} is not an external network")
    body = {
        "network_id": network_id,
        "project_id": "",  # hidden from the project
        "device_id": router["id"],
        "device_owner": ROUTER_GATEWAY,
        "binding:host_id": host_for(tx, context, router),
    }
    if places:
        body["fixed_ips"] = places
    return str(ports.create_internal(tx, context, [body])[0]["id"])


def _check_places(tx: Tx, network_id: str, places: Any) -> None:
    addresses = {place["ip_address"] for place in places if "ip_address" in place}
    if not addresses:
        return
    statement = sa.select(SUBNETS.c.gateway_ip).where(
        SUBNETS.c.network_id == network_id, SUBNETS.c.gateway_ip.in_(addresses)
    )
    if (taken := tx.execute(statement).scalar()) is not None:
        raise BadRequest(resource="router", msg=f"External IP {taken} is the same as the gateway IP of its subnet")


def _check_unused(tx: Tx, router_id: str, network_id: str | None) -> None:
    if network_id is None:
        return
    statement = sa.select(FLOATINGIPS.c.id).where(
        FLOATINGIPS.c.router_id == router_id, FLOATINGIPS.c.floating_network_id == network_id
    )
    if tx.execute(statement.limit(1)).first() is not None:
        raise RouterExternalGatewayInUseByFloatingIp(router_id=router_id, net_id=network_id)
