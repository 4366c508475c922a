"""How many addresses each network has, and how many are taken."""

import ipaddress
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from netloom.model.networks import NETWORK
from netloom.rules.context import Context
from netloom.rules.query import Query, select_rows
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import IP_ALLOCATIONS, SUBNETS

View = dict[str, Any]
NAMES = {"network_id": "id", "network_name": "name"}
"""Attributes of a network under the names that they have here."""


def find(tx: Tx, context: Context, query: Query) -> list[View]:
    """The availability of each network; 3 statements. With ``ip_version`` only subnets of it count."""
    filters = {NAMES.get(name, name): values for name, values in query.filters.items() if name != "ip_version"}
    sorts = [(NAMES.get(name, name), way) for name, way in query.sorts]
    networks = select_rows(tx, context, NETWORK, replace(query, filters=filters, sorts=sorts))
    versions = query.filters.get("ip_version")
    subnets = _subnets(tx, [network["id"] for network in networks], versions)
    shown = [network for network in networks if versions is None or subnets[network["id"]]]
    return [_view(network, subnets[network["id"]]) for network in shown]


def _subnets(tx: Tx, network_ids: list[str], versions: Any) -> dict[str, list[View]]:
    held = SUBNETS.c
    used = sa.select(sa.func.count()).where(IP_ALLOCATIONS.c.subnet_id == held.id).correlate(SUBNETS).scalar_subquery()
    columns = (held.network_id, held.id, held.name, held.cidr, held.ip_version, held.allocation_pools)
    statement = sa.select(*columns, used.label("used")).where(among(tx, held.network_id, network_ids))
    if versions is not None:
        statement = statement.where(held.ip_version.in_([version for version in versions if isinstance(version, int)]))
    found: dict[str, list[View]] = defaultdict(list)
    for row in tx.rows(statement.order_by(held.created_at, held.id)):
        found[row["network_id"]].append(
            {
                "subnet_id": row["id"],
                "subnet_name": row["name"],
                "cidr": row["cidr"],
                "ip_version": row["ip_version"],
                "total_ips": _size(row),
                "used_ips": row["used"],
            }
        )
    return found


def _size(subnet: Mapping[str, Any]) -> int:
    """Size of the pools; without any, of the subnet's host addresses."""
    pools = subnet["allocation_pools"] or ()
    if pools:
        address = ipaddress.ip_address
        return sum(int(address(pool["end"])) - int(address(pool["start"])) + 1 for pool in pools)
    network = ipaddress.ip_network(subnet["cidr"])
    return network.num_addresses - (2 if network.version == 4 and network.prefixlen < 31 else 0)


def _view(network: Mapping[str, Any], subnets: list[View]) -> View:
    return {
        "network_id": network["id"],
        "network_name": network["name"],
        "project_id": network["project_id"],
        "tenant_id": network["project_id"],
        "total_ips": sum(subnet["total_ips"] for subnet in subnets),
        "used_ips": sum(subnet["used_ips"] for subnet in subnets),
        "subnet_ip_availability": subnets,
    }
