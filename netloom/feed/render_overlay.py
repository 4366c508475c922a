"""What hosts know of each other: the ends of their tunnels, and who is where on overlay networks."""

import ipaddress
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from netloom.feed.facts import OVERLAYS, UNBOUND, filled, is_filled
from netloom.feed.fragments import Neighbour, TunnelPeer
from netloom.model.owners import HA_PORT, ROUTER_PORTS
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import AGENTS, IP_ALLOCATIONS, NETWORKS, PORTS, ROUTER_BINDINGS, ROUTERS

SWITCH_AGENT = "Open vSwitch agent"
Place = tuple[str, str]
"""Network and address."""


def peers(tx: Tx, hosts: Collection[str]) -> Mapping[str, TunnelPeer]:
    """Hosts with an end of tunnels, by name, as their agents tell it; 1 statement."""
    statement = sa.select(AGENTS.c.host, AGENTS.c.configurations).where(
        AGENTS.c.agent_type == SWITCH_AGENT, among(tx, AGENTS.c.host, hosts)
    )
    found = {}
    for host, configurations in tx.tuples(statement):
        told = configurations or {}
        if address := told.get("tunneling_ip"):
            found[host] = TunnelPeer(id=host, address=address, types=tuple(sorted(told.get("tunnel_types") or ())))
    return found


def neighbours(tx: Tx, ids: Collection[str]) -> Mapping[str, Neighbour]:
    """Ports of overlay networks that are somewhere; 3 statements, 5 when some have allowed address pairs."""
    rows = _ports(tx, ids)
    carrying = _carrying(tx, ids)
    addresses: dict[str, list[str]] = defaultdict(list)
    allocated = sa.select(IP_ALLOCATIONS.c.port_id, IP_ALLOCATIONS.c.ip_address).where(
        among(tx, IP_ALLOCATIONS.c.port_id, ids)
    )
    for port_id, address in tx.tuples(allocated.order_by(IP_ALLOCATIONS.c.position, IP_ALLOCATIONS.c.ip_address)):
        addresses[port_id].append(address)
    for port_id, own in _paired(tx, rows).items():
        addresses[port_id] += sorted(set(own) - set(addresses[port_id]))
    return {
        row.id: Neighbour(
            id=row.id,
            network_id=row.network_id,
            mac=row.mac_address,
            addresses=tuple(addresses[row.id]),
            hosts=_hosts(row, carrying),
        )
        for row in rows
    }


def _hosts(row: Any, carrying: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    shared = row.device_owner in ROUTER_PORTS and row.device_owner != HA_PORT
    return carrying.get(row.device_id, ()) if shared and row.device_id in carrying else (row.binding_host_id,)


def _ports(tx: Tx, ids: Collection[str]) -> list[Any]:
    """Rows of those ports that a host has plugged into an overlay network."""
    table = PORTS.c
    statement = (
        sa.select(
            table.id, table.network_id, table.mac_address, table.binding_host_id, table.device_owner, table.device_id,
            filled(table.allowed_address_pairs),
        )
        .join(NETWORKS, NETWORKS.c.id == table.network_id)
        .where(among(tx, table.id, ids), NETWORKS.c.provider_network_type.in_(OVERLAYS), *_plugged())
    )  # fmt: skip
    return list(tx.execute(statement).all())


def _plugged() -> tuple[sa.ColumnElement[bool], ...]:
    table = PORTS.c
    return sa.func.coalesce(table.binding_host_id, "") != "", table.binding_vif_type.not_in(UNBOUND)


def _carrying(tx: Tx, ids: Collection[str]) -> Mapping[str, tuple[str, ...]]:
    """The hosts of each highly available router that has one of the ports."""
    devices = sa.select(PORTS.c.device_id).where(among(tx, PORTS.c.id, ids), PORTS.c.device_owner.in_(ROUTER_PORTS))
    statement = (
        sa.select(ROUTER_BINDINGS.c.router_id, ROUTER_BINDINGS.c.host)
        .join(ROUTERS, ROUTERS.c.id == ROUTER_BINDINGS.c.router_id)
        .where(ROUTERS.c.ha_vr_id.is_not(None), ROUTERS.c.id.in_(devices))
        .order_by(ROUTER_BINDINGS.c.host)
    )
    hosts: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for router, host in tx.tuples(statement):
        hosts[router] += (host,)
    return dict(hosts)


def _paired(tx: Tx, rows: Collection[Any]) -> Mapping[str, list[str]]:
    """Addresses of pairs that a port alone may have, by port.

    An address that several may have, such as one that moves between instances by VRRP, is left to be learned.
    """
    paired = [row for row in rows if row.allowed_address_pairs]
    asked = {row.id: own for row in paired if (own := _single(row.allowed_address_pairs, row.mac_address))}
    if not asked:
        return {}
    networks = {row.id: row.network_id for row in rows if row.id in asked}
    claims = _claims(tx, set(networks.values()), {address for own in asked.values() for address in own})
    return {
        port_id: [address for address in own if not claims[networks[port_id], address] - {port_id}]
        for port_id, own in asked.items()
    }


def _claims(tx: Tx, networks: Collection[str], addresses: Collection[str]) -> Mapping[Place, set[str]]:
    """Ports that may have an address, as a fixed one or as that of a pair."""
    claims: dict[Place, set[str]] = defaultdict(set)
    table = PORTS.c
    pairs = sa.select(table.id, table.network_id, table.allowed_address_pairs).where(
        among(tx, table.network_id, networks),
        is_filled(table.allowed_address_pairs),
        *_plugged(),
    )
    for port_id, network, allowed in tx.tuples(pairs):
        for address in _single(allowed):
            claims[network, address].add(port_id)
    fixed = (
        sa.select(IP_ALLOCATIONS.c.port_id, IP_ALLOCATIONS.c.network_id, IP_ALLOCATIONS.c.ip_address)
        .join(PORTS, table.id == IP_ALLOCATIONS.c.port_id)
        .where(
            among(tx, IP_ALLOCATIONS.c.network_id, networks),
            among(tx, IP_ALLOCATIONS.c.ip_address, addresses),
            *_plugged(),
        )
    )
    for port_id, network, address in tx.tuples(fixed):
        claims[network, address].add(port_id)
    return claims


def _single(pairs: Iterable[Mapping[str, str]], mac: str | None = None) -> list[str]:
    """Single addresses among pairs (of ``mac``, if given), in canonical form."""
    wanted = (pair["ip_address"] for pair in pairs if mac in (None, pair["mac_address"]))
    networks = (ipaddress.ip_network(address, strict=False) for address in wanted)
    return sorted({str(network.network_address) for network in networks if network.num_addresses == 1})
