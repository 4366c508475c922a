"""Routers as fragments, with their interfaces, gateway, floating IPs and routes."""

import ipaddress
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from netloom.feed.facts import OF_ROUTERS
from netloom.feed.fragments import FloatingIp, HaGroup, HaPort, HostRoute, Router, RouterPort
from netloom.model.owners import HA_PORT, ROUTER_GATEWAY
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import FLOATINGIPS, IP_ALLOCATIONS, NETWORKS, PORTS, ROUTERS, SUBNETS

Addresses = Mapping[str, Sequence[Any]]


def routers(tx: Tx, ids: Collection[str]) -> Mapping[str, Router]:
    """Routers; 4 statements."""
    ports = _ports(tx, ids)
    addresses = _addresses(tx, ids)
    floating = _floating_ips(tx, ids)
    found = tx.rows(sa.select(ROUTERS).where(among(tx, ROUTERS.c.id, ids)))
    return {row["id"]: _router(row, ports[row["id"]], addresses, floating[row["id"]]) for row in found}


def _of_routers(tx: Tx, ids: Collection[str]) -> sa.ColumnElement[bool]:
    return sa.and_(among(tx, PORTS.c.device_id, ids), PORTS.c.device_owner.in_(OF_ROUTERS))


def _ports(tx: Tx, ids: Collection[str]) -> Mapping[str, Sequence[Any]]:
    """Rows of the ports of each router, by id of the router."""
    ports: dict[str, list[Any]] = defaultdict(list)
    columns = (
        PORTS.c.id, PORTS.c.device_id, PORTS.c.device_owner, PORTS.c.network_id, PORTS.c.mac_address,
        PORTS.c.binding_host_id,
    )  # fmt: skip
    statement = sa.select(*columns, NETWORKS.c.mtu).join(NETWORKS, NETWORKS.c.id == PORTS.c.network_id)
    for row in tx.execute(statement.where(_of_routers(tx, ids)).order_by(PORTS.c.id)):
        ports[row.device_id].append(row)
    return ports


def _addresses(tx: Tx, ids: Collection[str]) -> Addresses:
    """Rows of the addresses of each router port, by id of the port."""
    addresses: dict[str, list[Any]] = defaultdict(list)
    statement = (
        sa.select(
            IP_ALLOCATIONS.c.port_id,
            IP_ALLOCATIONS.c.ip_address,
            IP_ALLOCATIONS.c.subnet_id,
            SUBNETS.c.cidr,
            SUBNETS.c.gateway_ip,
        )
        .join(SUBNETS, SUBNETS.c.id == IP_ALLOCATIONS.c.subnet_id)
        .join(PORTS, PORTS.c.id == IP_ALLOCATIONS.c.port_id)
        .where(_of_routers(tx, ids))
        .order_by(IP_ALLOCATIONS.c.position, IP_ALLOCATIONS.c.ip_address)
    )
    for row in tx.execute(statement):
        addresses[row.port_id].append(row)
    return addresses


def _floating_ips(tx: Tx, ids: Collection[str]) -> Mapping[str, Sequence[FloatingIp]]:
    """The associated floating IPs of each router, by id of the router."""
    floating: dict[str, list[FloatingIp]] = defaultdict(list)
    associated = sa.and_(among(tx, FLOATINGIPS.c.router_id, ids), FLOATINGIPS.c.port_id.is_not(None))
    for row in tx.execute(sa.select(FLOATINGIPS).where(associated).order_by(FLOATINGIPS.c.id)):
        floating[row.router_id].append(
            FloatingIp(row.id, row.floating_ip_address, row.fixed_ip_address or "", row.port_id)
        )
    return floating


def _router(
    row: Mapping[str, Any], ports: Sequence[Any], addresses: Addresses, floating: Sequence[FloatingIp]
) -> Router:
    gateway = next((port for port in ports if port.device_owner == ROUTER_GATEWAY), None)
    used = addresses.get(gateway.id, ()) if gateway is not None else ()
    return Router(
        id=row["id"],
        project_id=row["project_id"] or "",
        admin_state_up=row["admin_state_up"],
        enable_snat=row["enable_snat"],
        interfaces=tuple(
            _port(port, addresses) for port in ports if port.device_owner not in (ROUTER_GATEWAY, HA_PORT)
        ),
        gateway=_port(gateway, addresses) if gateway is not None else None,
        gateway_routes=tuple(sorted({address.gateway_ip for address in used if address.gateway_ip})),
        floating_ips=tuple(floating),
        routes=tuple(
            sorted(
                (HostRoute(route["destination"], route["nexthop"]) for route in row["routes"] or ()),
                key=msgspec.structs.astuple,
            )
        ),
        ha=_ha(row["ha_vr_id"], [port for port in ports if port.device_owner == HA_PORT], addresses),
    )


def _ha(vrid: int | None, ports: Sequence[Any], addresses: Addresses) -> HaGroup | None:
    """The group of a router that has one and has its ports."""
    placed = sorted((port.binding_host_id, port.id, port) for port in ports if port.binding_host_id)
    if vrid is None or not placed:
        return None
    return HaGroup(
        network_id=placed[0][2].network_id,
        mtu=placed[0][2].mtu or 0,
        vrid=vrid,
        ports=tuple(
            HaPort(host, port_id, port.mac_address, next(iter(_addresses_of(port, addresses)), ""))
            for host, port_id, port in placed
        ),
    )


def _port(port: Any, addresses: Addresses) -> RouterPort:
    return RouterPort(
        port_id=port.id,
        network_id=port.network_id,
        mac=port.mac_address,
        mtu=port.mtu or 0,
        addresses=_addresses_of(port, addresses),
        subnets=tuple(item.subnet_id for item in addresses.get(port.id, ())),
    )


def _addresses_of(port: Any, addresses: Addresses) -> tuple[str, ...]:
    """Addresses of a port, with prefix lengths."""
    used = addresses.get(port.id, ())
    return tuple(f"{item.ip_address}/{ipaddress.ip_network(item.cidr).prefixlen}" for item in used)
