"""Addresses of ports: which a port is to have, and how it comes by them.

A port's addresses are decided as wants (an address, or any address of one of some subnets); ``assign`` serves
the wants of any number of ports with a constant number of statements.
"""

import ipaddress
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import BadRequest, Conflict, InvalidInput
from netloom.model.subnets import SUBNET
from netloom.rules.query import missing
from netloom.rules.subnet_values import FARTHEST, Network, distance
from netloom.store.allocation import Attempt, Space, insert_new, take
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import IP_ALLOCATIONS, SUBNETS

SubnetRow = Mapping[str, Any]
AUTOMATIC = ("slaac", "dhcpv6-stateless")
"""IPv6 address modes in which a port's address follows from its MAC."""
ROUTER_OWNERS = (
    "network:router_interface", "network:router_interface_distributed", "network:ha_router_replicated_interface",
    "network:router_gateway", "network:router_centralized_snat",
)  # fmt: skip
"""Owners of the ports of routers; a router may have any address of a subnet."""


class IpAddressGenerationFailure(Conflict):
    """No address is free."""

    message = "No more IP addresses available on network {net_id}."


class IpAddressGenerationFailureNoMatchingSubnet(IpAddressGenerationFailure):
    """No subnet of the network is for ports of this owner."""

    message = "No valid service subnet for the given device owner, network {network_id}, service type {service_type}."


class IpAddressAlreadyAllocated(Conflict):
    """Another port has the address."""

    message = "IP address {ip} already allocated in subnet {subnet_id}."


class InvalidIpForNetwork(BadRequest):
    """The address is in none of the network's subnets."""

    message = "IP address {ip_address} is not a valid IP for any of the subnets on the specified network."


class InvalidIpForSubnet(BadRequest):
    """The address is not one that a port of the subnet can have."""

    message = "IP address {ip_address} is not a valid IP for the specified subnet."


class AllocationOnAutoAddressSubnet(BadRequest):
    """The subnet's addresses follow from the MACs."""

    message = (
        "IPv6 address {ip} cannot be directly assigned to a port on subnet {subnet_id} as the subnet is configured "
        "for automatic addresses."
    )


@dataclass(frozen=True, slots=True)
class Want:
    """An address that a port is to have: ``address``, or the lowest free one of the first subnet with room."""

    subnets: tuple[SubnetRow, ...]
    address: str = ""


def subnets_of(tx: Tx, network_ids: Collection[str]) -> dict[str, list[SubnetRow]]:
    """Rows of the subnets of each network, the oldest first; they stay until the transaction ends. 1 statement."""
    found: dict[str, list[SubnetRow]] = {network_id: [] for network_id in network_ids}
    statement = sa.select(SUBNETS).where(among(tx, SUBNETS.c.network_id, network_ids))
    ordered = statement.order_by(SUBNETS.c.created_at, SUBNETS.c.id).with_for_update(read=True, key_share=True)
    for row in tx.rows(ordered):
        found[row["network_id"]].append(row)
    return found


def automatic(subnet: SubnetRow) -> bool:
    """Whether ports of the subnet get their address from their MAC."""
    return subnet["ipv6_address_mode"] in AUTOMATIC


def eui64(cidr: str, mac: str) -> str:
    """The address of a MAC in an IPv6 /64 (RFC 4291, appendix A)."""
    octets = bytearray.fromhex(mac.replace(":", ""))
    octets[0] ^= 2
    interface = octets[:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Network(cidr)[int.from_bytes(interface, "big")])


def default_wants(network_id: str, subnets: Sequence[SubnetRow], mac: str, owner: str) -> list[Want]:
    """What a port gets that asks for nothing: an IPv4 address, an IPv6 one, and one of each automatic subnet.

    Raises IpAddressGenerationFailureNoMatchingSubnet when all subnets are for other owners.
    """
    eligible = _eligible(subnets, owner)
    if subnets and not eligible:
        raise IpAddressGenerationFailureNoMatchingSubnet(network_id=network_id, service_type=owner)
    wants = []
    for version in (4, 6):
        plain = tuple(subnet for subnet in eligible if subnet["ip_version"] == version and _from_pools(subnet))
        if plain:
            wants.append(Want(plain))
    return wants + automatic_wants(eligible, mac, owner)


