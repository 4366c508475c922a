"""Local VLANs: how networks are told apart inside one host's br-int. They mean nothing outside of it."""

from collections.abc import Iterable, Mapping

from netloom.feed.fragments import Network

FIRST, LAST = 1, 4094
DEAD = 4095
"""Tag of a port that must not talk: no other port has it, and its frames are dropped."""


def assign(networks: Iterable[str], known: Mapping[str, int]) -> dict[str, int]:
    """Local VLAN by network id.

    A network keeps the VLAN that it is known by; new ones take the lowest free in the order of their ids.
    VLANs of known networks that are not wanted any more are taken only when no other is free: their ports
    and connections may still be there.

    Raises:
        ValueError: more networks than VLANs.
    """
    wanted = set(networks)
    if len(wanted) > LAST:
        raise ValueError(f"{len(wanted)} networks on this host, but only {LAST} local VLANs: move instances away")
    return lasting(wanted, known, FIRST, LAST)


def lasting(wanted: Iterable[str], known: Mapping[str, int], first: int, last: int) -> dict[str, int]:
    """Numbers by id, in a range that is wide enough: what has one keeps it, as ``assign`` says."""
    ids = sorted(set(wanted))
    numbers: dict[str, int] = {}
    taken: set[int] = set()
    for id in ids:
        number = known.get(id, 0)
        if first <= number <= last and number not in taken:
            numbers[id] = number
            taken.add(number)
    new = [id for id in ids if id not in numbers]
    lingering = set(known.values())
    free = [number for number in range(first, last + 1) if number not in taken] if new else []
    free.sort(key=lambda number: (number in lingering, number))
    return numbers | dict(zip(new, free, strict=False))


def port_config(network: Network, zone: int = 0) -> tuple[tuple[str, str], ...]:
    """``other_config`` of a port of br-int: a restarted agent learns its local VLANs from ``net_uuid``, and the
    conntrack zones of ports that have one of their own."""
    config = {"net_uuid": network.id, "network_type": network.network_type}
    if network.physical_network:
        config["physical_network"] = network.physical_network
    if network.segmentation_id:
        config["segmentation_id"] = str(network.segmentation_id)
    if zone:
        config["zone"] = str(zone)
    return tuple(sorted(config.items()))
