"""What planners must know of the agent's configuration; pure data, so that a plan can be replayed anywhere."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSettings:
    """Settings of one host, by the meaning of Neutron's options of the same names."""

    host: str
    datapath_type: str = "netdev"
    integration_bridge: str = "br-int"
    tunnel_bridge: str = "br-tun"
    bridge_mappings: tuple[tuple[str, str], ...] = ()
    """Pairs of (physical network, its bridge on this host)."""
    tunnel_types: tuple[str, ...] = ()
    """``vxlan``, ``gre``, ``geneve``; empty means no tunnel bridge."""
    local_ip: str = ""
    """This host's end of the tunnels."""
    l2_population: bool = False
    firewall_driver: str = "openvswitch"
    """``openvswitch``: security groups are flows; any other: flows only prevent spoofing (tables 24 and 25), and with
    ``iptables_hybrid`` iptables filter."""

    ha_vrrp_advert_int: float = 0.07
    """Seconds between VRRP advertisements; a whole number speaks VRRPv2, a fraction needs VRRPv3."""
    dnsmasq_dns_servers: tuple[str, ...] = ()
    """Where the DHCP servers forward name queries to."""
    dnsmasq_local_resolv: bool = False
    """Forward name queries to the resolvers of the host."""
    dnsmasq_config_file: str = ""
    """A file of this host with more options for the DHCP servers; its word holds over ours."""
    dnsmasq_user: str = "nobody"
    dnsmasq_group: str = "nogroup"
    radvd_user: str = "radvd"
    min_rtr_adv_interval: int = 30
    """Seconds."""
    max_rtr_adv_interval: int = 100
    """Seconds."""
    enable_metadata_proxy: bool = True
    """Serve instance metadata through routers."""
    enable_isolated_metadata: bool = True
    """Serve instance metadata on subnets without a router."""
    force_metadata: bool = False
    """Serve instance metadata in every DHCP namespace."""
    metadata_proxy_user: str = "haproxy"
    """Whom the workers of the metadata proxy run as, and who may talk to the responder's socket."""
    metadata_proxy_group: str = "haproxy"

    loadbalancer_user: str = "nobody"
    """Whom haproxy's workers for load balancers run as."""
    loadbalancer_group: str = "nogroup"

    def bridge_of(self, physical_network: str) -> str:
        """The bridge of a physical network, empty when this host has none."""
        return dict(self.bridge_mappings).get(physical_network, "")
