"""What the agent process must know of the configuration."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HostSettings:
    """Settings of ``netloom agent``."""

    host: str
    servers: tuple[str, ...]
    key_file: Path
    roles: frozenset[str]
    """Among openvswitch, l3, dhcp, metadata, loadbalancer, compute."""
    state_dir: Path
    run_dir: Path
    ovsdb: str
    datapath_type: str
    """Empty: what the kernel offers."""
    integration_bridge: str
    tunnel_bridge: str
    bridge_mappings: tuple[tuple[str, str], ...]
    tunnel_types: tuple[str, ...]
    local_ip: str
    l2_population: bool
    firewall_driver: str
    """What enforces security groups: ``openvswitch``: flows; ``iptables_hybrid``: iptables; ``noop``: nothing."""
    report_interval: float
    """Seconds between heartbeats."""
    audit_interval: float
    """Seconds between full looks at the host."""
    availability_zone: str
    nova_metadata_url: str
    metadata_secret: str
    nova_ca_cert: str
    """File with whose certificates Nova's service must have; empty: those that the machine trusts."""
    nova_insecure: bool
    nova_client_cert: str
    nova_client_key: str
    enable_metadata_proxy: bool
    enable_isolated_metadata: bool
    force_metadata: bool
    ha_vrrp_advert_int: float
    """Seconds between VRRP advertisements."""
    dnsmasq_dns_servers: tuple[str, ...]
    dnsmasq_local_resolv: bool
    dnsmasq_config_file: str
    """Empty: none."""
