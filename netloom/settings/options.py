"""The options, declared once for oslo.config: Neutron's sections and names, and our own section [netloom].

Options of Neutron's files that have no meaning here are in ``ignored.py``.
"""

import socket
from collections.abc import Iterator

from oslo_config import cfg
from oslo_config.types import List, String

from netloom.settings import types
from netloom.settings.types import Parsed

NETWORK_TYPES = ("local", "flat", "vlan", "gre", "vxlan", "geneve")
OVERLAYS = ("vxlan", "gre", "geneve")
MECHANISMS = ("openvswitch", "l2population")
ROLES = ("openvswitch", "l3", "dhcp", "metadata", "loadbalancer", "compute")
HYBRID = "neutron.agent.linux.iptables_firewall.OVSHybridIptablesFirewallDriver"
FIREWALL_DRIVERS = {
    "openvswitch": "openvswitch",
    "neutron.agent.linux.openvswitch_firewall.OVSFirewallDriver": "openvswitch",
    "neutron.agent.linux.openvswitch_firewall.firewall.OVSFirewallDriver": "openvswitch",
    "iptables_hybrid": "iptables_hybrid",
    HYBRID: "iptables_hybrid",
    "noop": "noop",
    "neutron.agent.firewall.NoopFirewallDriver": "noop",
}
"""Names of firewall drivers, class names too, and what they mean."""

