"""DevStack's variables that mean something here."""

SIMPLE = {
    "Q_PORT": ("DEFAULT", "bind_port"),
    "Q_META_DATA_IP": ("DEFAULT", "nova_metadata_host"),
    "Q_AUTH_STRATEGY": ("DEFAULT", "auth_strategy"),
    "Q_USE_NAMESPACE": ("DEFAULT", "use_namespaces"),
    "Q_DVR_MODE": ("DEFAULT", "agent_mode"),
    "ENABLE_ISOLATED_METADATA": ("DEFAULT", "enable_isolated_metadata"),
    "LOCAL_HOSTNAME": ("DEFAULT", "host"),
    "OVS_BRIDGE": ("ovs", "integration_bridge"),
    "OVS_TUNNEL_BRIDGE": ("ovs", "tunnel_bridge"),
    "OVS_DATAPATH_TYPE": ("ovs", "datapath_type"),
    "TUNNEL_IP_VERSION": ("ml2", "overlay_ip_version"),
    "Q_ML2_PLUGIN_TYPE_DRIVERS": ("ml2", "type_drivers"),
    "Q_ML2_PLUGIN_MECHANISM_DRIVERS": ("ml2", "mechanism_drivers"),
    "Q_ML2_PLUGIN_EXT_DRIVERS": ("ml2", "extension_drivers"),
    "Q_USE_SECGROUP": ("securitygroup", "enable_security_group"),
}
"""Variables that are one option."""
LISTS = {
    "Q_ML2_PLUGIN_GRE_TYPE_OPTIONS": "ml2_type_gre",
    "Q_ML2_PLUGIN_VXLAN_TYPE_OPTIONS": "ml2_type_vxlan",
    "Q_ML2_PLUGIN_GENEVE_TYPE_OPTIONS": "ml2_type_geneve",
    "Q_ML2_PLUGIN_VLAN_TYPE_OPTIONS": "ml2_type_vlan",
    "Q_ML2_PLUGIN_FLAT_TYPE_OPTIONS": "ml2_type_flat",
    "Q_SRV_EXTRA_OPTS": "ml2",
    "Q_SRV_EXTRA_DEFAULT_OPTS": "DEFAULT",
    "Q_AGENT_EXTRA_AGENT_OPTS": "agent",
    "Q_AGENT_EXTRA_OVS_OPTS": "ovs",
}
"""Variables that hold ``option=value`` of one section."""
OUR_FILES = (
    "NEUTRON_CONF",
    "QUANTUM_CONF",
    "Q_PLUGIN_CONF_FILE",
    "Q_L3_CONF_FILE",
    "Q_DHCP_CONF_FILE",
    "Q_META_CONF_FILE",
    "NEUTRON_CORE_PLUGIN_CONF",
    "NEUTRON_L3_CONF",
    "NEUTRON_DHCP_CONF",
    "NEUTRON_META_CONF",
)
"""Names, after ``$``, of the network service's files."""
OVERLAY_RANGES = {
    "gre": ("ml2_type_gre", "tunnel_id_ranges"),
    "vxlan": ("ml2_type_vxlan", "vni_ranges"),
    "geneve": ("ml2_type_geneve", "vni_ranges"),
}
"""Options that hold the ids of tunnels, by type."""
OVERRULED = {
    "OVS_PHYSICAL_BRIDGE": "OVS_BRIDGE_MAPPINGS says it, or there is no PHYSICAL_NETWORK that it belongs to.",
    "PHYSICAL_NETWORK": "OVS_BRIDGE_MAPPINGS and ML2_VLAN_RANGES say it.",
    "OVS_VLAN_RANGES": "ML2_VLAN_RANGES says it.",
    "TENANT_VLAN_RANGE": "ML2_VLAN_RANGES says it, or there is no PHYSICAL_NETWORK that it belongs to.",
    "ENABLE_TENANT_VLANS": "Project networks have the type that another line says.",
    "HOST_IP": "Nothing needs this host's address.",
    **dict.fromkeys(("SERVICE_HOST", "Q_HOST"), "Another line says where the server is."),
    **dict.fromkeys(
        (
            "TENANT_TUNNEL_RANGES",
            "TENANT_TUNNEL_RANGE",
            "TUNNEL_RANGES",
            "TUNNEL_ENDPOINT_IP",
            "TUNNEL_IP",
            "Q_TUNNEL_TYPES",
        ),
        "Another line says it, or there are no tunnels.",
    ),
}
"""Variables that mean something, and why they do not in this file."""
PLUGINS = {"ml2": "ml2", "openvswitch": "ml2", "ovs": "ml2"}
"""Core plugins of DevStack whose work ours does."""
