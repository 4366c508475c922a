"""The address of a load balancer, and the port that has it."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import Conflict
from netloom.model.fields import Resource
from netloom.model.networks import NETWORK
from netloom.model.owners import OCTAVIA
from netloom.model.ports import PORT
from netloom.model.security_groups import SECURITY_GROUP
from netloom.model.subnets import SUBNET
from netloom.rules import addresses, ports, reading
from netloom.rules.context import Context
from netloom.rules.load_balancing.errors import SubresourceNotFound, ValidationException, VIPAddressConflict
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import LB_BINDINGS

View = dict[str, Any]
ONE_OF = "VIP must contain one of: vip_port_id, vip_network_id, vip_subnet_id."


def take(tx: Tx, context: Context, balancer_id: str, body: Mapping[str, Any]) -> View:
    """The columns of a new load balancer's VIP; its port is made unless the request brings one along.

    Raises: ValidationException, SubresourceNotFound, VIPAddressConflict, errors of ``addresses``.
    """
    groups = body["vip_sg_ids"] or []
    for group in groups:
        named(tx, context, SECURITY_GROUP, group)
    if body.get("vip_port_id"):
        port, own = _given(tx, context, body), False
        changes: View = {"device_owner": OCTAVIA, "device_id": f"lb-{balancer_id}"}
        changes |= {"port_security_enabled": True, "security_groups": groups} if groups else {}
        port = ports.update_internal(tx, context, port, changes)
    else:
        port, own = make(tx, context, body, _place(tx, context, body), _names(balancer_id, body)), True
    first = _shown(port, body.get("vip_address"))
    return {
        "vip_port_id": port["id"],
        "vip_network_id": port["network_id"],
        "vip_subnet_id": first["subnet_id"],
        "vip_address": first["ip_address"],
        "own_port": own,
    }


def make(tx: Tx, context: Context, body: Mapping[str, Any], place: Mapping[str, Any], names: Mapping[str, Any]) -> View:
    """A port at a place (``network_id``, ``fixed_ips``) of the project of ``body``; its host comes later.

    Security groups are enforced on it once somebody puts it into one.
    """
    wanted: View = {"project_id": body["project_id"], "admin_state_up": True, **place, **names}
    try:
        return ports.create_internal(tx, context, [wanted])[0]
    except addresses.IpAddressAlreadyAllocated:
        raise VIPAddressConflict(address=body["vip_address"]) from None


def release(tx: Tx, context: Context, balancer: Mapping[str, Any]) -> None:
    """Give up the port of a load balancer that is gone already."""
    if balancer["own_port"]:
        ports.delete_internal(tx, context, [balancer["vip_port_id"]])
        return
    for port in reading.by_ids(tx, context, PORT, [balancer["vip_port_id"]]):
        ports.update_internal(tx, context, port, {"device_owner": "", "device_id": "", "binding:host_id": ""})


def protect(tx: Tx, context: Context, balancer: Mapping[str, Any], groups: Sequence[str]) -> None:
    """Put the ports of a load balancer into these security groups; into none: they are not filtered.

    Raises SubresourceNotFound.
    """
    for group in groups:
        named(tx, context, SECURITY_GROUP, group)
    changes: View = {"port_security_enabled": bool(groups), "security_groups": list(groups)}
    table = LB_BINDINGS.c
    elect = sa.select(table.port_id).where(table.loadbalancer_id == balancer["id"], table.port_id.is_not(None))
    electing = [key for (key,) in tx.tuples(elect)]
    pairs = [{"ip_address": balancer["vip_address"]}] if groups else []
    for port in reading.by_ids(tx, context, PORT, [balancer["vip_port_id"], *electing]):
        more = {"allowed_address_pairs": pairs} if port["id"] in electing else {}
        ports.update_internal(tx, context, port, changes | more)


def named(tx: Tx, context: Context, resource: Resource, object_id: str) -> View:
    """What a request names, when the caller may know of it. Raises SubresourceNotFound."""
    found = reading.by_ids(tx, context, resource, [object_id], scoped=True)
    if not found:
        raise SubresourceNotFound(resource=resource.label or resource.name.capitalize(), id=object_id)
    return found[0]


def _names(balancer_id: str, body: Mapping[str, Any]) -> View:
    secured = {"port_security_enabled": True, "security_groups": body["vip_sg_ids"]} if body["vip_sg_ids"] else {}
    names = {"name": f"octavia-lb-{balancer_id}", "device_owner": OCTAVIA, "device_id": f"lb-{balancer_id}"}
    return names | secured


def _given(tx: Tx, context: Context, body: Mapping[str, Any]) -> View:
    """The port that a request brings along."""
    port = named(tx, context, PORT, body["vip_port_id"])
    if not port["fixed_ips"]:
        raise ValidationException(detail=f"VIP port {port['id']} has no address")
    if port["device_owner"] or port["device_id"]:
        raise Conflict(f"Port {port['id']} is already used by another device.")
    for name, there in (("vip_network_id", port["network_id"]), ("vip_subnet_id", None)):
        wanted = body.get(name)
        if wanted and wanted not in ({there} if there else {each["subnet_id"] for each in port["fixed_ips"]}):
            raise ValidationException(detail=f"{name} {wanted} is not that of port {port['id']}")
    return port


def _shown(port: Mapping[str, Any], address: str | None) -> View:
    """Of the addresses of a port that which the VIP shows."""
    for place in port["fixed_ips"]:
        if address in (None, place["ip_address"]):
            return dict(place)
    raise ValidationException(detail=f"VIP address {address} is not one of port {port['id']}")


def _place(tx: Tx, context: Context, body: Mapping[str, Any]) -> View:
    """Where a new VIP is to be."""
    address = body.get("vip_address")
    if body.get("vip_subnet_id"):
        subnet: Mapping[str, Any] = named(tx, context, SUBNET, body["vip_subnet_id"])
        if body.get("vip_network_id") not in (None, subnet["network_id"]):
            raise ValidationException(detail="Supplied VIP subnet does not belong to the supplied network")
    elif body.get("vip_network_id"):
        network = named(tx, context, NETWORK, body["vip_network_id"])
        subnet = _of_network(tx, network, address)
    else:
        raise ValidationException(detail=ONE_OF)
    if address and ipaddress.ip_address(address) not in ipaddress.ip_network(subnet["cidr"]):
        raise ValidationException(detail="Supplied VIP address is not valid for the subnet")
    fixed = {"subnet_id": subnet["id"]} | ({"ip_address": address} if address else {})
    return {"network_id": subnet["network_id"], "fixed_ips": [fixed]}


def _of_network(tx: Tx, network: Mapping[str, Any], address: str | None) -> Mapping[str, Any]:
    """The subnet of a network for a VIP: that of the address, or the first IPv4 one."""
    known = addresses.subnets_of(tx, [network["id"]])[network["id"]]
    for subnet in sorted(known, key=lambda each: int(each["ip_version"])):
        if address is None or ipaddress.ip_address(address) in ipaddress.ip_network(subnet["cidr"]):
            return subnet
    raise ValidationException(detail=f"network {network['id']} has no subnet for the VIP")