SERVER_OPTIONS: dict[str, list[cfg.Opt]] = {
    "DEFAULT": [
        cfg.HostAddressOpt("bind_host", default="127.0.0.1", help="Address that the API listens on."),
        cfg.PortOpt("bind_port", default=9696, help="Port that the API listens on."),
        cfg.StrOpt("auth_strategy", default="keystone", choices=["keystone", "noauth"], help="How callers are known."),
        cfg.StrOpt(
            "core_plugin",
            default="ml2",
            choices=["ml2", "neutron.plugins.ml2.plugin.Ml2Plugin"],
            help="Accepted as it is; there is one core.",
        ),
        cfg.Opt(
            "service_plugins",
            List(Parsed(types.service_plugin)),
            help="What is offered beside the core. Without `trunk` in it there are no trunks, without `lbaas` no "
            "LBaaS v1; all else is always there."
            " Default: everything.",
        ),
        cfg.Opt("base_mac", Parsed(types.mac), default="fa:16:3e:00:00:00", help="The first octets of MAC addresses."),
        cfg.BoolOpt("use_ssl", default=False, help="Accepted as false: put a TLS proxy in front."),
        cfg.IntOpt("max_dns_nameservers", default=5, min=0, help="Name servers of a subnet at most."),
        cfg.IntOpt("max_subnet_host_routes", default=20, min=0, help="Host routes of a subnet at most."),
        cfg.IntOpt("max_routes", default=30, min=0, help="Static routes of a router at most."),
        cfg.IntOpt("max_allowed_address_pair", default=10, min=0, help="Allowed address pairs of a port at most."),
        cfg.IntOpt(
            "agent_down_time", default=75, min=1, help="Seconds of silence after which an agent counts as dead."
        ),
        cfg.IntOpt("dhcp_agents_per_network", default=1, min=1, help="Hosts that serve DHCP for each network."),
        cfg.BoolOpt("l3_ha", default=False, help="Whether new routers are highly available by default."),
        cfg.Opt(
            "l3_ha_net_cidr",
            Parsed(types.ipv4_network),
            default="169.254.192.0/18",
            help="Addresses of the networks between HA routers.",
        ),
        cfg.StrOpt(
            "l3_ha_network_type",
            choices=["", *NETWORK_TYPES],
            default="",
            help="Type of those networks; empty: the first tenant type.",
        ),
        cfg.StrOpt("l3_ha_network_physical_name", default="", help="Their physical network, for flat and VLAN."),
        cfg.IntOpt("max_l3_agents_per_router", default=3, min=0, help="Hosts that carry an HA router at most; 0: all."),
        cfg.IntOpt("min_l3_agents_per_router", default=2, min=1, help="Hosts that an HA router needs."),
        cfg.BoolOpt("router_distributed", default=False, help="Accepted as false: routers are not distributed."),
        cfg.BoolOpt("allow_automatic_l3agent_failover", default=True, help="Move routers away from dead L3 agents."),
        cfg.BoolOpt("allow_automatic_dhcp_failover", default=True, help="Move networks away from dead DHCP agents."),
        cfg.BoolOpt("network_auto_schedule", default=True, help="Serve waiting networks when a DHCP agent comes."),
        cfg.BoolOpt("router_auto_schedule", default=True, help="Carry waiting routers when an L3 agent comes."),
        cfg.IntOpt("dhcp_lease_duration", default=86400, min=-1, help="Seconds that a DHCP lease lasts; -1: for ever."),
        cfg.Opt("dns_domain", Parsed(types.domain), default="openstacklocal", help="Domain of instances' names."),
        cfg.BoolOpt("enable_snat_by_default", default=True, help="Whether gateways translate addresses by default."),
        cfg.IntOpt("global_physnet_mtu", default=1500, min=68, max=65535, help="MTU of the physical networks, octets."),
        cfg.ListOpt("default_availability_zones", default=[], help="Zones used when no hint is given."),
        cfg.Opt(
            "pagination_max_limit",
            Parsed(types.page_limit),
            default="-1",
            help="Longest page of a list; -1 or 'infinite': no bound.",
        ),
    ],
    "controller_worker": [
        cfg.StrOpt(
            "loadbalancer_topology",
            default="SINGLE",
            choices=["SINGLE", "ACTIVE_STANDBY"],
            help="Whether a new load balancer lives on one host, or on two of which one is active (octavia.conf).",
        ),
    ],
    "quotas": [
        cfg.IntOpt(
            f"quota_{name}",
            default=default,
            min=-1,
            deprecated_name="quota_health_monitors" if name == "health_monitor" else None,  # that of 2013
            help=f"Default quota of {name}; -1: no bound.",
        )
        for name, default in {
            "network": 100,
            "subnet": 100,
            "port": 500,
            "subnetpool": -1,
            "router": 10,
            "floatingip": 50,
            "security_group": 10,
            "security_group_rule": 100,
            "rbac_policy": 10,
            "trunk": -1,
            "pool": 10,
            "vip": 10,
            "member": -1,
            "health_monitor": -1,
        }.items()
    ],
    "database": [
        cfg.Opt(
            "connection",
            Parsed(types.database),
            secret=True,
            deprecated_opts=[cfg.DeprecatedOpt("sql_connection", group=group) for group in ("DEFAULT", "database")],
            help="Database URL (sqlite:///… or postgresql+psycopg://…); default: SQLite in state_path.",
        ),
    ],
    "ml2": [
        cfg.Opt(
            "type_drivers",
            List(String(choices=NETWORK_TYPES)),
            default=list(NETWORK_TYPES),
            help="Network types.",
        ),
        cfg.Opt(
            "tenant_network_types",
            List(String(choices=NETWORK_TYPES)),
            default=["vxlan"],
            deprecated_name="project_network_types",
            help="Types that projects' networks get, in the order tried.",
        ),
        cfg.Opt(
            "mechanism_drivers",
            List(String(choices=MECHANISMS)),
            default=list(MECHANISMS),
            help="Accepted as it is; an agent's l2_population says whether it is told of addresses.",
        ),
        cfg.StrOpt(
            "external_network_type", choices=["", *NETWORK_TYPES], help="Type of external networks, when none is given."
        ),
        cfg.IntOpt(
            "path_mtu",
            default=0,
            min=0,
            max=65535,
            help="MTU between tunnel endpoints when below global_physnet_mtu; 0: the same.",
        ),
        cfg.IntOpt("overlay_ip_version", default=4, choices=[4, 6], help="IP version between tunnel endpoints."),
        cfg.Opt(
            "physical_network_mtus",
            List(Parsed(types.physical_mtu)),
            default=[],
            help="MTUs of physical networks, NAME:MTU.",
        ),
    ],
    "ml2_type_flat": [
        cfg.ListOpt("flat_networks", default=["*"], help="Physical networks with flat networks; *: any.")
    ],
    "ml2_type_vlan": [
        cfg.Opt(
            "network_vlan_ranges",
            List(Parsed(types.vlan_range)),
            default=[],
            help="NAME:FIRST:LAST, ids of a physical network that projects' networks may get;"
            " NAME, any id and for administrators only.",
        )
    ],
    "ml2_type_gre": [
        cfg.Opt(
            "tunnel_id_ranges",
            List(Parsed(types.number_range(types.GRE_KEYS))),
            default=["1:1000"],
            help="FIRST:LAST, the keys that projects' networks may get.",
        )
    ],
    "ml2_type_vxlan": [
        cfg.Opt(
            "vni_ranges",
            List(Parsed(types.number_range(types.VNIS))),
            default=["1:1000"],
            help="FIRST:LAST, the ids that projects' networks may get.",
        ),
    ],
    "ml2_type_geneve": [
        cfg.Opt(
            "vni_ranges",
            List(Parsed(types.number_range(types.VNIS))),
            default=["1:1000"],
            help="FIRST:LAST, the ids that projects' networks may get.",
        ),
        cfg.IntOpt("max_header_size", default=30, min=30, help="Octets of the Geneve header, with options."),
    ],
    "oslo_policy": [cfg.StrOpt("policy_file", default="policy.yaml", help="Overrides of the policy's rules.")],
    "keystone_authtoken": [
        cfg.StrOpt(
            "auth_url",
            deprecated_name="identity_uri",
            help="Keystone that validates tokens; without it the embedded identity does.",
        ),
        cfg.StrOpt(
            "www_authenticate_uri", deprecated_name="auth_uri", help="Keystone's public address, named in 401 answers."
        ),
        cfg.StrOpt("username", deprecated_name="admin_user", help="User that validates tokens."),
        cfg.StrOpt("password", secret=True, deprecated_name="admin_password", help="Their password."),
        cfg.StrOpt("project_name", default="service", deprecated_name="admin_tenant_name", help="Their project."),
        cfg.StrOpt("user_domain_name", default="Default", help="Domain of the user."),
        cfg.StrOpt("user_domain_id", help="Its id, instead of the name."),
        cfg.StrOpt("project_domain_name", default="Default", help="Domain of the project."),
        cfg.StrOpt("project_domain_id", help="Its id, instead of the name."),
    ],
}

