"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables of the first release, in the order in which they refer to each other."""
    op.create_table(
        "address_groups",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("description", sa.Text()),
        sa.Column("addresses", sa.JSON(none_as_null=True)),
        sa.Column("revision_number", sa.BigInteger()),
        sa.Column("created_at", sa.Text()),
        sa.Column("updated_at", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_address_groups"),
    )
    op.create_index("ix_address_groups_project_id", "address_groups", ["project_id"])
    op.create_table(
        "agents",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("agent_type", sa.Text()),
        sa.Column("binary", sa.Text()),
        sa.Column("topic", sa.Text()),
        sa.Column("host", sa.Text()),
        sa.Column("admin_state_up", sa.Boolean()),
        sa.Column("created_at", sa.Text()),
        sa.Column("started_at", sa.Text()),
        sa.Column("heartbeat_timestamp", sa.Text()),
        sa.Column("configurations", sa.JSON(none_as_null=True)),
        sa.Column("description", sa.Text()),
        sa.Column("availability_zone", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_agents"),
        sa.UniqueConstraint("agent_type", "host", name="uq_agents_agent_type_host"),
    )
    op.create_table(
        "applied",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("fragment", sa.String(length=128), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("host", "fragment", name="pk_applied"),
    )
    op.create_index("ix_applied_fragment", "applied", ["fragment"])
    op.create_table(
        "changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_changes"),
    )
    op.create_index("ix_changes_transaction", "changes", ["transaction"])
    op.create_table(
        "compute_hosts",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("zone", sa.String(length=255), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("memory_mb", sa.BigInteger(), nullable=False),
        sa.Column("disk_gb", sa.BigInteger(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.Text()),
        sa.Column("heartbeat", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("host", name="pk_compute_hosts"),
        sa.UniqueConstraint("id", name="uq_compute_hosts_id"),
    )
    op.create_table(
        "compute_quotas",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("resource", sa.String(length=64), nullable=False),
        sa.Column("limit", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "resource", name="pk_compute_quotas"),
    )
    op.create_table(
        "flavors",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("ram", sa.BigInteger(), nullable=False),
        sa.Column("disk", sa.BigInteger(), nullable=False),
        sa.Column("ephemeral", sa.BigInteger(), nullable=False),
        sa.Column("swap", sa.BigInteger(), nullable=False),
        sa.Column("rxtx_factor", sa.Float(), nullable=False),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("extra_specs", sa.JSON(), nullable=False),
        sa.Column("projects", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_flavors"),
        sa.UniqueConstraint("name", name="uq_flavors_name"),
    )
    op.create_table(
        "hosts",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("key_digest", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_hosts"),
    )
    op.create_table(
        "images",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255)),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("visibility", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("disk_format", sa.String(length=32)),
        sa.Column("container_format", sa.String(length=32)),
        sa.Column("min_disk", sa.BigInteger(), nullable=False),
        sa.Column("min_ram", sa.BigInteger(), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.Column("size", sa.BigInteger()),
        sa.Column("checksum", sa.String(length=32)),
        sa.Column("os_hash_value", sa.String(length=128)),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("updated_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
    )
    op.create_index("ix_images_owner", "images", ["owner"])
    op.create_table(
        "keypairs",
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "name", name="pk_keypairs"),
    )
    op.create_table(
        "networks",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("admin_state_up", sa.Boolean()),
        sa.Column("status", sa.Text()),
        sa.Column("router_external", sa.Boolean()),
        sa.Column("mtu", sa.BigInteger()),
        sa.Column("availability_zone_hints", sa.JSON(none_as_null=True)),
        sa.Column("port_security_enabled", sa.Boolean()),
        sa.Column("provider_network_type", sa.Text()),
        sa.Column("provider_physical_network", sa.Text()),
        sa.Column("provider_segmentation_id", sa.BigInteger()),
        sa.Column("is_default", sa.Boolean()),
        sa.Column("description", sa.Text()),
        sa.Column("revision_number", sa.BigInteger()),
        sa.Column("created_at", sa.Text()),
        sa.Column("updated_at", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_networks"),
    )
    op.create_index("ix_networks_project_id", "networks", ["project_id"])
    op.create_index(
        "uq_networks_is_default",
        "networks",
        ["is_default"],
        unique=True,
        sqlite_where=sa.text("is_default IS 1"),
        postgresql_where=sa.text("is_default IS true"),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("name", name="uq_projects_name"),
    )
    op.create_table(
        "quotas",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("resource", sa.String(length=64), nullable=False),
        sa.Column("limit", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "resource", name="pk_quotas"),
    )
    op.create_table(
        "rbac_policies",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("object_type", sa.Text()),
        sa.Column("object_id", sa.Text()),
        sa.Column("target_tenant", sa.Text()),
        sa.Column("action", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_rbac_policies"),
        sa.UniqueConstraint(
            "object_type",
            "object_id",
            "target_tenant",
            "action",
            name="uq_rbac_policies_object_type_object_id_target_tenant_action",
        ),
    )
    op.create_index("ix_rbac_policies_object_id", "rbac_policies", ["object_id"])
    op.create_index("ix_rbac_policies_target_tenant", "rbac_policies", ["target_tenant"])
    op.create_table(
        "revoked_tokens",
        sa.Column("audit_id", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("audit_id", name="pk_revoked_tokens"),
    )
    op.create_table(
        "roles",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_roles"),
        sa.UniqueConstraint("name", name="uq_roles_name"),
    )
    op.create_table(
        "security_groups",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("stateful", sa.Boolean()),
        sa.Column("description", sa.Text()),
        sa.Column("revision_number", sa.BigInteger()),
        sa.Column("created_at", sa.Text()),
        sa.Column("updated_at", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_security_groups"),
    )
    op.create_index("ix_security_groups_project_id", "security_groups", ["project_id"])
    op.create_table(
        "server_actions",
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("server_id", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("start_time", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("request_id", "server_id", name="pk_server_actions"),
    )
    op.create_index("ix_server_actions_server_id", "server_actions", ["server_id"])
    op.create_table(
        "servers",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("hostname", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("image_id", sa.String(length=64), nullable=False),
        sa.Column("flavor", sa.JSON(), nullable=False),
        sa.Column("memory_mb", sa.BigInteger(), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("disk_gb", sa.BigInteger(), nullable=False),
        sa.Column("key_name", sa.String(length=255)),
        sa.Column("key_type", sa.String(length=16)),
        sa.Column("public_key", sa.Text()),
        sa.Column("user_data", sa.Text()),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("security_groups", sa.JSON(), nullable=False),
        sa.Column("config_drive", sa.String(length=8), nullable=False),
        sa.Column("disk_config", sa.String(length=8), nullable=False),
        sa.Column("reservation_id", sa.String(length=16), nullable=False),
        sa.Column("launch_index", sa.Integer(), nullable=False),
        sa.Column("availability_zone", sa.String(length=255), nullable=False),
        sa.Column("host", sa.String(length=255)),
        sa.Column("vm_state", sa.String(length=16), nullable=False),
        sa.Column("task_state", sa.String(length=32)),
        sa.Column("power_state", sa.Integer(), nullable=False),
        sa.Column("running", sa.Boolean(), nullable=False),
        sa.Column("boot", sa.Integer(), nullable=False),
        sa.Column("prepared", sa.Boolean(), nullable=False),
        sa.Column("locked_reason", sa.Text()),
        sa.Column("fault", sa.JSON(none_as_null=True)),
        sa.Column("password", sa.Text()),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("updated_at", sa.String(length=32), nullable=False),
        sa.Column("launched_at", sa.String(length=32)),
        sa.Column("task_since", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_servers"),
    )
    op.create_index("ix_servers_host", "servers", ["host"])
    op.create_index("ix_servers_project_id", "servers", ["project_id"])
    op.create_index("ix_servers_task_state", "servers", ["task_state"])
    op.create_table(
        "subnetpools",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("prefixes", sa.JSON(none_as_null=True)),
        sa.Column("default_quota", sa.BigInteger()),
        sa.Column("ip_version", sa.BigInteger()),
        sa.Column("default_prefixlen", sa.BigInteger()),
        sa.Column("min_prefixlen", sa.BigInteger()),
        sa.Column("max_prefixlen", sa.BigInteger()),
        sa.Column("is_default", sa.Boolean()),
        sa.Column("description", sa.Text()),
        sa.Column("revision_number", sa.BigInteger()),
        sa.Column("created_at", sa.Text()),
        sa.Column("updated_at", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_subnetpools"),
    )
    op.create_index("ix_subnetpools_project_id", "subnetpools", ["project_id"])
    op.create_table(
        "tags",
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("tag", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("resource_id", "tag", name="pk_tags"),
    )
    op.create_index("ix_tags_tag", "tags", ["tag"])
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("password", sa.String(length=255), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("default_project_id", sa.String(length=64)),
        sa.Column("email", sa.String(length=255)),
        sa.Column("description", sa.Text()),
        sa.Column("tokens_since", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )
    op.create_table(
        "application_credentials",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("secret", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("expires_at", sa.String(length=32)),
        sa.Column("unrestricted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_application_credentials_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_application_credentials"),
        sa.UniqueConstraint("user_id", "name", name="uq_application_credentials_user_id_name"),
    )
    op.create_table(
        "assignments",
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("target_id", sa.String(length=64), nullable=False),
        sa.Column("role_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["role_id"], ["roles.id"], name="fk_assignments_role_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_assignments_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "target_id", "role_id", name="pk_assignments"),
    )
    op.create_table(
        "dhcp_bindings",
        sa.Column("network_id", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["network_id"], ["networks.id"], name="fk_dhcp_bindings_network_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("network_id", "host", name="pk_dhcp_bindings"),
    )
    op.create_index("ix_dhcp_bindings_host", "dhcp_bindings", ["host"])
    op.create_table(
        "ports",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("network_id", sa.Text()),
        sa.Column("admin_state_up", sa.Boolean()),
        sa.Column("mac_address", sa.Text()),
        sa.Column("device_id", sa.Text()),
        sa.Column("device_owner", sa.Text()),
        sa.Column("status", sa.Text()),
        sa.Column("allowed_address_pairs", sa.JSON(none_as_null=True)),
        sa.Column("extra_dhcp_opts", sa.JSON(none_as_null=True)),
        sa.Column("binding_vif_type", sa.Text()),
        sa.Column("binding_vnic_type", sa.Text()),
        sa.Column("binding_host_id", sa.Text()),
        sa.Column("binding_profile", sa.JSON(none_as_null=True)),
        sa.Column("port_security_enabled", sa.Boolean()),
        sa.Column("description", sa.Text()),
        sa.Column("revision_number", sa.BigInteger()),
        sa.Column("created_at", sa.Text()),
        sa.Column("updated_at", sa.Text()),
        sa.ForeignKeyConstraint(["network_id"], ["networks.id"], name="fk_ports_network_id"),
        sa.PrimaryKeyConstraint("id", name="pk_ports"),
        sa.UniqueConstraint("network_id", "mac_address", name="uq_ports_network_id_mac_address"),
    )
    op.create_index("ix_ports_binding_host_id", "ports", ["binding_host_id"])
    op.create_index("ix_ports_device_id", "ports", ["device_id"])
    op.create_index("ix_ports_project_id", "ports", ["project_id"])
    op.create_table(
        "security_group_rules",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("security_group_id", sa.Text()),
        sa.Column("remote_group_id", sa.Text()),
        sa.Column("direction", sa.Text()),
        sa.Column("protocol", sa.JSON(none_as_null=True)),
        sa.Column("port_range_min", sa.BigInteger()),
        sa.Column("port_range_max", sa.BigInteger()),
        sa.Column("ethertype", sa.Text()),
        sa.Column("remote_ip_prefix", sa.Text()),
        sa.Column("remote_address_group_id", sa.Text()),
        sa.Column("normalized_cidr", sa.Text()),
        sa.Column("description", sa.Text()),
        sa.Column("revision_number", sa.BigInteger()),
        sa.Column("created_at", sa.Text()),
        sa.Column("updated_at", sa.Text()),
        sa.ForeignKeyConstraint(
            ["security_group_id"],
            ["security_groups.id"],
            name="fk_security_group_rules_security_group_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_security_group_rules"),
    )
    op.create_index("ix_security_group_rules_project_id", "security_group_rules", ["project_id"])
    op.create_index(
        "ix_security_group_rules_remote_address_group_id", "security_group_rules", ["remote_address_group_id"]
    )
    op.create_index("ix_security_group_rules_remote_group_id", "security_group_rules", ["remote_group_id"])
    op.create_index("ix_security_group_rules_security_group_id", "security_group_rules", ["security_group_id"])
    op.create_table(
        "segment_allocations",
        sa.Column("network_type", sa.String(length=32), nullable=False),
        sa.Column("physical_network", sa.String(length=64), nullable=False),
        sa.Column("segmentation_id", sa.BigInteger(), nullable=False),
        sa.Column("network_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["network_id"],
            ["networks.id"],
            name="fk_segment_allocations_network_id",
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("network_type", "physical_network", "segmentation_id", name="pk_segment_allocations"),
    )
    op.create_index("ix_segment_allocations_network_id", "segment_allocations", ["network_id"])
    op.create_table(
        "server_nics",
        sa.Column("server_id", sa.String(length=64), nullable=False),
        sa.Column("port_id", sa.String(length=64), nullable=False),
        sa.Column("network_id", sa.String(length=64), nullable=False),
        sa.Column("mac", sa.String(length=17), nullable=False),
        sa.Column("mtu", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("ours", sa.Boolean(), nullable=False),
        sa.Column("tag", sa.String(length=60)),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name="fk_server_nics_server_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("server_id", "port_id", name="pk_server_nics"),
    )
    op.create_index("ix_server_nics_port_id", "server_nics", ["port_id"])
    op.create_table(
        "subnets",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("ip_version", sa.BigInteger()),
        sa.Column("network_id", sa.Text()),
        sa.Column("subnetpool_id", sa.Text()),
        sa.Column("cidr", sa.Text()),
        sa.Column("gateway_ip", sa.Text()),
        sa.Column("allocation_pools", sa.JSON(none_as_null=True)),
        sa.Column("dns_nameservers", sa.JSON(none_as_null=True)),
        sa.Column("host_routes", sa.JSON(none_as_null=True)),
        sa.Column("enable_dhcp", sa.Boolean()),
        sa.Column("ipv6_ra_mode", sa.Text()),
        sa.Column("ipv6_address_mode", sa.Text()),
        sa.Column("service_types", sa.JSON(none_as_null=True)),
        sa.Column("description", sa.Text()),
        sa.Column("revision_number", sa.BigInteger()),
        sa.Column("created_at", sa.Text()),
        sa.Column("updated_at", sa.Text()),
        sa.ForeignKeyConstraint(["network_id"], ["networks.id"], name="fk_subnets_network_id"),
        sa.PrimaryKeyConstraint("id", name="pk_subnets"),
    )
    op.create_index("ix_subnets_network_id", "subnets", ["network_id"])
    op.create_index("ix_subnets_project_id", "subnets", ["project_id"])
    op.create_index("ix_subnets_subnetpool_id", "subnets", ["subnetpool_id"])
    op.create_table(
        "floatingips",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("floating_ip_address", sa.Text()),
        sa.Column("floating_network_id", sa.Text()),
        sa.Column("router_id", sa.Text()),
        sa.Column("port_id", sa.Text()),
        sa.Column("fixed_ip_address", sa.Text()),
        sa.Column("status", sa.Text()),
        sa.Column("description", sa.Text()),
        sa.Column("revision_number", sa.BigInteger()),
        sa.Column("created_at", sa.Text()),
        sa.Column("updated_at", sa.Text()),
        sa.Column("floating_port_id", sa.String(length=64)),
        sa.ForeignKeyConstraint(["floating_port_id"], ["ports.id"], name="fk_floatingips_floating_port_id"),
        sa.PrimaryKeyConstraint("id", name="pk_floatingips"),
        sa.UniqueConstraint(
            "floating_network_id", "floating_ip_address", name="uq_floatingips_floating_network_id_floating_ip_address"
        ),
        sa.UniqueConstraint(
            "port_id",
            "fixed_ip_address",
            "floating_network_id",
            name="uq_floatingips_port_id_fixed_ip_address_floating_network_id",
        ),
    )
    op.create_index("ix_floatingips_floating_port_id", "floatingips", ["floating_port_id"])
    op.create_index("ix_floatingips_project_id", "floatingips", ["project_id"])
    op.create_index("ix_floatingips_router_id", "floatingips", ["router_id"])
    op.create_table(
        "ip_allocations",
        sa.Column("subnet_id", sa.String(length=64), nullable=False),
        sa.Column("ip_address", sa.String(length=45), nullable=False),
        sa.Column("port_id", sa.String(length=64), nullable=False),
        sa.Column("network_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("distance", sa.BigInteger()),
        sa.ForeignKeyConstraint(["port_id"], ["ports.id"], name="fk_ip_allocations_port_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["subnet_id"], ["subnets.id"], name="fk_ip_allocations_subnet_id"),
        sa.PrimaryKeyConstraint("subnet_id", "ip_address", name="pk_ip_allocations"),
    )
    op.create_index("ix_ip_allocations_distance", "ip_allocations", ["subnet_id", "distance"])
    op.create_index("ix_ip_allocations_network_id", "ip_allocations", ["network_id"])
    op.create_index("ix_ip_allocations_port_id", "ip_allocations", ["port_id"])
    op.create_table(
        "port_security_groups",
        sa.Column("port_id", sa.String(length=64), nullable=False),
        sa.Column("security_group_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["port_id"], ["ports.id"], name="fk_port_security_groups_port_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["security_group_id"], ["security_groups.id"], name="fk_port_security_groups_security_group_id"
        ),
        sa.PrimaryKeyConstraint("port_id", "security_group_id", name="pk_port_security_groups"),
    )
    op.create_index("ix_port_security_groups_security_group_id", "port_security_groups", ["security_group_id"])
    op.create_table(
        "routers",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("admin_state_up", sa.Boolean()),
        sa.Column("status", sa.Text()),
        sa.Column("distributed", sa.Boolean()),
        sa.Column("ha", sa.Boolean()),
        sa.Column("availability_zone_hints", sa.JSON(none_as_null=True)),
        sa.Column("routes", sa.JSON(none_as_null=True)),
        sa.Column("description", sa.Text()),
        sa.Column("revision_number", sa.BigInteger()),
        sa.Column("created_at", sa.Text()),
        sa.Column("updated_at", sa.Text()),
        sa.Column("gateway_port_id", sa.String(length=64)),
        sa.Column("gateway_network_id", sa.String(length=64)),
        sa.Column("enable_snat", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["gateway_network_id"], ["networks.id"], name="fk_routers_gateway_network_id"),
        sa.ForeignKeyConstraint(["gateway_port_id"], ["ports.id"], name="fk_routers_gateway_port_id"),
        sa.PrimaryKeyConstraint("id", name="pk_routers"),
    )
    op.create_index("ix_routers_gateway_network_id", "routers", ["gateway_network_id"])
    op.create_index("ix_routers_gateway_port_id", "routers", ["gateway_port_id"])
    op.create_index("ix_routers_project_id", "routers", ["project_id"])
    op.create_table(
        "router_bindings",
        sa.Column("router_id", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["router_id"], ["routers.id"], name="fk_router_bindings_router_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("router_id", "host", name="pk_router_bindings"),
    )
    op.create_index("ix_router_bindings_host", "router_bindings", ["host"])
