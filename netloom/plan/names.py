"""Names of devices and namespaces: those that operators, runbooks and their tools know."""

ID_CHARACTERS = 11
"""Of a port's id in a device name: with the prefix, below the kernel's limit of 15."""
TRUNK_ID_CHARACTERS = 10
"""Likewise in the names that trunks bring, whose prefixes are longer."""


def tap(port_id: str) -> str:
    """Device of an instance's, a load balancer's or a DHCP port."""
    return f"tap{port_id[:ID_CHARACTERS]}"


def hybrid_bridge(port_id: str) -> str:
    """Linux bridge between an instance and the switch, where iptables filters."""
    return f"qbr{port_id[:ID_CHARACTERS]}"


def hybrid_inner(port_id: str) -> str:
    """End on that Linux bridge of the pair to the switch."""
    return f"qvb{port_id[:ID_CHARACTERS]}"


def hybrid_outer(port_id: str) -> str:
    """End on the switch of the pair to that Linux bridge."""
    return f"qvo{port_id[:ID_CHARACTERS]}"


def trunk_bridge(trunk_id: str) -> str:
    """Bridge between an instance and br-int that parts the networks of a trunk."""
    return f"tbr-{trunk_id[:TRUNK_ID_CHARACTERS]}"


def parent_on_trunk(port_id: str) -> str:
    """End on the trunk's bridge of its parent's patch to br-int."""
    return f"tpt-{port_id[:TRUNK_ID_CHARACTERS]}"


def parent_on_integration(port_id: str) -> str:
    """End on br-int of the same patch: what stands there for the parent."""
    return f"tpi-{port_id[:TRUNK_ID_CHARACTERS]}"


def sub_port_on_trunk(port_id: str) -> str:
    """End on the trunk's bridge of a sub-port's patch to br-int."""
    return f"spt-{port_id[:TRUNK_ID_CHARACTERS]}"


def sub_port_on_integration(port_id: str) -> str:
    """End on br-int of the same patch: what stands there for the sub-port."""
    return f"spi-{port_id[:TRUNK_ID_CHARACTERS]}"


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


def balancer_namespace(balancer_id: str) -> str:
    """Namespace of a load balancer (LBaaS v1: of its pool)."""
    return f"qlbaas-{balancer_id}"


def to_physical(bridge: str) -> str:
    """End on br-int of the patch to a physical network's bridge."""
    return f"int-{bridge}"


def origin_of_physical(physical_network: str) -> str:
    """Origin of what a physical network needs on each host: it was asked for by the configuration alone."""
    return f"physical_network/{physical_network}"


def to_integration(bridge: str) -> str:
    """End on a physical network's bridge of the patch to br-int."""
    return f"phy-{bridge}"
