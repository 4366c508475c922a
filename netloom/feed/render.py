"""Fragments from rows: for any number of names, the same few statements per kind."""

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec
import sqlalchemy as sa

from netloom.feed.facts import UNBOUND, filled, is_filled
from netloom.feed.fragments import (
    AddressPair,
    AddressSet,
    DhcpNetwork,
    DhcpOption,
    DhcpServer,
    FixedIp,
    Fragment,
    HostRoute,
    Network,
    Port,
    SecurityGroup,
    SecurityRule,
    Subnet,
)
from netloom.feed.render_loadbalancer import load_balancers
from netloom.feed.render_overlay import neighbours, peers
from netloom.feed.render_router import routers
from netloom.feed.render_server import servers
from netloom.feed.render_trunk import trunks
from netloom.model.owners import DHCP, ROUTER_INTERFACES, SERVICE_PREFIX
from netloom.model.security_groups import protocol_number
from netloom.settings.network import NetworkSettings
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import (
    ADDRESS_GROUPS,
    DHCP_BINDINGS,
    IP_ALLOCATIONS,
    NETWORKS,
    PORT_SECURITY_GROUPS,
    PORTS,
    SECURITY_GROUP_RULES,
    SECURITY_GROUPS,
    SUBNETS,
)

PORT_COLUMNS = (
    "id", "network_id", "mac_address", "project_id", "device_id", "device_owner", "binding_host_id",
    "binding_vif_type", "binding_vnic_type", "admin_state_up", "port_security_enabled",
    "wirings",
)  # fmt: skip
"""Those that a port's fragment follows from: others would only take time to read."""
Rendered = Mapping[str, Fragment]
_encoder = msgspec.msgpack.Encoder()


def encode(fragment: Fragment) -> bytes:
    """The bytes of a fragment: the same for the same contents, on any server."""
    return _encoder.encode(fragment)


def version(encoded: bytes) -> str:
    """Digest of an encoded fragment, 16 hex digits."""
    return blake2b(encoded, digest_size=8).hexdigest()


def render(
    tx: Tx,
    names: Collection[str],
    settings: NetworkSettings = NetworkSettings(),  # noqa: B008 - immutable
) -> dict[str, Fragment | None]:
    """The fragments of these names (``kind/id``); None for what is gone or of no known kind."""
    wanted: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        kind, _, object_id = name.partition("/")
        wanted[kind].append(object_id)
    result: dict[str, Fragment | None] = dict.fromkeys(names)
    for kind, ids in wanted.items():
        found = dhcp_networks(tx, ids, settings) if kind == "dhcp" else _RENDERERS.get(kind, _nothing)(tx, ids)
        result |= {f"{kind}/{object_id}": fragment for object_id, fragment in found.items()}
    return result


def ports(tx: Tx, ids: Collection[str]) -> Rendered:
    """Ports; 3 statements."""
    addresses: dict[str, list[FixedIp]] = defaultdict(list)
    place = IP_ALLOCATIONS.c
    allocations = sa.select(place.port_id, place.subnet_id, place.ip_address).where(among(tx, place.port_id, ids))
    for port_id, subnet_id, address in tx.tuples(allocations.order_by(place.position, place.ip_address)):
        addresses[port_id].append(FixedIp(subnet_id, address))
    groups: dict[str, list[str]] = defaultdict(list)
    member = PORT_SECURITY_GROUPS.c
    memberships = sa.select(member.port_id, member.security_group_id).where(among(tx, member.port_id, ids))
    for port_id, group_id in tx.tuples(memberships):
        groups[port_id].append(group_id)
    columns: list[sa.ColumnElement[Any]] = [PORTS.c[name] for name in PORT_COLUMNS]
    columns += [filled(PORTS.c.allowed_address_pairs), filled(PORTS.c.extra_dhcp_opts)]
    rows = tx.execute(sa.select(*columns).where(among(tx, PORTS.c.id, ids))).all()
    return {row.id: _port(row, addresses.get(row.id, ()), groups.get(row.id, ())) for row in rows}


