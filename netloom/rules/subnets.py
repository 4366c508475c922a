"""Subnets."""

import ipaddress
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import BadRequest, Conflict, InvalidInput
from netloom.model.networks import NETWORK
from netloom.model.subnets import SUBNET, SUBNETPOOL
from netloom.rules import addresses, dhcp_scheduling, mtu, quotas, reading, standard, subnet_values, subnetpools
from netloom.rules.context import Context
from netloom.rules.networks import OWN_PORTS
from netloom.rules.subnet_values import Network
from netloom.store.database import Tx
from netloom.store.tables.network import IP_ALLOCATIONS, NETWORKS, PORTS, SUBNETS, TAGS

Body = dict[str, Any]
PREFIX_DELEGATION = "prefix_delegation"
PLACEHOLDER = "::/64"
"""Prefix of a subnet whose prefix is to be delegated."""


class SubnetInUse(Conflict):
    """Ports have addresses of the subnet."""

    message = "Unable to complete operation on subnet {subnet_id}: {reason}."


class GatewayIpInUse(Conflict):
    """A router has the gateway's address."""

    message = "Current gateway ip {ip_address} already in use by port {port_id}. Unable to update."


class NetworkSubnetPoolAffinityError(BadRequest):
    """Subnets of one family and network come from one pool, or from none."""

    message = "Subnets hosted on the same network must be allocated from the same subnet pool."


class InvalidSubnetServiceType(BadRequest):
    """A service type that no port can have."""

    message = "Subnet service type {service_type} does not correspond to a valid device owner."


def create(tx: Tx, context: Context, bodies: list[Body]) -> list[Body]:
    """Make subnets, and see to the DHCP of their networks.

    Raises: NetworkNotFound, SubnetPoolNotFound, InvalidInput, NetworkMTUSubnetConflict, OverQuota, the errors of
    ``subnet_values`` and, for subnets from pools, of ``subnetpools``.
    """
    ids = sorted({body["network_id"] for body in bodies})
    # The networks' rows are locked: two requests must not make subnets that overlap.
    found = reading.by_ids(tx, context, NETWORK, ids, lock="change", scoped=True, fields=frozenset())
    networks = {network["id"]: network for network in found}
    for network_id in ids:
        if network_id not in networks:
            raise reading.missing(NETWORK, network_id)
    for project_id, count in sorted(Counter(body["project_id"] for body in bodies).items()):
        quotas.check(tx, context, "subnet", project_id, count)
    known: dict[str, list[Mapping[str, Any]]] = {key: list(rows) for key, rows in addresses.subnets_of(tx, ids).items()}
    prefixes = _prefixes(tx, context, bodies)
    rows = []
    for body, (network, pool_id, from_pool) in zip(bodies, prefixes, strict=True):
        _check_values(body, network, pool_id)
        decided = {"subnetpool_id": pool_id, "gateway_ip": _gateway(body, network, from_pool)}
        row = _row(tx, context, body, network, decided)
        _check_neighbours(row, network, known[row["network_id"]])
        mtu.check_subnets(networks[row["network_id"]]["mtu"], row["network_id"], {row["ip_version"]})
        known[row["network_id"]].append(row)
        rows.append(row)
    tx.execute(SUBNETS.insert(), rows)
    standard.revise(tx, NETWORKS, ids)
    for network_id in ids:
        tx.changed("network", network_id)
    dhcp_scheduling.refresh(tx, context, ids)
    _give_automatic(tx, [row for row in rows if addresses.automatic(row)])
    return reading.by_ids(tx, context, SUBNET, [row["id"] for row in rows])


