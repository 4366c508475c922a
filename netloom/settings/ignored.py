"""Options of Neutron's files that have no meaning here: accepted, so that files can be brought along, each with why.

Names may hold ``*``. What would change the service if it were passed over (say, distributed routers) is not here
but declared, and refused with any other value than the one that we serve.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Ignored:
    """Options that are accepted for one reason: names by section, parted by spaces; ``*`` is a whole section."""

    reason: str
    names: dict[str, str]


IGNORED = (
    Ignored(
        "Agents keep a stream to a server: there is no message broker, and no call to the API.",
        {
            "DEFAULT": "transport_url rpc_* control_exchange executor_thread_pool_size rabbit_* qpid_* kombu_* amqp_*"
            " fake_rabbit notification_driver notification_topics default_notification_level default_publisher_id"
            " dhcp_agent_notification auth_url auth_region auth_insecure admin_tenant_name admin_user"
            " admin_password endpoint_type endpoint_url",
            "oslo_messaging_*": "*",
        },
    ),
    Ignored(
        "A server is one process with threads, an agent another. For more work, run more servers.",
        {
            "DEFAULT": "api_workers metadata_workers metadata_backlog num_sync_threads backlog retry_until_window"
            " max_header_line tcp_keepidle wsgi_* client_socket_timeout run_external_periodic_tasks periodic_interval"
            " periodic_fuzzy_delay graceful_shutdown_timeout setproctitle api_paste_config api_extensions_path"
            " backdoor_port",
            "agent": "quitting_rpc_timeout",
            "cors*": "*",
            "healthcheck": "*",
            "oslo_middleware": "*",
            "oslo_reports": "*",
            "oslo_versionedobjects": "*",
            "profiler": "*",
        },
    ),
    Ignored(
        "The agent runs as root, makes its changes itself and takes no lock files.",
        {
            "DEFAULT": "lock_path disable_process_locking root_helper",
            "agent": "root_helper root_helper_daemon use_helper_for_ns_read",
            "oslo_concurrency": "*",
            "privsep*": "*",
        },
    ),
    Ignored(
        "Logs go to standard error, one line an event; `debug` says how much.",
        {
            "DEFAULT": "verbose log_* use_syslog use_syslog_rfc_format syslog_log_facility use_stderr use_journal"
            " use_json use_eventlog watch_log_file logging_* default_log_levels publish_errors instance_format"
            " instance_uuid_format rate_limit_* fatal_deprecations dnsmasq_base_log_dir",
            "agent": "log_agent_heartbeats",
        },
    ),
    Ignored(
        "Nova is not told of changes; set `vif_plugging_is_fatal = false` there.",
        {
            "DEFAULT": "notify_nova_on_port_status_changes notify_nova_on_port_data_changes nova_url nova_admin_*"
            " nova_region_name nova_ca_certificates_file nova_api_insecure send_events_interval http_retries",
            "ironic": "*",
            "nova": "*",
            "placement": "*",
        },
    ),
    Ignored(
        "TLS is checked with the certificates that the machine trusts (`SSL_CERT_FILE`), always;"
        " what Keystone says is kept in memory.",
        {
            "DEFAULT": "ssl_*",
            "keystone_authtoken": "auth_type auth_plugin auth_section auth_version auth_host auth_port auth_protocol"
            " auth_admin_prefix memcached_servers memcache_* cache token_cache_time revocation_cache_time signing_dir"
            " region_name interface include_service_catalog enforce_token_bind check_revocations_for_cached"
            " hash_algorithms delay_auth_decision http_connect_timeout http_request_max_retries cafile certfile keyfile"
            " insecure service_token_roles service_token_roles_required service_type",
            "cache": "*",
            "ssl": "*",
        },
    ),
    Ignored(
        "The pool of connections has its size, and lost ones are replaced.",
        {
            "DEFAULT": "sql_*",
            "database": "slave_connection sqlite_synchronous mysql_* connection_* max_retries max_overflow"
            " max_pool_size min_pool_size retry_interval use_db_reconnect db_* pool_timeout idle_timeout backend",
        },
    ),
    Ignored(
        "It is always so.",
        {
            "DEFAULT": "allow_bulk allow_pagination allow_sorting allow_overlapping_ips filter_validation advertise_mtu"
            " dhcp_delete_namespaces router_delete_namespaces handle_internal_only_routers enable_traditional_dhcp",
            "agent": "prevent_arp_spoofing arp_responder dont_fragment minimize_polling",
            "securitygroup": "enable_ipset",
            "oslo_policy": "enforce_scope enforce_new_defaults",
        },
    ),
    Ignored(
        "The extensions that the API lists are those that are served.",
        {"ml2": "extension_drivers"},
    ),
    Ignored(
        "There is one way to do it, and it needs no choice.",
        {
            "DEFAULT": "ipam_driver network_scheduler_driver router_scheduler_driver dhcp_load_type dhcp_agent_manager"
            " resync_interval resync_throttle bulk_reload_interval send_arp_for_ha keepalived_use_no_track"
            " ha_keepalived_state_change_* ha_vrrp_auth_* ha_vrrp_health_check_interval ovs_use_veth ovs_vsctl_timeout"
            " dhcp_broadcast_reply dnsmasq_lease_max dnsmasq_enable_addr6_list metadata_port metadata_access_mark"
            " external_ingress_mark mac_generation_retries min_rtr_adv_interval max_rtr_adv_interval radvd_user"
            " metadata_proxy_user metadata_proxy_group metadata_proxy_watch_log netns_resolvconf* my_ip my_ipv6"
            " network_device_mtu network_link_prefix dvr_base_mac gateway_external_network_id router_id",
            "agent": "polling_interval ovsdb_monitor_respawn_interval veth_mtu drop_flows_on_start agent_type"
            " tunnel_csum comment_iptables_rules debug_iptables_rules use_random_fully check_child_processes*"
            " explicitly_egress_direct",
            "l2pop": "*",
            "ovs": "int_peer_patch_port tun_peer_patch_port use_veth_interconnection of_interface of_listen_address"
            " of_listen_port of_connect_timeout of_request_timeout of_inactivity_probe ovsdb_interface ovsdb_timeout"
            " ovsdb_debug vhostuser_socket_dir bridge_mac_table_size",
            "oslo_policy": "policy_default_rule policy_dirs",
            "quotas": "quota_driver quota_items default_quota track_quota_usage",
        },
    ),
    Ignored(
        "Our own files are below `state_path` and `run_path`.",
        {
            "DEFAULT": "external_pids ra_confs pd_confs dhcp_confs ha_confs_path kill_scripts_path"
            " metadata_proxy_socket metadata_proxy_socket_mode",
            "agent": "kill_scripts_path",
        },
    ),
    Ignored(
        "It belongs to a driver or service that is not here.",
        {
            "DEFAULT": "external_dns_driver ipv6_pd_enabled default_ipv6_subnet_pool prefix_delegation_driver"
            " pd_dhcp_driver vendor_pen ipv6_gateway vlan_transparent vlan_qinq enable_metadata_network"
            " enable_services_on_agents_with_admin_state_down host_dvr_for_dhcp",
            "agent": "enable_distributed_routing extensions scheduling_disabled baremetal_smartnic",
            "ml2": "tunnelled_network_rp_name supported_pci_vendor_devs segment_mtu",
            "ml2_type_vxlan": "vxlan_group",
            "ovs": "igmp_snooping_enable igmp_flood* resource_provider_* qos_meter_bandwidth"
            " openflow_processed_per_port disable_packet_marking",
            "quotas": "quota_address_group quota_firewall* quota_healthmonitor"
            " quota_loadbalancer quota_listener quota_packet_filter quota_network_gateway",
            "securitygroup": "permitted_ethertypes",
            "designate": "*",
            "experimental": "*",
            "fdb": "*",
            "linux_bridge": "*",
            "local_ip": "*",
            "macvtap": "*",
            "metadata_rate_limiting": "*",
            "ml2_sriov": "*",
            "network_log": "*",
            "ovn*": "*",
            "ovs_driver": "*",
            "qos": "*",
            "service_providers": "*",
            "sriov_*": "*",
            "vxlan": "*",
        },
    ),
)


def ignored(section: str, name: str) -> str | None:
    """Why an option has no meaning here; None when it is not among those."""
    for group in IGNORED:
        for pattern, names in group.names.items():
            if fnmatchcase(section, pattern) and any(fnmatchcase(name, one) for one in names.split()):
                return group.reason
    return None


def ignored_section(section: str) -> bool:
    """Whether a whole section is without meaning here."""
    return any(
        names == "*" and fnmatchcase(section, pattern) for group in IGNORED for pattern, names in group.names.items()
    )
