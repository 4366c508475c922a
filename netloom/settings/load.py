"""Reading configuration files into the dataclasses that the rest of Netloom sees."""

from collections.abc import Sequence
from pathlib import Path

from oslo_config import cfg

from netloom.settings.host import HostSettings
from netloom.settings.network import NetworkSettings
from netloom.settings.options import AGENT_OPTIONS, OWN_OPTIONS, SERVER_OPTIONS
from netloom.settings.server import KeystoneSettings, ServerSettings


class ConfigurationError(Exception):
    """A file, section or option is wrong; the text says which and what is allowed."""


def read(files: Sequence[Path] = ()) -> cfg.ConfigOpts:
    """Read configuration files, later ones over earlier ones.

    Raises:
        ConfigurationError: a file cannot be read, or a value is not allowed.
    """
    conf = cfg.ConfigOpts()
    for options in (SERVER_OPTIONS, AGENT_OPTIONS, OWN_OPTIONS):
        for section, declared in options.items():
            conf.register_opts(declared, group=None if section == "DEFAULT" else section)
    try:
        conf([], project="netloom", default_config_files=[str(file) for file in files], default_config_dirs=[])
        for options in (SERVER_OPTIONS, AGENT_OPTIONS, OWN_OPTIONS):
            for section, declared in options.items():
                for option in declared:  # reading finds wrong values at the start
                    getattr(conf if section == "DEFAULT" else getattr(conf, section), option.dest)
    except (cfg.Error, ValueError) as error:
        raise ConfigurationError(str(error)) from error
    return conf


def network_settings(conf: cfg.ConfigOpts) -> NetworkSettings:
    """What the rules need."""
    limit = conf.pagination_max_limit
    return NetworkSettings(
        base_mac=conf.base_mac,
        max_dns_nameservers=conf.max_dns_nameservers,
        max_subnet_host_routes=conf.max_subnet_host_routes,
        max_routes=conf.max_routes,
        max_allowed_address_pair=conf.max_allowed_address_pair,
        agent_down_time=float(conf.agent_down_time),
        dhcp_agents_per_network=conf.dhcp_agents_per_network,
        l3_ha=conf.l3_ha,
        l3_ha_net_cidr=conf.l3_ha_net_cidr,
        l3_ha_network_type=conf.l3_ha_network_type,
        l3_ha_network_physical_name=conf.l3_ha_network_physical_name,
        max_l3_agents_per_router=conf.max_l3_agents_per_router,
        min_l3_agents_per_router=conf.min_l3_agents_per_router,
        allow_automatic_l3agent_failover=conf.allow_automatic_l3agent_failover,
        allow_automatic_dhcp_failover=conf.allow_automatic_dhcp_failover,
        network_auto_schedule=conf.network_auto_schedule,
        router_auto_schedule=conf.router_auto_schedule,
        dhcp_lease_duration=conf.dhcp_lease_duration,
        dns_domain=conf.dns_domain,
        enable_snat_by_default=conf.enable_snat_by_default,
        global_physnet_mtu=conf.global_physnet_mtu,
        path_mtu=conf.ml2.path_mtu,
        overlay_ip_version=conf.ml2.overlay_ip_version,
        geneve_max_header_size=conf.ml2_type_geneve.max_header_size,
        physical_network_mtus={name: int(mtu) for name, mtu in _pairs(conf.ml2.physical_network_mtus)},
        type_drivers=tuple(conf.ml2.type_drivers),
        tenant_network_types=tuple(conf.ml2.tenant_network_types),
        external_network_type=conf.ml2.external_network_type or "",
        flat_networks=tuple(conf.ml2_type_flat.flat_networks),
        vlan_ranges=_vlan_ranges(conf.ml2_type_vlan.network_vlan_ranges),
        tunnel_id_ranges=_ranges(conf.ml2_type_gre.tunnel_id_ranges),
        vni_ranges=_ranges(conf.ml2_type_vxlan.vni_ranges),
        geneve_vni_ranges=_ranges(conf.ml2_type_geneve.vni_ranges),
        quotas={option.dest.removeprefix("quota_"): conf.quotas[option.dest] for option in SERVER_OPTIONS["quotas"]},
        pagination_max_limit=max(0, int(limit)) if limit.lstrip("-").isdigit() else 0,
        default_availability_zones=tuple(conf.default_availability_zones),
        firewall_driver=conf.securitygroup.firewall_driver,
    )