def update(tx: Tx, context: Context, current: Body, changes: Body) -> Body:
    """Change a subnet; DHCP follows.

    Raises: InvalidInput, GatewayIpInUse, and the errors of ``subnet_values``.
    """
    network = ipaddress.ip_network(current["cidr"])
    changes = {name: [] if value is None and name in LISTS else value for name, value in changes.items()}
    subnet_values.check_services(context.settings, current["id"], network.version, changes)
    _check_service_types(changes.get("service_types") or ())
    gateway = changes.get("gateway_ip", current["gateway_ip"])
    pools = changes.get("allocation_pools") or current["allocation_pools"] or []
    if changes.get("allocation_pools"):
        subnet_values.check_pools(network, pools)
    if gateway != current["gateway_ip"]:
        _check_gateway_free(tx, current)
        if gateway is not None:
            subnet_values.check_gateway(network, gateway)
    if gateway != current["gateway_ip"] or "allocation_pools" in changes:
        subnet_values.check_gateway_outside(pools, gateway)
    if changes.get("enable_dhcp", True) is False and (current["ipv6_ra_mode"] or current["ipv6_address_mode"]):
        raise InvalidInput(error_message="enable_dhcp cannot be turned off while the IPv6 modes are set")
    if changes.get("enable_dhcp") and not current["enable_dhcp"]:
        subnet_values.check_cidr(network, network.version, True)
    changed = standard.update_row(tx, SUBNET, current, changes)
    if changed - {"name", "description"}:
        tx.changed("network", current["network_id"])
    if "gateway_ip" in changed:
        tx.changed("dhcp", current["network_id"])
        _tell_routers(tx, current["network_id"])
    if "enable_dhcp" in changed:
        dhcp_scheduling.refresh(tx, context, [current["network_id"]])
    return reading.by_ids(tx, context, SUBNET, [current["id"]])[0]


def delete(tx: Tx, context: Context, current: Body) -> None:
    """Remove a subnet. Addresses that follow from MACs, and those of Netloom's own ports, go with it.

    Raises SubnetInUse.
    """
    subnet_id, network_id = current["id"], current["network_id"]
    reading.by_ids(tx, context, NETWORK, [network_id], lock="change", fields=frozenset())
    tx.execute(sa.select(SUBNETS.c.id).where(SUBNETS.c.id == subnet_id).with_for_update())
    holders = tx.rows(
        sa.select(PORTS.c.id, PORTS.c.device_owner)
        .join(IP_ALLOCATIONS, IP_ALLOCATIONS.c.port_id == PORTS.c.id)
        .where(IP_ALLOCATIONS.c.subnet_id == subnet_id)
    )
    auto = addresses.automatic(current)
    for port in holders:
        routers = port["device_owner"] in addresses.ROUTER_OWNERS
        if port["device_owner"] not in OWN_PORTS and (routers or not auto):
            raise SubnetInUse(subnet_id=subnet_id, reason="One or more ports have an IP allocation from this subnet")
    tx.execute(IP_ALLOCATIONS.delete().where(IP_ALLOCATIONS.c.subnet_id == subnet_id))
    standard.revise(tx, PORTS, [port["id"] for port in holders])
    for port in holders:
        tx.changed("port", port["id"])
    tx.execute(TAGS.delete().where(TAGS.c.resource_id == subnet_id))
    tx.execute(SUBNETS.delete().where(SUBNETS.c.id == subnet_id))
    standard.revise(tx, NETWORKS, [network_id])
    tx.changed("network", network_id)
    dhcp_scheduling.refresh(tx, context, [network_id])


LISTS = ("allocation_pools", "dns_nameservers", "host_routes", "service_types")


def _check_values(body: Body, network: Network, pool_id: str | None) -> None:
    subnet_values.check_modes(body, network)
    if pool_id != PREFIX_DELEGATION:
        subnet_values.check_cidr(network, body["ip_version"], body["enable_dhcp"])
    _check_service_types(body.get("service_types") or ())


def _gateway(body: Body, network: Network, from_pool: bool) -> str | None:
    if "gateway_ip" not in body:
        return subnet_values.default_gateway(network, from_pool)
    gateway: str | None = body["gateway_ip"]
    if gateway is not None:
        subnet_values.check_gateway(network, gateway)
    return gateway