def networks(tx: Tx, ids: Collection[str]) -> Rendered:
    """Networks with their subnets; 2 statements."""
    subnets: dict[str, list[Subnet]] = defaultdict(list)
    for row in tx.rows(sa.select(SUBNETS).where(among(tx, SUBNETS.c.network_id, ids)).order_by(SUBNETS.c.id)):
        subnets[row["network_id"]].append(_subnet(row))
    return {
        row.id: Network(
            id=row.id,
            project_id=row.project_id or "",
            mtu=row.mtu or 0,
            network_type=row.provider_network_type or "",
            physical_network=row.provider_physical_network or "",
            segmentation_id=row.provider_segmentation_id or 0,
            admin_state_up=row.admin_state_up,
            external=bool(row.router_external),
            subnets=tuple(subnets[row.id]),
        )
        for row in tx.execute(sa.select(NETWORKS).where(among(tx, NETWORKS.c.id, ids)))
    }


def security_groups(tx: Tx, ids: Collection[str]) -> Rendered:
    """Security groups with their rules, normalised and each once; 2 statements."""
    rules: dict[str, set[SecurityRule]] = defaultdict(set)
    for row in tx.rows(sa.select(SECURITY_GROUP_RULES).where(among(tx, SECURITY_GROUP_RULES.c.security_group_id, ids))):
        rules[row["security_group_id"]].add(_rule(row))
    return {
        row.id: SecurityGroup(
            id=row.id, stateful=bool(row.stateful), rules=tuple(sorted(rules[row.id], key=msgspec.structs.astuple))
        )
        for row in tx.execute(sa.select(SECURITY_GROUPS).where(among(tx, SECURITY_GROUPS.c.id, ids)))
    }


def address_sets(tx: Tx, ids: Collection[str]) -> Rendered:
    """What address groups, and security groups as remotes, stand for: prefixes; 4 statements.

    A security group stands for the fixed addresses and the allowed address pairs of its member ports.
    """
    prefixes: dict[str, set[str]] = {
        row.id: set() for row in tx.execute(sa.select(SECURITY_GROUPS.c.id).where(among(tx, SECURITY_GROUPS.c.id, ids)))
    }
    for row in tx.execute(sa.select(ADDRESS_GROUPS).where(among(tx, ADDRESS_GROUPS.c.id, ids))):
        prefixes[row.id] = set(map(_prefix, row.addresses or ()))
    members = PORT_SECURITY_GROUPS
    wanted = among(tx, members.c.security_group_id, ids)
    fixed = sa.select(members.c.security_group_id, IP_ALLOCATIONS.c.ip_address).join(
        IP_ALLOCATIONS, IP_ALLOCATIONS.c.port_id == members.c.port_id
    )
    for row in tx.execute(fixed.where(wanted)):
        prefixes[row.security_group_id].add(f"{row.ip_address}/{128 if ':' in row.ip_address else 32}")
    pairs = sa.select(members.c.security_group_id, PORTS.c.allowed_address_pairs).join(
        PORTS, PORTS.c.id == members.c.port_id
    )
    for row in tx.execute(pairs.where(wanted, is_filled(PORTS.c.allowed_address_pairs))):
        prefixes[row.security_group_id].update(_prefix(pair["ip_address"]) for pair in row.allowed_address_pairs or ())
    return {key: AddressSet(id=key, prefixes=tuple(sorted(found))) for key, found in prefixes.items()}


def dhcp_networks(tx: Tx, ids: Collection[str], settings: NetworkSettings) -> Rendered:
    """Networks that are served by DHCP and have their DHCP port; 3 statements."""
    on_networks = among(tx, PORTS.c.network_id, ids)
    served = (
        sa.select(PORTS.c.network_id, DHCP_BINDINGS.c.host, sa.func.min(PORTS.c.id).label("port_id"))
        .join(DHCP_BINDINGS, DHCP_BINDINGS.c.network_id == PORTS.c.network_id)
        .where(on_networks, PORTS.c.device_owner == DHCP, PORTS.c.binding_host_id == DHCP_BINDINGS.c.host)
        .group_by(PORTS.c.network_id, DHCP_BINDINGS.c.host)
        .order_by(DHCP_BINDINGS.c.host)
    )
    servers: dict[str, list[DhcpServer]] = defaultdict(list)
    for row in tx.execute(served):
        servers[row.network_id].append(DhcpServer(row.host, row.port_id))
    gateways = (
        sa.select(IP_ALLOCATIONS.c.subnet_id, IP_ALLOCATIONS.c.ip_address)
        .join(PORTS, PORTS.c.id == IP_ALLOCATIONS.c.port_id)
        .where(on_networks, PORTS.c.device_owner.in_(ROUTER_INTERFACES))
    )
    routed = {(row.subnet_id, row.ip_address) for row in tx.execute(gateways)}
    isolated: dict[str, list[str]] = defaultdict(list)
    subnets = sa.select(SUBNETS.c.id, SUBNETS.c.network_id, SUBNETS.c.gateway_ip)
    for row in tx.execute(subnets.where(among(tx, SUBNETS.c.network_id, ids)).order_by(SUBNETS.c.id)):
        if (row.id, row.gateway_ip) not in routed:
            isolated[row.network_id].append(row.id)
    return {
        network_id: DhcpNetwork(
            id=network_id,
            servers=tuple(those),
            isolated_subnets=tuple(isolated[network_id]),
            dns_domain=settings.dns_domain,
            lease_seconds=settings.dhcp_lease_duration,
        )
        for network_id, those in servers.items()
    }


