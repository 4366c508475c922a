"""The ``fixed_ips`` of ports: what a request makes of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import BadRequest
from netloom.rules import addresses, associations
from netloom.rules.addresses import SubnetRow, Want
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import IP_ALLOCATIONS, SUBNETS

View = Mapping[str, Any]
Place = tuple[str, str]
"""Id of a subnet, and an address."""


class InvalidSubnetForPort(BadRequest):
    """A subnet of another network."""

    message = "Invalid subnet {subnet_id} for a port on network {network_id}: it belongs to another network."


def give(tx: Tx, ports: Sequence[View], subnets: Mapping[str, Sequence[SubnetRow]]) -> None:
    """Give new ports their addresses: what their ``fixed_ips`` ask for, or the default when there are none."""
    _check_subnets(tx, ports, subnets)
    wants: dict[str, list[Want]] = {}
    for port in ports:
        network_id, mac, owner = port["network_id"], port["mac_address"], port["device_owner"]
        known = subnets[network_id]
        if port.get("fixed_ips") is None:
            wants[port["id"]] = addresses.default_wants(network_id, known, mac, owner)
            continue
        asked = addresses.asked_wants(port["fixed_ips"], known, mac, owner)
        named = {subnet["id"] for want in asked for subnet in want.subnets}
        rest = [subnet for subnet in known if subnet["id"] not in named]
        wants[port["id"]] = asked + addresses.automatic_wants(rest, mac, owner)
    addresses.assign(tx, wants)


def replace(tx: Tx, port: View, fixed_ips: Sequence[View], mac: str) -> bool:
    """Give a port the addresses that a request asks for instead of those it has; whether anything changed.

    An entry that names an address of the port keeps it, one that names only a subnet keeps an address of that
    subnet. Automatic addresses stay unless their entry says ``delete_subnet``.
    """
    owner, network_id = port["device_owner"], port["network_id"]
    subnets = addresses.subnets_of(tx, [network_id])[network_id]
    _check_subnets(tx, [{"network_id": network_id, "fixed_ips": fixed_ips}], {network_id: subnets})
    held: list[Place] = [(place["subnet_id"], place["ip_address"]) for place in port["fixed_ips"]]
    dropped = {entry["subnet_id"] for entry in fixed_ips if entry.get("delete_subnet") and entry.get("subnet_id")}
    asked = [entry for entry in fixed_ips if not entry.get("delete_subnet")]
    wants = addresses.asked_wants(asked, subnets, mac, owner, [address for _, address in held])
    automatic = {subnet["id"] for subnet in subnets if addresses.automatic(subnet)} - dropped
    if owner in addresses.ROUTER_OWNERS:
        automatic = set()
    kept, missing = _matched(wants, held)
    kept |= {place for place in held if place[0] in automatic}
    freed = [place for place in held if place not in kept]
    associations.release_addresses(tx, port["id"], [address for _, address in freed])
    addresses.release(tx, port["id"], freed)
    addresses.assign(tx, {port["id"]: missing}, first_position=_next_position(tx, port["id"]) if missing else 0)
    return bool(freed or missing)


def follow_mac(tx: Tx, port: View, mac: str) -> None:
    """Replace the addresses that followed from the port's old MAC."""
    if port["device_owner"] in addresses.ROUTER_OWNERS or port["mac_address"] == mac:
        return
    subnets = addresses.subnets_of(tx, [port["network_id"]])[port["network_id"]]
    held = {(place["subnet_id"], place["ip_address"]) for place in port["fixed_ips"]}
    stale = [
        (row, (row["id"], address))
        for row in subnets
        if addresses.automatic(row)
        and (row["id"], address := addresses.eui64(row["cidr"], port["mac_address"])) in held
    ]
    addresses.release(tx, port["id"], [place for _, place in stale])
    wants = [Want((row,), addresses.eui64(row["cidr"], mac)) for row, _ in stale]
    if wants:
        addresses.assign(tx, {port["id"]: wants}, first_position=_next_position(tx, port["id"]))


def _matched(wants: Sequence[Want], held: Sequence[Place]) -> tuple[set[Place], list[Want]]:
    """Which addresses stay because they are wanted, and which wants they leave open."""
    places = {(want.subnets[0]["id"], want.address) for want in wants if want.address}
    kept = {place for place in held if place in places}
    missing = [want for want in wants if want.address and (want.subnets[0]["id"], want.address) not in kept]
    for want in wants:
        if want.address:
            continue
        spare = [place for place in held if place[0] == want.subnets[0]["id"] and place not in kept]
        if spare:
            kept.add(spare[0])
        else:
            missing.append(want)
    return kept, missing


def _next_position(tx: Tx, port_id: str) -> int:
    last = sa.select(sa.func.max(IP_ALLOCATIONS.c.position)).where(IP_ALLOCATIONS.c.port_id == port_id)
    position = tx.connection.scalar(last)
    return 0 if position is None else int(position) + 1


def _check_subnets(tx: Tx, ports: Sequence[View], subnets: Mapping[str, Sequence[SubnetRow]]) -> None:
    """Tell a subnet of another network from one that is not there (which is left to be found missing)."""
    known = {subnet["id"] for rows in subnets.values() for subnet in rows}
    named = {
        entry["subnet_id"]: port["network_id"]
        for port in ports
        for entry in port.get("fixed_ips") or ()
        if entry.get("subnet_id") and entry["subnet_id"] not in known
    }
    if not named:
        return
    statement = sa.select(SUBNETS.c.id, SUBNETS.c.network_id).where(among(tx, SUBNETS.c.id, list(named)))
    for subnet_id, network_id in tx.tuples(statement):
        if network_id != named[subnet_id]:
            raise InvalidSubnetForPort(subnet_id=subnet_id, network_id=named[subnet_id])
