"""Names of devices and namespaces: those that operators, runbooks and their tools know."""

ID_CHARACTERS = 11
"""Of a port's id in a device name: with the prefix, below the kernel's limit of 15."""


def tap(port_id: str) -> str:
    """Device of an instance's or a DHCP port."""
    return f"tap{port_id[:ID_CHARACTERS]}"


def router_interface(port_id: str) -> str:
    """Device of a router's interface on a project's network."""
    return f"qr-{port_id[:ID_CHARACTERS]}"


def router_gateway(port_id: str) -> str:
    """Device of a router's gateway."""
    return f"qg-{port_id[:ID_CHARACTERS]}"


def router_ha(port_id: str) -> str:
    """Device of a router on its VRRP network."""
    return f"ha-{port_id[:ID_CHARACTERS]}"


def router_namespace(router_id: str) -> str:
    """Namespace of a router."""
    return f"qrouter-{router_id}"


def dhcp_namespace(network_id: str) -> str:
    """Namespace of a network's DHCP server."""
    return f"qdhcp-{network_id}"


def to_physical(bridge: str) -> str:
    """End on br-int of the patch to a physical network's bridge."""
    return f"int-{bridge}"


def origin_of_physical(physical_network: str) -> str:
    """Origin of what a physical network needs on each host: it was asked for by the configuration alone."""
    return f"physical_network/{physical_network}"


def to_integration(bridge: str) -> str:
    """End on a physical network's bridge of the patch to br-int."""
    return f"phy-{bridge}"
