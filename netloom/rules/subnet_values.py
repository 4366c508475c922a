"""What the values of a subnet must be, and what they are when not given: no database here."""

import ipaddress
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from netloom.model.errors import BadRequest, Conflict, InvalidInput
from netloom.settings.network import NetworkSettings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Range = tuple[Address, Address]
Pools = list[dict[str, str]]
FARTHEST = 2**62
"""Addresses this far from both ends of their subnet are never given out unasked."""


class InvalidAllocationPool(BadRequest):
    """A pool whose ends make no range."""

    message = "The allocation pool {pool} is not valid."


class OutOfBoundsAllocationPool(BadRequest):
    """A pool that leaves the subnet's host addresses."""

    message = "The allocation pool {pool} spans beyond the subnet cidr {subnet_cidr}."


class OverlappingAllocationPools(Conflict):
    """Two pools share addresses."""

    message = "Found overlapping allocation pools: {pool_1} {pool_2} for subnet {subnet_cidr}."


class GatewayConflictWithAllocationPools(Conflict):
    """The gateway's address could be given to a port."""

    message = "Gateway ip {ip_address} conflicts with allocation pool {pool}."


class IpamValueInvalid(Conflict):
    """No default gateway can be found."""

    message = "Invalid value for gateway: the subnet {cidr} has no address to spare for one."


class DNSNameServersExhausted(BadRequest):
    """Too many name servers."""

    message = "Unable to complete operation for {subnet_id}. The number of DNS nameservers exceeds the limit {quota}."


class HostRoutesExhausted(BadRequest):
    """Too many routes."""

    message = "Unable to complete operation for {subnet_id}. The number of host routes exceeds the limit {quota}."


def check_cidr(network: Network, version: int, dhcp: bool) -> None:
    """Refuse prefixes in which no network can work. Raises InvalidInput."""
    if network.version != version:
        raise InvalidInput(error_message=f"cidr '{network}' does not match the ip_version '{version}'")
    if version == 6 and int(network.network_address) == 0:
        raise InvalidInput(error_message=f"cidr '{network}': the unspecified address is no subnet")
    if not dhcp:
        return
    if network.prefixlen >= network.max_prefixlen - 1:
        raise InvalidInput(error_message=f"Subnet '{network}' is too small for DHCP: turn enable_dhcp off")
    if network.is_multicast or network.is_loopback or int(network.network_address) == 0:
        raise InvalidInput(error_message=f"Cidr '{network}' is not for DHCP: multicast, loopback or unspecified")


def default_gateway(network: Network, from_pool: bool) -> str:
    """The gateway of a subnet that names none. Raises IpamValueInvalid."""
    if network.version == 6 and not from_pool:
        return str(network.network_address)  # the subnet-router anycast address, RFC 4291 section 2.6.1
    if network.version == 4 and network.prefixlen == 31:
        raise IpamValueInvalid(cidr=network)
    return str(network.network_address + 1)


def check_gateway(network: Network, gateway: str) -> None:
    """Refuse a gateway of another family, or one that no host can be. Outside the prefix it is on-link."""
    address = ipaddress.ip_address(gateway)
    if address.version != network.version:
        raise InvalidInput(error_message=f"gateway_ip '{gateway}' does not match the ip_version '{network.version}'")
    if network.version == 4 and address in (network.network_address, network.broadcast_address):
        raise InvalidInput(error_message=f"Gateway is not valid on subnet: '{gateway}' in '{network}'")


def hosts(network: Network) -> Range:
    """First and last address that a port can have."""
    if network.prefixlen >= network.max_prefixlen - 1:
        return network.network_address, network.broadcast_address
    last = network.broadcast_address - 1 if network.version == 4 else network.broadcast_address
    return network.network_address + 1, last


def default_pools(network: Network, gateway: str | None) -> Pools:
    """All host addresses but the gateway."""
    first, last = hosts(network)
    spare = ipaddress.ip_address(gateway) if gateway else None
    if spare is None or not int(first) <= int(spare) <= int(last) or first == last:
        return [{"start": str(first), "end": str(last)}]
    below = [(first, spare - 1)] if int(spare) > int(first) else []
    above = [(spare + 1, last)] if int(spare) < int(last) else []
    return [{"start": str(start), "end": str(end)} for start, end in below + above]