def _row(tx: Tx, context: Context, body: Body, network: Network, decided: Body) -> Body:
    """The row of a new subnet, with all that the request left open."""
    gateway = decided["gateway_ip"]
    pools = [{"start": pool["start"], "end": pool["end"]} for pool in body.get("allocation_pools") or ()]
    if pools:
        subnet_values.check_pools(network, pools)
        subnet_values.check_gateway_outside(pools, gateway)
    filled: Body = (
        {name: body.get(name) or [] for name in LISTS}
        | decided
        | {
            "allocation_pools": pools or subnet_values.default_pools(network, gateway),
            "cidr": str(network),
            "ipv6_ra_mode": body.get("ipv6_ra_mode"),
            "ipv6_address_mode": body.get("ipv6_address_mode"),
        }
    )
    row = standard.new_row(tx, SUBNET, body, **filled)
    subnet_values.check_services(context.settings, row["id"], network.version, row)
    return row


def _prefixes(tx: Tx, context: Context, bodies: Sequence[Body]) -> list[tuple[Network, str | None, bool]]:
    """Prefix and pool of each new subnet, and whether the pool chose the prefix."""
    defaults = subnetpools.defaults(tx, context) if any(body.get("use_default_subnetpool") for body in bodies) else {}
    found: list[tuple[Network, str | None, bool] | None] = []
    cuts: dict[str, list[tuple[int, subnetpools.Cut]]] = defaultdict(list)
    for index, body in enumerate(bodies):
        pool_id, cidr, length = body.get("subnetpool_id"), body.get("cidr"), body.get("prefixlen")
        if body.get("use_default_subnetpool") and not pool_id:
            if body["ip_version"] not in defaults:
                raise BadRequest(resource="subnets", msg=f"No default subnetpool found for IPv{body['ip_version']}")
            pool_id = defaults[body["ip_version"]]["id"]
        if cidr and length is not None:
            raise BadRequest(resource="subnets", msg="cidr and prefixlen must not be supplied together")
        if pool_id and not cidr and body.get("allocation_pools"):
            raise BadRequest(resource="subnets", msg="allocation_pools allowed only for specific subnet requests")
        if pool_id == PREFIX_DELEGATION:
            found.append((_delegated(body), pool_id, True))
        elif pool_id:
            cuts[pool_id].append((index, subnetpools.Cut(body["project_id"], cidr, length)))
            found.append(None)
        elif cidr:
            found.append((ipaddress.ip_network(cidr), None, False))
        else:
            raise BadRequest(resource="subnets", msg="a subnetpool must be specified in the absence of a cidr")
    _cut(tx, context, bodies, cuts, found)
    return [entry for entry in found if entry is not None]


def _cut(
    tx: Tx, context: Context, bodies: Sequence[Body], cuts: Mapping[str, list[tuple[int, subnetpools.Cut]]],
    found: list[tuple[Network, str | None, bool] | None],
) -> None:  # fmt: skip
    """Have the pools choose; their rows are locked, so that no two subnets of a pool overlap."""
    pools = reading.by_ids(tx, context, SUBNETPOOL, sorted(cuts), lock="change", scoped=True, fields=frozenset())
    by_id = {pool["id"]: pool for pool in pools}
    for pool_id, wanted in cuts.items():
        if pool_id not in by_id:
            raise reading.missing(SUBNETPOOL, pool_id)
        if any(bodies[index]["ip_version"] != by_id[pool_id]["ip_version"] for index, _ in wanted):
            raise BadRequest(resource="subnets", msg="Cannot allocate a subnet of another IP version than the pool's")
        networks = subnetpools.cut(tx, context, pool_id, [item for _, item in wanted], by_id[pool_id])
        for (index, item), network in zip(wanted, networks, strict=True):
            found[index] = (network, pool_id, item.cidr is None)