AGENT_OPTIONS: dict[str, list[cfg.Opt]] = {
    "DEFAULT": [
        cfg.Opt("host", Parsed(types.host_name), default=socket.gethostname(), help="Name of this host."),
        cfg.HostAddressOpt(
            "nova_metadata_host",
            default="127.0.0.1",
            deprecated_name="nova_metadata_ip",
            help="Nova's metadata service.",
        ),
        cfg.PortOpt("nova_metadata_port", default=8775, help="Its port."),
        cfg.StrOpt("nova_metadata_protocol", default="http", choices=["http", "https"], help="Its protocol."),
        cfg.StrOpt("metadata_proxy_shared_secret", secret=True, default="", help="Signs the instance ids."),
        cfg.StrOpt("auth_ca_cert", default="", help="Whose certificate it must have; empty: those the machine trusts."),
        cfg.BoolOpt("nova_metadata_insecure", default=False, help="Its certificate is not looked at."),
        cfg.StrOpt("nova_client_cert", default="", help="Certificate that it is shown."),
        cfg.StrOpt("nova_client_priv_key", default="", help="Its key."),
        cfg.BoolOpt("enable_isolated_metadata", default=True, help="Metadata on subnets without a router."),
        cfg.BoolOpt("force_metadata", default=False, help="Metadata in every DHCP namespace."),
        cfg.BoolOpt("enable_metadata_proxy", default=True, help="Metadata through routers."),
        cfg.Opt(
            "dnsmasq_dns_servers",
            List(Parsed(types.name_server)),
            default=[],
            help="Where DHCP servers forward name queries to.",
        ),
        cfg.BoolOpt("dnsmasq_local_resolv", default=False, help="Forward name queries to the host's resolvers."),
        cfg.FloatOpt(
            "ha_vrrp_advert_int",
            default=0.07,
            min=0.05,
            help="Seconds between the advertisements of an HA router's active host; a whole number speaks VRRPv2.",
        ),
        cfg.StrOpt("availability_zone", default="nova", help="Zone of this host's DHCP and L3 agents."),
        cfg.StrOpt("dnsmasq_config_file", default="", help="A file with more options for the DHCP servers."),
        cfg.StrOpt(
            "interface_driver",
            default="openvswitch",
            choices=["openvswitch", "neutron.agent.linux.interface.OVSInterfaceDriver"],
            help="Accepted as it is.",
        ),
        cfg.StrOpt(
            "dhcp_driver",
            default="dnsmasq",
            choices=["dnsmasq", "neutron.agent.linux.dhcp.Dnsmasq"],
            help="Accepted as it is.",
        ),
        cfg.StrOpt(
            "agent_mode", default="legacy", choices=["legacy"], help="Accepted as it is: routers are not distributed."
        ),
        cfg.BoolOpt("use_namespaces", default=True, help="Accepted as true: routers and DHCP have namespaces."),
        cfg.StrOpt(
            "external_network_bridge",
            default="",
            help="Accepted when empty: external networks are physical networks in bridge_mappings.",
        ),
    ],
    "agent": [
        cfg.Opt("tunnel_types", List(String(choices=OVERLAYS)), default=[], help="Tunnels of this host."),
        cfg.PortOpt("vxlan_udp_port", default=4789, help="Accepted as 4789."),
        cfg.BoolOpt("l2_population", default=False, help="Forwarding entries from the server instead of learning."),
        cfg.FloatOpt("report_interval", default=10.0, min=0.1, help="Seconds between heartbeats."),
        cfg.StrOpt("availability_zone", help="Zone of this host's agents; default: that of [DEFAULT]."),
    ],
    "ovs": [
        cfg.Opt("bridge_mappings", List(Parsed(types.pair)), default=[], help="PHYSICAL_NETWORK:BRIDGE."),
        cfg.Opt("local_ip", Parsed(types.address), default="", help="This host's end of the tunnels."),
        cfg.StrOpt(
            "integration_bridge",
            default="br-int",
            deprecated_opts=[cfg.DeprecatedOpt("ovs_integration_bridge", group="DEFAULT")],
            help="Bridge of the instances.",
        ),
        cfg.StrOpt("tunnel_bridge", default="br-tun", help="Bridge of the tunnels."),
        cfg.StrOpt(
            "datapath_type", choices=["", "system", "netdev"], default="", help="Default: what the kernel offers."
        ),
        cfg.Opt(
            "ovsdb_connection",
            Parsed(types.ovsdb),
            default="unix:/run/openvswitch/db.sock",
            help="Where Open vSwitch's database listens.",
        ),
    ],
    "securitygroup": [
        cfg.StrOpt(
            "firewall_driver",
            default="openvswitch",
            choices=list(FIREWALL_DRIVERS),
            help="What enforces security groups: flows of Open vSwitch, or iptables on a Linux bridge before each "
            "instance (iptables_hybrid); noop: nothing does.",
        ),
        cfg.BoolOpt("enable_security_group", default=True, help="Whether security groups are enforced."),
    ],
}