def distance(network: Network, address: Address) -> int | None:
    """How far an address is from its network's first one, as ``ip_allocations`` has it.

    Where that is no number for a database: how far it is before the address behind the last one, negative.
    None when it is far from both ends.
    """
    offset = int(address) - int(network.network_address)
    if offset < FARTHEST:
        return offset
    behind = network.num_addresses - offset
    return -behind if behind <= FARTHEST else None


def check_pools(network: Network, pools: Sequence[Mapping[str, str]]) -> None:
    """Refuse pools that are no ranges of host addresses, or that overlap."""
    first, last = hosts(network)
    ranges: list[tuple[int, int, str]] = []
    for pool in pools:
        start, end = ipaddress.ip_address(pool["start"]), ipaddress.ip_address(pool["end"])
        text = f"{start}-{end}"
        if not start.version == end.version == network.version or int(start) > int(end):
            raise InvalidAllocationPool(pool=text)
        if int(start) < int(first) or int(end) > int(last):
            raise OutOfBoundsAllocationPool(pool=text, subnet_cidr=network)
        if distance(network, start) is None:
            raise InvalidInput(error_message=f"The pool {text} must begin in the first or last 2**62 addresses")
        ranges.append((int(start), int(end), text))
    ranges.sort()
    for lower, upper in pairwise(ranges):
        if upper[0] <= lower[1]:
            raise OverlappingAllocationPools(pool_1=lower[2], pool_2=upper[2], subnet_cidr=network)


def check_gateway_outside(pools: Sequence[Mapping[str, str]], gateway: str | None) -> None:
    """Refuse pools that hold the gateway. Raises GatewayConflictWithAllocationPools."""
    if gateway is None:
        return
    number = int(ipaddress.ip_address(gateway))
    for pool in pools:
        if int(ipaddress.ip_address(pool["start"])) <= number <= int(ipaddress.ip_address(pool["end"])):
            raise GatewayConflictWithAllocationPools(ip_address=gateway, pool=f"{pool['start']}-{pool['end']}")


def check_services(settings: NetworkSettings, subnet_id: str, version: int, values: Mapping[str, Any]) -> None:
    """Check name servers and host routes: their number and their family.

    Raises DNSNameServersExhausted, HostRoutesExhausted, InvalidInput.
    """
    servers, routes = values.get("dns_nameservers") or (), values.get("host_routes") or ()
    if len(servers) > settings.max_dns_nameservers:
        raise DNSNameServersExhausted(subnet_id=subnet_id, quota=settings.max_dns_nameservers)
    if len(routes) > settings.max_subnet_host_routes:
        raise HostRoutesExhausted(subnet_id=subnet_id, quota=settings.max_subnet_host_routes)
    nexthops = [route["nexthop"] for route in routes]
    for address in (*servers, *nexthops):
        if ipaddress.ip_address(address).version != version:
            raise InvalidInput(error_message=f"'{address}' does not match the ip_version '{version}'")
    for route in routes:
        if ipaddress.ip_network(route["destination"]).version != version:
            raise InvalidInput(error_message=f"'{route['destination']}' does not match the ip_version '{version}'")


def check_modes(body: Mapping[str, Any], network: Network) -> None:
    """Check the IPv6 modes against each other, DHCP and the prefix. Raises InvalidInput."""
    ra_mode, address_mode = body.get("ipv6_ra_mode"), body.get("ipv6_address_mode")
    if not ra_mode and not address_mode:
        return
    if network.version == 4:
        raise InvalidInput(error_message="ipv6_ra_mode and ipv6_address_mode are not allowed when ip_version is 4")
    if not body["enable_dhcp"]:
        raise InvalidInput(error_message="ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is False")
    if ra_mode and address_mode and ra_mode != address_mode:
        raise InvalidInput(
            error_message=f"ipv6_ra_mode set to '{ra_mode}' with ipv6_address_mode set to '{address_mode}' is not valid"
        )
    if (address_mode or ra_mode) in ("slaac", "dhcpv6-stateless") and network.prefixlen != 64:
        raise InvalidInput(error_message=f"Invalid CIDR {network} for IPv6 address mode: a prefix of 64 bits is needed")
