"""Well-known values of a port's ``device_owner``."""

DHCP = "network:dhcp"
ROUTER_INTERFACE = "network:router_interface"
HA_ROUTER_INTERFACE = "network:ha_router_replicated_interface"
HA_PORT = "network:router_ha_interface"
"""Owner of the ports from which hosts elect the active one among them, for one router."""
ROUTER_GATEWAY = "network:router_gateway"
FLOATING_IP = "network:floatingip"
TRUNK_SUB_PORT = "trunk:subport"
OCTAVIA = "Octavia"
"""Owner of the ports of load balancers: that of the VIP, and those from which hosts elect the active one."""
LBAAS_VIP = "neutron:LOADBALANCER"
"""Owner of the port of a VIP that was made through LBaaS v1."""
BALANCER_PORTS = (OCTAVIA, LBAAS_VIP)
SERVICE_PREFIX = "network:"

ROUTER_INTERFACES = (
    ROUTER_INTERFACE,
    "network:router_interface_distributed",
    HA_ROUTER_INTERFACE,
)
"""Owners of a router's ports on projects' networks."""
ROUTER_PORTS = (*ROUTER_INTERFACES, ROUTER_GATEWAY)
"""Owners of all the ports that make a router."""
