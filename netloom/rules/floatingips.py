"""Floating IPs."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import BadRequest, Conflict
from netloom.model.networks import NETWORK
from netloom.model.owners import FLOATING_IP
from netloom.model.routers import FLOATINGIP
from netloom.rules import ports, quotas, reading, standard
from netloom.rules.addresses import InvalidIpForNetwork
from netloom.rules.associations import NONE, Wanted, resolve
from netloom.rules.context import Context
from netloom.rules.lookup import require
from netloom.store.database import Tx
from netloom.store.tables.network import FLOATINGIPS, SUBNETS, TAGS

View = dict[str, Any]


class FloatingIPPortAlreadyAssociated(Conflict):
    """The port's address has a floating IP of that external network."""

    message = (
        "Cannot associate floating IP {floating_ip_address} with port {port_id} using fixed IP {fixed_ip}, as that "
        "fixed IP already has a floating IP on external network {net_id}."
    )


def create(tx: Tx, context: Context, bodies: list[View]) -> list[View]:
    """Take addresses of external networks, and lead them to ports when asked to.

    Raises: NetworkNotFound, BadRequest (no external network, no IPv4 subnet, a foreign subnet), InvalidIpForNetwork,
    OverQuota, FloatingIPPortAlreadyAssociated, and what ``associations.resolve`` and ports raise (address taken, none
    left).
    """
    wanted = [_port(tx, context, body) for body in bodies]
    projects = [body["project_id"] for body in bodies]
    for project_id in sorted(set(projects)):
        quotas.check(tx, context, "floatingip", project_id, projects.count(project_id))
    rows = [standard.new_row(tx, FLOATINGIP, body, status="DOWN", **NONE) for body in bodies]
    made = ports.create_internal(
        tx, context, [port | {"device_id": row["id"]} for port, row in zip(wanted, rows, strict=True)]
    )
    for row, port in zip(rows, made, strict=True):
        addresses = [place["ip_address"] for place in port["fixed_ips"] if ":" not in place["ip_address"]]
        row |= {"floating_port_id": port["id"], "floating_ip_address": addresses[0]}
    tx.execute(FLOATINGIPS.insert(), rows)
    for row, body in zip(rows, bodies, strict=True):
        _associate(tx, context, row, body)
    return reading.by_ids(tx, context, FLOATINGIP, [row["id"] for row in rows])


def update(tx: Tx, context: Context, current: View, changes: View) -> View:
    """Lead a floating IP to another port, or nowhere (``port_id`` null).

    Without ``port_id`` it leads where it did; but no changes at all have meant nowhere since before floating IPs
    had anything else to change, and clients rely on it.
    Raises: BadRequest (an address without a port), FloatingIPPortAlreadyAssociated, as ``associations.resolve``.
    """
    changes = changes or {"port_id": None}
    standard.update_row(
        tx, FLOATINGIP, current, {k: v for k, v in changes.items() if k not in ("port_id", "fixed_ip_address")}
    )
    if "port_id" in changes or changes.get("fixed_ip_address"):
        _associate(tx, context, current, changes)
    return reading.by_ids(tx, context, FLOATINGIP, [current["id"]])[0]


def delete(tx: Tx, context: Context, current: View) -> None:
    """Give the address back."""
    columns = (FLOATINGIPS.c.floating_port_id, FLOATINGIPS.c.router_id)
    found = tx.row(sa.select(*columns).where(FLOATINGIPS.c.id == current["id"]).with_for_update())
    tx.execute(TAGS.delete().where(TAGS.c.resource_id == current["id"]))
    tx.execute(FLOATINGIPS.delete().where(FLOATINGIPS.c.id == current["id"]))
    if found is not None:
        ports.delete_internal(tx, context, [found["floating_port_id"]])
        _tell(tx, [found["router_id"]])


def _port(tx: Tx, context: Context, body: View) -> View:
    """The port that is to hold the address."""
    network_id, address = body["floating_network_id"], body.get("floating_ip_address")
    if not require(tx, context, NETWORK, network_id)["router:external"]:
        raise _refused(f"Network {network_id} is not a valid external network")
    cidrs = sa.select(SUBNETS.c.id, SUBNETS.c.cidr).where(SUBNETS.c.network_id == network_id, SUBNETS.c.ip_version == 4)
    subnets = {row.id: row.cidr for row in tx.execute(cidrs)}
    if not subnets:
        raise _refused(f"Network {network_id} does not contain any IPv4 subnet")
    if body.get("subnet_id") not in (None, *subnets):
        raise _refused(f"Subnet {body['subnet_id']} is no IPv4 subnet of network {network_id}")
    if address and not any(ipaddress.ip_address(address) in ipaddress.ip_network(cidr) for cidr in subnets.values()):
        raise InvalidIpForNetwork(ip_address=address)
    port: View = {"network_id": network_id, "project_id": "", "device_owner": FLOATING_IP}
    place = {"subnet_id": body.get("subnet_id"), "ip_address": address}
    if place := {name: value for name, value in place.items() if value}:
        port["fixed_ips"] = [place]
    return port


def _associate(tx: Tx, context: Context, floating: View, body: Mapping[str, Any]) -> None:
    """Lead a floating IP to the body's port; the database's unique constraint says whether another does already."""
    port_id, address = body.get("port_id"), body.get("fixed_ip_address")
    if address and not port_id:
        raise _refused("fixed_ip_address cannot be specified without a port_id")
    columns = dict(NONE)
    if port_id:
        wanted = Wanted(floating["project_id"], floating["floating_network_id"], port_id, address)
        columns = resolve(tx, context, wanted)
    if all(floating[name] == value for name, value in columns.items()):
        return
    try:
        standard.update_row(tx, FLOATINGIP, floating, columns | {"status": "DOWN"})
    except sa.exc.IntegrityError:
        raise FloatingIPPortAlreadyAssociated(
            floating_ip_address=floating["floating_ip_address"],
            port_id=port_id,
            fixed_ip=columns["fixed_ip_address"],
            net_id=floating["floating_network_id"],
        ) from None
    _tell(tx, [floating["router_id"], columns["router_id"]])


def _tell(tx: Tx, router_ids: Sequence[str | None]) -> None:
    """Their floating IPs are others now."""
    for router_id in router_ids:
        if router_id:
            tx.changed("router", router_id)


def _refused(reason: str) -> BadRequest:
    return BadRequest(resource="floatingip", msg=reason)