OWN_OPTIONS: dict[str, list[cfg.Opt]] = {
    "DEFAULT": [
        cfg.StrOpt("state_path", default="/var/lib/netloom", help="What must survive a reboot."),
        cfg.BoolOpt("debug", default=False, help="Log more."),
    ],
    "netloom": [
        cfg.StrOpt("run_path", default="/run/netloom", help="Sockets and records of running processes."),
        cfg.StrOpt("config_path", default="/etc/netloom", help="Files that operators edit or source."),
        cfg.BoolOpt("standalone", default=False, help="Serve identity, compute and images too."),
        cfg.Opt("servers", List(Parsed(types.server)), default=["ws://127.0.0.1:9696"], help="Servers of the agent."),
        cfg.StrOpt("host_key_file", help="File with this host's key; default: STATE_PATH/host.key."),
        cfg.Opt(
            "roles",
            List(String(choices=ROLES)),
            default=["openvswitch", "l3", "dhcp", "metadata", "loadbalancer"],
            help="Roles of this host.",
        ),
        cfg.FloatOpt("audit_interval", default=30.0, min=1.0, help="Seconds between full looks at the host."),
    ],
}


def declared() -> Iterator[tuple[str, cfg.Opt]]:
    """All options, with their sections."""
    for sections in (SERVER_OPTIONS, AGENT_OPTIONS, OWN_OPTIONS):
        for section, options in sections.items():
            yield from ((section, option) for option in options)