def server_settings(conf: cfg.ConfigOpts) -> ServerSettings:
    """What the server process needs."""
    keystone = conf.keystone_authtoken
    return ServerSettings(
        network=network_settings(conf),
        database=conf.database.connection or f"sqlite:///{conf.state_path}/netloom.db",
        listen=(conf.bind_host, conf.bind_port),
        standalone=conf.netloom.standalone,
        state_dir=Path(conf.state_path),
        run_dir=Path(conf.netloom.run_path),
        policy_file=Path(conf.netloom.config_path) / conf.oslo_policy.policy_file,
        noauth=conf.auth_strategy == "noauth",
        metadata_secret=conf.metadata_proxy_shared_secret,
        metadata_port=conf.nova_metadata_port,
        keystone=KeystoneSettings(
            auth_url=keystone.auth_url,
            username=keystone.username or "",
            password=keystone.password or "",
            project_name=keystone.project_name,
            user_domain_name=keystone.user_domain_name,
            project_domain_name=keystone.project_domain_name,
        )
        if keystone.auth_url
        else None,
    )


def host_settings(conf: cfg.ConfigOpts) -> HostSettings:
    """What the agent process needs."""
    state = Path(conf.state_path)
    return HostSettings(
        host=conf.host,
        servers=tuple(conf.netloom.servers),
        key_file=Path(conf.netloom.host_key_file or state / "host.key"),
        roles=frozenset(conf.netloom.roles),
        state_dir=state,
        run_dir=Path(conf.netloom.run_path),
        ovsdb=conf.ovs.ovsdb_connection,
        datapath_type=conf.ovs.datapath_type,
        integration_bridge=conf.ovs.integration_bridge,
        tunnel_bridge=conf.ovs.tunnel_bridge,
        bridge_mappings=_pairs(conf.ovs.bridge_mappings),
        tunnel_types=tuple(conf.agent.tunnel_types),
        local_ip=conf.ovs.local_ip,
        l2_population=conf.agent.l2_population,
        firewall_driver=conf.securitygroup.firewall_driver,
        report_interval=conf.agent.report_interval,
        audit_interval=conf.netloom.audit_interval,
        availability_zone=conf.agent.availability_zone or conf.availability_zone,
        nova_metadata_url=f"{conf.nova_metadata_protocol}://{conf.nova_metadata_host}:{conf.nova_metadata_port}",
        metadata_secret=conf.metadata_proxy_shared_secret,
        enable_metadata_proxy=conf.enable_metadata_proxy,
        enable_isolated_metadata=conf.enable_isolated_metadata,
        force_metadata=conf.force_metadata,
        ha_vrrp_advert_int=conf.ha_vrrp_advert_int,
        dnsmasq_dns_servers=tuple(conf.dnsmasq_dns_servers),
        dnsmasq_local_resolv=conf.dnsmasq_local_resolv,
    )


def _pairs(entries: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """``NAME:VALUE`` entries."""
    pairs = [entry.partition(":") for entry in entries]
    if wrong := [entry for entry, (name, _, value) in zip(entries, pairs, strict=True) if not name or not value]:
        raise ConfigurationError(f"'{wrong[0]}' is not of the form NAME:VALUE")
    return tuple((name, value) for name, _, value in pairs)


def _ranges(entries: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """``FIRST:LAST`` entries."""
    ranges = tuple((int(first), int(last)) for first, last in _pairs(entries))
    if wrong := [entry for entry in ranges if entry[0] > entry[1]]:
        raise ConfigurationError(f"'{wrong[0][0]}:{wrong[0][1]}' is not a range FIRST:LAST")
    return ranges


def _vlan_ranges(entries: Sequence[str]) -> dict[str, tuple[tuple[int, int], ...]]:
    """``NAME`` or ``NAME:FIRST:LAST`` entries, by name."""
    ranges: dict[str, tuple[tuple[int, int], ...]] = {}
    for entry in entries:
        name, _, bounds = entry.partition(":")
        ranges[name] = ranges.get(name, ()) + (_ranges([bounds]) if bounds else ())
    return ranges