def _delegated(body: Body) -> Network:
    mode = body.get("ipv6_address_mode") or body.get("ipv6_ra_mode")
    if body["ip_version"] != 6 or mode not in addresses.AUTOMATIC:
        raise BadRequest(resource="subnets", msg="Prefix delegation is for IPv6 with SLAAC or stateless DHCPv6 only")
    return ipaddress.ip_network(body.get("cidr") or PLACEHOLDER)


def _check_neighbours(row: Body, network: Network, others: Sequence[Mapping[str, Any]]) -> None:
    """Check a new subnet against those of its network: no overlap, and the same pool for each family."""
    for other in others:
        if other["ip_version"] != row["ip_version"]:
            continue
        prefix = ipaddress.ip_network(other["cidr"])
        if row["subnetpool_id"] != PREFIX_DELEGATION and prefix.overlaps(network):
            raise InvalidInput(
                error_message=f"Requested subnet with cidr: {network} for network: {row['network_id']} overlaps with "
                f"another subnet"
            )
        if other["subnetpool_id"] != row["subnetpool_id"]:
            raise NetworkSubnetPoolAffinityError()


def _check_service_types(types: Sequence[str]) -> None:
    """Any service may own ports: only the form can be checked, ``service:what``, or ``service:`` for all of its."""
    for service_type in types:
        service, colon, _ = service_type.partition(":")
        if not service or not colon:
            raise InvalidSubnetServiceType(service_type=service_type)


def _check_gateway_free(tx: Tx, current: Body) -> None:
    held = (
        sa.select(PORTS.c.id)
        .join(IP_ALLOCATIONS, IP_ALLOCATIONS.c.port_id == PORTS.c.id)
        .where(
            IP_ALLOCATIONS.c.subnet_id == current["id"],
            IP_ALLOCATIONS.c.ip_address == current["gateway_ip"],
            PORTS.c.device_owner.in_(addresses.ROUTER_OWNERS),
        )
    )
    if (port := tx.row(held)) is not None:
        raise GatewayIpInUse(ip_address=current["gateway_ip"], port_id=port["id"])


def _give_automatic(tx: Tx, rows: Sequence[Body]) -> None:
    """Ports that are there already get their addresses of new subnets in which these follow from MACs."""
    if not rows:
        return
    by_network: dict[str, list[Body]] = defaultdict(list)
    for row in rows:
        by_network[row["network_id"]].append(row)
    held = sa.select(IP_ALLOCATIONS.c.port_id).where(IP_ALLOCATIONS.c.subnet_id.in_([row["id"] for row in rows]))
    next_position = sa.func.coalesce(sa.func.max(IP_ALLOCATIONS.c.position), -1) + 1
    ports = tx.rows(
        sa.select(PORTS.c.id, PORTS.c.network_id, PORTS.c.mac_address, next_position.label("position"))
        .outerjoin(IP_ALLOCATIONS, IP_ALLOCATIONS.c.port_id == PORTS.c.id)
        .where(
            PORTS.c.network_id.in_(list(by_network)), PORTS.c.id.not_in(held),
            PORTS.c.device_owner.not_in((*addresses.ROUTER_OWNERS, "network:floatingip")),
        )
        .group_by(PORTS.c.id)
    )  # fmt: skip
    if not ports:
        return
    start = max(port["position"] for port in ports)
    addresses.assign(
        tx,
        {port["id"]: addresses.automatic_wants(by_network[port["network_id"]], port["mac_address"], "")
         for port in ports},
        first_position=start,
    )  # fmt: skip
    standard.revise(tx, PORTS, [port["id"] for port in ports])
    for port in ports:
        tx.changed("port", port["id"])


def _tell_routers(tx: Tx, network_id: str) -> None:
    """Routers with a gateway on the network take their default route from its subnets."""
    statement = sa.select(PORTS.c.device_id).where(
        PORTS.c.network_id == network_id, PORTS.c.device_owner.in_(addresses.ROUTER_OWNERS)
    )
    for (router_id,) in tx.tuples(statement):
        tx.changed("router", router_id)
