"""What the rules of the Networking API must know of the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Options of neutron.conf and ml2_conf.ini that decide what may be made, and how. Sizes in octets."""

    base_mac: str = "fa:16:3e:00:00:00"
    max_dns_nameservers: int = 5
    max_subnet_host_routes: int = 20
    max_routes: int = 30
    max_allowed_address_pair: int = 10
    agent_down_time: float = 75.0
    """Seconds without a sign of life after which an agent counts as dead."""
    dhcp_agents_per_network: int = 1
    l3_ha: bool = False
    """Whether new routers are highly available by default."""
    loadbalancer_ha: bool = False
    """Whether new load balancers live on two hosts."""
    l3_ha_net_cidr: str = "169.254.192.0/18"
    l3_ha_network_type: str = ""
    l3_ha_network_physical_name: str = ""
    max_l3_agents_per_router: int = 3
    """0: all."""
    min_l3_agents_per_router: int = 2
    allow_automatic_l3agent_failover: bool = True
    allow_automatic_dhcp_failover: bool = True
    network_auto_schedule: bool = True
    router_auto_schedule: bool = True
    dhcp_lease_duration: int = 86400
    """Seconds."""
    dns_domain: str = "openstacklocal"
    enable_snat_by_default: bool = True
    global_physnet_mtu: int = 1500
    path_mtu: int = 0
    overlay_ip_version: int = 4
    geneve_max_header_size: int = 30
    physical_network_mtus: Mapping[str, int] = field(default_factory=dict)
    type_drivers: tuple[str, ...] = ("local", "flat", "vlan", "gre", "vxlan", "geneve")
    tenant_network_types: tuple[str, ...] = ("vxlan",)
    external_network_type: str = ""
    flat_networks: tuple[str, ...] = ("*",)
    vlan_ranges: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    """Ranges of VLAN ids by physical network; an empty tuple admits any id for the administrator only."""
    tunnel_id_ranges: tuple[tuple[int, int], ...] = ((1, 1000),)
    vni_ranges: tuple[tuple[int, int], ...] = ((1, 1000),)
    geneve_vni_ranges: tuple[tuple[int, int], ...] = ((1, 1000),)
    quotas: Mapping[str, int] = field(default_factory=dict)
    """Default quotas that differ from those of the declarations."""
    pagination_max_limit: int = 0
    """0: no bound."""
    default_availability_zones: tuple[str, ...] = ()
    service_plugins: frozenset[str] | None = None
    """What is offered beside the core; None: everything."""
