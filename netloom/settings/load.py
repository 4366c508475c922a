"""Reading configuration files into the dataclasses that the rest of Netloom sees."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from oslo_config import cfg

from netloom.settings import checks
from netloom.settings.files import ConfigurationError, Setting, parse, source, unknown
from netloom.settings.host import HostSettings
from netloom.settings.network import NetworkSettings
from netloom.settings.options import FIREWALL_DRIVERS, SERVER_OPTIONS, declared
from netloom.settings.server import KeystoneSettings, ServerSettings

# Older names are understood for good; nobody needs to be told on each start.
logging.getLogger("oslo_config").setLevel(logging.ERROR)


def read(files: Sequence[Path] = ()) -> cfg.ConfigOpts:
    """Read configuration files, later ones over earlier ones.

    Raises:
        ConfigurationError: a file cannot be read; a section, option or value is unknown, or they contradict each
            other. All that is wrong is told, a line for each.
    """
    settings = parse(files)
    conf = cfg.ConfigOpts()
    for section, option in declared():
        conf.register_opt(option, group=None if section == "DEFAULT" else section)
    conf(
        [], project="netloom", default_config_files=[str(file) for file in files], default_config_dirs=[], use_env=False
    )
    wrong = [*unknown(settings), *_wrong_values(conf, settings)]
    if not wrong:
        wrong = [_placed(settings, *problem) for problem in checks.problems(conf)]
    if wrong:
        raise ConfigurationError("\n".join(["the configuration is wrong:", *wrong]))
    return conf


def value(conf: cfg.ConfigOpts, section: str, option: cfg.Opt) -> object:
    """The effective value of an option. Raises ValueError."""
    return conf[option.dest] if section == "DEFAULT" else conf[section][option.dest]


def _wrong_values(conf: cfg.ConfigOpts, settings: Sequence[Setting]) -> Iterator[str]:
    for section, option in declared():
        try:
            if value(conf, section, option) is None and option.default is not None:
                yield _placed(settings, section, option.dest, "there is no value; leave the line out for the default")
        except cfg.ConfigFileValueError as error:
            # oslo.config says in which file, and which option, which we know better, before what is wrong.
            yield _placed(settings, section, option.dest, str(error).partition(" is not valid: ")[2] or str(error))
        except cfg.Error:  # nothing else can be wrong with options that are all declared
            yield _placed(settings, section, option.dest, "'$' begins an option's name; for itself, write '$$'")


def _placed(settings: Sequence[Setting], section: str, name: str, problem: str) -> str:
    """What is wrong with an option, with its place when a file sets it."""
    option = next(option for where, option in declared() if (where, option.dest) == (section, name))
    setting = source(settings, section, option)
    return f"{setting.place}: [{section}] {name}: {problem}" if setting else f"[{section}] {name}: {problem}"


def network_settings(conf: cfg.ConfigOpts) -> NetworkSettings:
    """What the rules need."""
    return NetworkSettings(
        base_mac=conf.base_mac,
        max_dns_nameservers=conf.max_dns_nameservers,
        max_subnet_host_routes=conf.max_subnet_host_routes,
        max_routes=conf.max_routes,
        max_allowed_address_pair=conf.max_allowed_address_pair,
        agent_down_time=float(conf.agent_down_time),
        dhcp_agents_per_network=conf.dhcp_agents_per_network,
        loadbalancer_ha=conf.controller_worker.loadbalancer_topology == "ACTIVE_STANDBY",
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
        physical_network_mtus=dict(conf.ml2.physical_network_mtus),
        type_drivers=tuple(conf.ml2.type_drivers),
        tenant_network_types=tuple(conf.ml2.tenant_network_types),
        external_network_type=conf.ml2.external_network_type or "",
        flat_networks=tuple(conf.ml2_type_flat.flat_networks),
        vlan_ranges=_vlan_ranges(conf.ml2_type_vlan.network_vlan_ranges),
        tunnel_id_ranges=tuple(conf.ml2_type_gre.tunnel_id_ranges),
        vni_ranges=tuple(conf.ml2_type_vxlan.vni_ranges),
        geneve_vni_ranges=tuple(conf.ml2_type_geneve.vni_ranges),
        quotas={option.dest.removeprefix("quota_"): conf.quotas[option.dest] for option in SERVER_OPTIONS["quotas"]},
        pagination_max_limit=conf.pagination_max_limit,
        default_availability_zones=tuple(conf.default_availability_zones),
        service_plugins=None if conf.service_plugins is None else frozenset(conf.service_plugins),
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
            user_domain=_domain(keystone.user_domain_id, keystone.user_domain_name),
            project_domain=_domain(keystone.project_domain_id, keystone.project_domain_name),
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
        bridge_mappings=tuple(conf.ovs.bridge_mappings),
        tunnel_types=tuple(conf.agent.tunnel_types),
        local_ip=conf.ovs.local_ip,
        l2_population=conf.agent.l2_population,
        firewall_driver=_firewall_driver(conf),
        report_interval=conf.agent.report_interval,
        audit_interval=conf.netloom.audit_interval,
        availability_zone=conf.agent.availability_zone or conf.availability_zone,
        nova_metadata_url=_nova_metadata_url(conf),
        metadata_secret=conf.metadata_proxy_shared_secret,
        nova_ca_cert=conf.auth_ca_cert,
        nova_insecure=conf.nova_metadata_insecure,
        nova_client_cert=conf.nova_client_cert,
        nova_client_key=conf.nova_client_priv_key,
        enable_metadata_proxy=conf.enable_metadata_proxy,
        enable_isolated_metadata=conf.enable_isolated_metadata,
        force_metadata=conf.force_metadata,
        ha_vrrp_advert_int=conf.ha_vrrp_advert_int,
        dnsmasq_dns_servers=tuple(conf.dnsmasq_dns_servers),
        dnsmasq_local_resolv=conf.dnsmasq_local_resolv,
        dnsmasq_config_file=conf.dnsmasq_config_file,
    )


def _nova_metadata_url(conf: cfg.ConfigOpts) -> str:
    host = str(conf.nova_metadata_host)
    place = f"[{host}]" if ":" in host else host
    return f"{conf.nova_metadata_protocol}://{place}:{conf.nova_metadata_port}"


def _firewall_driver(conf: cfg.ConfigOpts) -> str:
    """What filters: nothing when security groups are off."""
    configured = FIREWALL_DRIVERS[conf.securitygroup.firewall_driver]
    return configured if conf.securitygroup.enable_security_group else "noop"


def _domain(id: str | None, name: str) -> dict[str, str]:
    """A domain as requests to Keystone name it."""
    return {"id": id} if id else {"name": name}


def _vlan_ranges(entries: Sequence[tuple[str, tuple[int, int] | None]]) -> dict[str, tuple[tuple[int, int], ...]]:
    """Ranges of VLAN ids by physical network."""
    ranges: dict[str, tuple[tuple[int, int], ...]] = {}
    for name, bounds in entries:
        ranges[name] = ranges.get(name, ()) + ((bounds,) if bounds else ())
    return ranges
