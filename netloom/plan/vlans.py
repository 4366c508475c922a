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
    wanted = sorted(set(networks))
    vlans: dict[str, int] = {}
    for network in wanted:
        vlan = known.get(network, 0)
        if FIRST <= vlan <= LAST and vlan not in vlans.values():
            vlans[network] = vlan
    new = [network for network in wanted if network not in vlans]
    taken, lingering = set(vlans.values()), set(known.values())
    free = [vlan for vlan in range(FIRST, LAST + 1) if vlan not in taken] if new else []
    free.sort(key=lambda vlan: (vlan in lingering, vlan))
    if len(new) > len(free):
        raise ValueError(f"{len(wanted)} networks on this host, but only {LAST} local VLANs: move instances away")
    return vlans | dict(zip(new, free, strict=False))


def port_config(network: Network) -> tuple[tuple[str, str], ...]:
    """``other_config`` of a port of br-int: from ``net_uuid`` a restarted agent learns its local VLANs."""
    config = {"net_uuid": network.id, "network_type": network.network_type}
    if network.physical_network:
        config["physical_network"] = network.physical_network
    if network.segmentation_id:
        config["segmentation_id"] = str(network.segmentation_id)
    return tuple(sorted(config.items()))