def automatic_wants(subnets: Sequence[SubnetRow], mac: str, owner: str) -> list[Want]:
    """The addresses that follow from a MAC; routers' ports have none."""
    if owner in ROUTER_OWNERS:
        return []
    return [Want((subnet,), eui64(subnet["cidr"], mac)) for subnet in subnets if automatic(subnet)]


def asked_wants(
    fixed_ips: Sequence[Mapping[str, Any]],
    subnets: Sequence[SubnetRow],
    mac: str,
    owner: str,
    held: Collection[str] = (),
) -> list[Want]:
    """What ``fixed_ips`` of a request asks for. ``held``: addresses that the port has, and may keep.

    Raises: InvalidInput, SubnetNotFound, InvalidIpForNetwork, InvalidIpForSubnet, AllocationOnAutoAddressSubnet.
    """  # fmt: skip
    wants = [_asked(entry, subnets, mac, owner, held) for entry in fixed_ips]
    named = [want.address for want in wants if want.address]
    if len(set(named)) != len(named):
        raise InvalidInput(error_message=f"Duplicate IP address in fixed_ips: {sorted(named)}")
    return wants


def assign(tx: Tx, wants: Mapping[str, Sequence[Want]], first_position: int = 0) -> dict[str, list[tuple[str, str]]]:
    """Give ports (by id) their addresses; pairs of subnet id and address, in the order of the wants.

    3 statements at most unless others take the same addresses at the same time.
    Raises IpAddressAlreadyAllocated, IpAddressGenerationFailure.
    """
    flat = [(port_id, position, want) for port_id, asked in wants.items() for position, want in enumerate(asked)]
    given: list[tuple[str, str] | None] = [
        (want.subnets[0]["id"], want.address) if want.address else None for _, _, want in flat
    ]
    rows = [
        _row(port_id, first_position + position, want.subnets[0], want.address)
        for port_id, position, want in flat
        if want.address
    ]
    _insert_named(tx, rows)
    free = [index for index, place in enumerate(given) if place is None]
    by_id = {subnet["id"]: subnet for index in free for subnet in flat[index][2].subnets}

    def insert(attempts: list[Attempt]) -> set[int]:
        chosen = {}
        for index, space, number in attempts:
            port_id, position, _ = flat[free[index]]
            row = _row(port_id, first_position + position, by_id[space.key], _address(by_id[space.key], number))
            chosen[(row["subnet_id"], row["ip_address"])] = (index, row)
        stored = insert_new(tx, IP_ALLOCATIONS, [row for _, row in chosen.values()], "subnet_id", "ip_address")
        return {chosen[(key[0], key[1])][0] for key in stored}

    spaces = {key: _space(subnet) for key, subnet in by_id.items()}
    places = take(tx, [[spaces[subnet["id"]] for subnet in flat[index][2].subnets] for index in free], insert)
    for index, place in zip(free, places, strict=True):
        if place is None:
            raise IpAddressGenerationFailure(net_id=flat[index][2].subnets[0]["network_id"])
        given[index] = (place[0].key, _address(by_id[place[0].key], place[1]))
    result: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for (port_id, _, _), placed in zip(flat, given, strict=True):
        if placed is not None:
            result[port_id].append(placed)
    return result


def release(tx: Tx, port_id: str, addresses: Collection[tuple[str, str]]) -> None:
    """Free addresses (pairs of subnet id and address) of a port."""
    if addresses:
        table = IP_ALLOCATIONS.c
        pairs = sa.tuple_(table.subnet_id, table.ip_address).in_(list(addresses))
        tx.execute(IP_ALLOCATIONS.delete().where(table.port_id == port_id, pairs))


def _eligible(subnets: Sequence[SubnetRow], owner: str) -> list[SubnetRow]:
    """Subnets for this owner: of each family those that name it, else those that name nobody."""
    found: list[SubnetRow] = []
    for version in (4, 6):
        family = [subnet for subnet in subnets if subnet["ip_version"] == version]
        named = [subnet for subnet in family if any(_serves(kind, owner) for kind in subnet["service_types"] or ())]
        found += named or [subnet for subnet in family if not subnet["service_types"]]
    return found


