"""The largest IP packet that a network can carry, in octets."""

from netloom.model.errors import Conflict, InvalidInput
from netloom.settings.network import NetworkSettings

OUTER_HEADER = {4: 20, 6: 40}
"""Octets of the outer IP header by version (RFC 791, RFC 8200)."""
ENCAPSULATION = {"vxlan": 30, "gre": 22}
"""Octets that an overlay adds between the outer IP header and the inner packet, inner Ethernet header included."""
LEAST = {4: 68, 6: 1280}
"""The smallest MTU that IP of each version allows (RFC 791, RFC 8200)."""


class NetworkMTUSubnetConflict(Conflict):
    """The MTU is too small for a subnet's IP version."""

    message = "The MTU {mtu} of network {network_id} is too low for IPv{version}: at least {least} is needed."


def maximum(settings: NetworkSettings, network_type: str, physical_network: str | None) -> int:
    """The largest MTU that a network of this type can have."""
    if network_type in ("flat", "vlan", "local"):
        return settings.physical_network_mtus.get(physical_network or "", settings.global_physnet_mtu)
    outer = settings.global_physnet_mtu
    if settings.path_mtu > 0:
        outer = min(outer, settings.path_mtu)
    added = ENCAPSULATION.get(network_type, settings.geneve_max_header_size)
    return outer - OUTER_HEADER[settings.overlay_ip_version] - added


def effective(settings: NetworkSettings, wanted: int, network_type: str, physical_network: str | None) -> int:
    """The MTU of a network for which ``wanted`` was asked; 0 asks for the largest. Raises InvalidInput."""
    most = maximum(settings, network_type, physical_network)
    if wanted > most:
        raise InvalidInput(error_message=f"Requested MTU is too big, maximum is {most}")
    return wanted or most


def check_subnets(mtu: int, network_id: str, versions: set[int]) -> None:
    """Refuse an MTU below what IP of these versions needs. Raises NetworkMTUSubnetConflict."""
    for version in versions:
        if mtu < LEAST[version]:
            raise NetworkMTUSubnetConflict(mtu=mtu, network_id=network_id, version=version, least=LEAST[version])