def _nothing(_tx: Tx, _ids: Collection[str]) -> Rendered:
    return {}


_RENDERERS: Mapping[str, Callable[[Tx, Collection[str]], Rendered]] = {
    "port": ports,
    "network": networks,
    "security_group": security_groups,
    "addresses": address_sets,
    "router": routers,
    "server": servers,
    "peer": peers,
    "neighbour": neighbours,
    "trunk": trunks,
    "loadbalancer": load_balancers,
}


def _port(row: Any, addresses: Iterable[FixedIp], groups: Iterable[str]) -> Port:
    pairs = {AddressPair(pair["ip_address"], pair["mac_address"]) for pair in row.allowed_address_pairs or ()}
    options = {
        DhcpOption(option["opt_name"], option["opt_value"] or "", int(option.get("ip_version") or 4))
        for option in row.extra_dhcp_opts or ()
    }
    owner = row.device_owner or ""
    return Port(
        id=row.id,
        network_id=row.network_id,
        mac=row.mac_address,
        project_id=row.project_id or "",
        device_id=row.device_id or "",
        device_owner=owner,
        host="" if row.binding_vif_type in UNBOUND else row.binding_host_id or "",
        admin_state_up=row.admin_state_up,
        # Routers and DHCP servers answer for others, also on a port that a user made.
        port_security=bool(row.port_security_enabled) and not owner.startswith(SERVICE_PREFIX),
        fixed_ips=tuple(addresses),
        address_pairs=tuple(sorted(pairs, key=msgspec.structs.astuple)),
        security_groups=tuple(sorted(groups)),
        dhcp_options=tuple(sorted(options, key=msgspec.structs.astuple)),
        vnic_type=row.binding_vnic_type or "normal",
        wirings=row.wirings,
    )


def _subnet(row: Mapping[str, Any]) -> Subnet:
    return Subnet(
        id=row["id"],
        cidr=row["cidr"],
        ip_version=row["ip_version"],
        gateway=row["gateway_ip"] or "",
        enable_dhcp=row["enable_dhcp"],
        dns_nameservers=tuple(row["dns_nameservers"] or ()),  # their order counts
        host_routes=tuple(
            sorted(
                (HostRoute(route["destination"], route["nexthop"]) for route in row["host_routes"] or ()),
                key=msgspec.structs.astuple,
            )
        ),
        ra_mode=row["ipv6_ra_mode"] or "",
        address_mode=row["ipv6_address_mode"] or "",
        pools=tuple(sorted((pool["start"], pool["end"]) for pool in row["allocation_pools"] or ())),
    )


def _rule(row: Mapping[str, Any]) -> SecurityRule:
    prefix = row["normalized_cidr"] or ""
    remote = row["remote_group_id"] or row["remote_address_group_id"]
    return SecurityRule(
        direction=row["direction"],
        ip_version=6 if row["ethertype"] == "IPv6" else 4,
        protocol=protocol_number(row["protocol"]),
        port_min=-1 if row["port_range_min"] is None else row["port_range_min"],
        port_max=-1 if row["port_range_max"] is None else row["port_range_max"],
        remote_prefix="" if prefix.endswith("/0") else prefix,
        remote_set=f"addresses/{remote}" if remote else "",
    )


def _prefix(address: str) -> str:
    """An address or prefix in canonical form, with its length."""
    return str(ipaddress.ip_network(address, strict=False))