def _serves(service_type: str, owner: str) -> bool:
    """Whether a service type is an owner's: the same, or ``service:`` for all owners of that service."""
    return owner.startswith(service_type) if service_type.endswith(":") else owner == service_type


def _from_pools(subnet: SubnetRow) -> bool:
    """Whether we give out the subnet's addresses: not when they follow from MACs or from a router outside."""
    return not automatic(subnet) and not (subnet["ipv6_ra_mode"] in AUTOMATIC and not subnet["ipv6_address_mode"])


def _asked(entry: Mapping[str, Any], subnets: Sequence[SubnetRow], mac: str, owner: str, held: Collection[str]) -> Want:
    subnet_id, address = entry.get("subnet_id"), entry.get("ip_address")
    if not subnet_id and not address:
        raise InvalidInput(error_message="IP allocation requires subnet_id or ip_address")
    if not subnet_id:
        subnet = _containing(subnets, str(address))
    else:
        known = [candidate for candidate in subnets if candidate["id"] == subnet_id]
        if not known:
            raise missing(SUBNET, str(subnet_id))
        subnet = known[0]
    if not address:
        auto = automatic(subnet) and owner not in ROUTER_OWNERS
        return Want((subnet,), eui64(subnet["cidr"], mac) if auto else "")
    if address not in held:
        _check_address(subnet, str(address), mac, owner)
    return Want((subnet,), str(address))


def _containing(subnets: Sequence[SubnetRow], address: str) -> SubnetRow:
    for subnet in subnets:
        if ipaddress.ip_address(address) in ipaddress.ip_network(subnet["cidr"]):
            return subnet
    raise InvalidIpForNetwork(ip_address=address)


def _check_address(subnet: SubnetRow, address: str, mac: str, owner: str) -> None:
    network, ip = ipaddress.ip_network(subnet["cidr"]), ipaddress.ip_address(address)
    ends = (network.network_address, network.broadcast_address) if network.prefixlen < 31 else ()
    if ip not in network or (network.version == 4 and ip in ends):
        raise InvalidIpForSubnet(ip_address=address)
    if automatic(subnet) and owner not in ROUTER_OWNERS and address != eui64(subnet["cidr"], mac):
        raise AllocationOnAutoAddressSubnet(ip=address, subnet_id=subnet["id"])


def _insert_named(tx: Tx, rows: list[dict[str, Any]]) -> None:
    keys = Counter((row["subnet_id"], row["ip_address"]) for row in rows)
    stored = insert_new(tx, IP_ALLOCATIONS, sorted(rows, key=lambda row: row["ip_address"]), "subnet_id", "ip_address")
    for (subnet_id, address), count in keys.items():
        if (subnet_id, address) not in stored or count > 1:
            raise IpAddressAlreadyAllocated(ip=address, subnet_id=subnet_id)


def _space(subnet: SubnetRow) -> Space:
    ranges = [_range(ipaddress.ip_network(subnet["cidr"]), pool) for pool in subnet["allocation_pools"] or ()]
    return Space(
        key=subnet["id"],
        column=IP_ALLOCATIONS.c.distance,
        scope=((IP_ALLOCATIONS.c.subnet_id, subnet["id"]),),
        ranges=tuple(found for found in ranges if found is not None),
    )


def _range(network: Network, pool: Mapping[str, str]) -> tuple[int, int] | None:
    """The distances that a pool gives out: to its end, or as far as they go from the end that it begins at."""
    start, end = ipaddress.ip_address(pool["start"]), ipaddress.ip_address(pool["end"])
    if (first := distance(network, start)) is None:
        return None
    last = first + int(end) - int(start)
    return first, (min(last, FARTHEST - 1) if first >= 0 else last)


def _row(port_id: str, position: int, subnet: SubnetRow, address: str) -> dict[str, Any]:
    return {
        "subnet_id": subnet["id"],
        "ip_address": address,
        "port_id": port_id,
        "network_id": subnet["network_id"],
        "position": position,
        "distance": distance(ipaddress.ip_network(subnet["cidr"]), ipaddress.ip_address(address)),
    }


def _address(subnet: SubnetRow, number: int) -> str:
    """The address at a distance."""
    return str(ipaddress.ip_network(subnet["cidr"])[number])
