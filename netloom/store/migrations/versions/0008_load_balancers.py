"""Load balancers."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add load balancers and what belongs to them."""
    op.create_table(
        "lb_healthmonitors",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("admin_state_up", sa.Boolean()),
        sa.Column("type", sa.Text()),
        sa.Column("delay", sa.BigInteger()),
        sa.Column("timeout", sa.BigInteger()),
        sa.Column("max_retries", sa.BigInteger()),
        sa.Column("max_retries_down", sa.BigInteger()),
        sa.Column("http_method", sa.Text()),
        sa.Column("url_path", sa.Text()),
        sa.Column("expected_codes", sa.Text()),
        sa.Column("http_version", sa.Text()),
        sa.Column("domain_name", sa.Text()),
        sa.Column("created_at", sa.Text()),
        sa.Column("updated_at", sa.Text()),
        sa.Column("api", sa.Integer(), nullable=False),
        sa.Column("made", sa.Integer(), nullable=False),
        sa.Column("touched", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lb_healthmonitors"),
    )
    op.create_index("ix_lb_healthmonitors_project_id", "lb_healthmonitors", ["project_id"])
    op.create_table(
        "lb_secrets",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lb_secrets"),
    )
    op.create_index("ix_lb_secrets_project_id", "lb_secrets", ["project_id"])
    op.create_table(
        "lb_loadbalancers",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("admin_state_up", sa.Boolean()),
        sa.Column("description", sa.Text()),
        sa.Column("vip_address", sa.Text()),
        sa.Column("vip_port_id", sa.Text()),
        sa.Column("vip_network_id", sa.Text()),
        sa.Column("vip_subnet_id", sa.Text()),
        sa.Column("vip_qos_policy_id", sa.Text()),
        sa.Column("vip_sg_ids", sa.JSON(none_as_null=True)),
        sa.Column("vip_vnic_type", sa.Text()),
        sa.Column("additional_vips", sa.JSON(none_as_null=True)),
        sa.Column("provider", sa.Text()),
        sa.Column("flavor_id", sa.Text()),
        sa.Column("availability_zone", sa.Text()),
        sa.Column("operating_status", sa.Text()),
        sa.Column("created_at", sa.Text()),
        sa.Column("updated_at", sa.Text()),
        sa.Column("api", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("own_port", sa.Boolean(), nullable=False),
        sa.Column("vrid", sa.Integer()),
        sa.ForeignKeyConstraint(["vip_port_id"], ["ports.id"], name="fk_lb_loadbalancers_vip_port_id"),
        sa.PrimaryKeyConstraint("id", name="pk_lb_loadbalancers"),
        sa.UniqueConstraint("vip_network_id", "vrid", name="uq_lb_loadbalancers_vip_network_id_vrid"),
        sa.UniqueConstraint("vip_port_id", name="uq_lb_loadbalancers_vip_port_id"),
    )
    op.create_index("ix_lb_loadbalancers_project_id", "lb_loadbalancers", ["project_id"])
    op.create_table(
        "lb_bindings",
        sa.Column("loadbalancer_id", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("port_id", sa.String(length=64)),
        sa.Column("revision", sa.Integer()),
        sa.Column("state", sa.String(length=16)),
        sa.Column("reason", sa.Text()),
        sa.Column("ha_state", sa.String(length=16)),
        sa.ForeignKeyConstraint(
            ["loadbalancer_id"], ["lb_loadbalancers.id"], name="fk_lb_bindings_loadbalancer_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["port_id"], ["ports.id"], name="fk_lb_bindings_port_id"),
        sa.PrimaryKeyConstraint("loadbalancer_id", "host", name="pk_lb_bindings"),
        sa.UniqueConstraint("port_id", name="uq_lb_bindings_port_id"),
    )
    op.create_index("ix_lb_bindings_host", "lb_bindings", ["host"])
    op.create_table(
        "lb_pools",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("admin_state_up", sa.Boolean()),
        sa.Column("description", sa.Text()),
        sa.Column("loadbalancer_id", sa.Text()),
        sa.Column("protocol", sa.Text()),
        sa.Column("lb_algorithm", sa.Text()),
        sa.Column("session_persistence", sa.JSON(none_as_null=True)),
        sa.Column("tls_enabled", sa.Boolean()),
        sa.Column("tls_container_ref", sa.Text()),
        sa.Column("ca_tls_container_ref", sa.Text()),
        sa.Column("crl_container_ref", sa.Text()),
        sa.Column("tls_ciphers", sa.Text()),
        sa.Column("tls_versions", sa.JSON(none_as_null=True)),
        sa.Column("alpn_protocols", sa.JSON(none_as_null=True)),
        sa.Column("operating_status", sa.Text()),
        sa.Column("created_at", sa.Text()),
        sa.Column("updated_at", sa.Text()),
        sa.Column("api", sa.Integer(), nullable=False),
        sa.Column("subnet_id", sa.String(length=64)),
        sa.Column("made", sa.Integer(), nullable=False),
        sa.Column("touched", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["loadbalancer_id"], ["lb_loadbalancers.id"], name="fk_lb_pools_loadbalancer_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_lb_pools"),
    )
    op.create_index("ix_lb_pools_loadbalancer_id", "lb_pools", ["loadbalancer_id"])
    op.create_index("ix_lb_pools_project_id", "lb_pools", ["project_id"])
    op.create_table(
        "lb_listeners",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("admin_state_up", sa.Boolean()),
        sa.Column("description", sa.Text()),
        sa.Column("loadbalancer_id", sa.Text()),
        sa.Column("protocol", sa.Text()),
        sa.Column("protocol_port", sa.BigInteger()),
        sa.Column("connection_limit", sa.BigInteger()),
        sa.Column("default_pool_id", sa.Text()),
        sa.Column("insert_headers", sa.JSON(none_as_null=True)),
        sa.Column("timeout_client_data", sa.BigInteger()),
        sa.Column("timeout_member_connect", sa.BigInteger()),
        sa.Column("timeout_member_data", sa.BigInteger()),
        sa.Column("timeout_tcp_inspect", sa.BigInteger()),
        sa.Column("allowed_cidrs", sa.JSON(none_as_null=True)),
        sa.Column("default_tls_container_ref", sa.Text()),
        sa.Column("sni_container_refs", sa.JSON(none_as_null=True)),
        sa.Column("client_ca_tls_container_ref", sa.Text()),
        sa.Column("client_crl_container_ref", sa.Text()),
        sa.Column("client_authentication", sa.Text()),
        sa.Column("tls_ciphers", sa.Text()),
        sa.Column("tls_versions", sa.JSON(none_as_null=True)),
        sa.Column("alpn_protocols", sa.JSON(none_as_null=True)),
        sa.Column("hsts_max_age", sa.BigInteger()),
        sa.Column("hsts_include_subdomains", sa.Boolean()),
        sa.Column("hsts_preload", sa.Boolean()),
        sa.Column("operating_status", sa.Text()),
        sa.Column("created_at", sa.Text()),
        sa.Column("updated_at", sa.Text()),
        sa.Column("api", sa.Integer(), nullable=False),
        sa.Column("made", sa.Integer(), nullable=False),
        sa.Column("touched", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["default_pool_id"], ["lb_pools.id"], name="fk_lb_listeners_default_pool_id"),
        sa.ForeignKeyConstraint(
            ["loadbalancer_id"], ["lb_loadbalancers.id"], name="fk_lb_listeners_loadbalancer_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_lb_listeners"),
    )
    op.create_index("ix_lb_listeners_default_pool_id", "lb_listeners", ["default_pool_id"])
    op.create_index("ix_lb_listeners_loadbalancer_id", "lb_listeners", ["loadbalancer_id"])
    op.create_index("ix_lb_listeners_project_id", "lb_listeners", ["project_id"])
    op.create_table(
        "lb_members",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("admin_state_up", sa.Boolean()),
        sa.Column("pool_id", sa.Text()),
        sa.Column("address", sa.Text()),
        sa.Column("protocol_port", sa.BigInteger()),
        sa.Column("weight", sa.BigInteger()),
        sa.Column("backup", sa.Boolean()),
        sa.Column("subnet_id", sa.Text()),
        sa.Column("monitor_address", sa.Text()),
        sa.Column("monitor_port", sa.BigInteger()),
        sa.Column("vnic_type", sa.Text()),
        sa.Column("operating_status", sa.Text()),
        sa.Column("created_at", sa.Text()),
        sa.Column("updated_at", sa.Text()),
        sa.Column("api", sa.Integer(), nullable=False),
        sa.Column("made", sa.Integer(), nullable=False),
        sa.Column("touched", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["pool_id"], ["lb_pools.id"], name="fk_lb_members_pool_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_lb_members"),
        sa.UniqueConstraint("pool_id", "address", "protocol_port", name="uq_lb_members_pool_id_address_protocol_port"),
    )
    op.create_index("ix_lb_members_project_id", "lb_members", ["project_id"])
    op.create_table(
        "lb_pool_monitors",
        sa.Column("pool_id", sa.String(length=64), nullable=False),
        sa.Column("healthmonitor_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["healthmonitor_id"],
            ["lb_healthmonitors.id"],
            name="fk_lb_pool_monitors_healthmonitor_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["pool_id"], ["lb_pools.id"], name="fk_lb_pool_monitors_pool_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("pool_id", "healthmonitor_id", name="pk_lb_pool_monitors"),
    )
    op.create_index("ix_lb_pool_monitors_healthmonitor_id", "lb_pool_monitors", ["healthmonitor_id"])
    op.create_table(
        "lb_l7policies",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("admin_state_up", sa.Boolean()),
        sa.Column("description", sa.Text()),
        sa.Column("listener_id", sa.Text()),
        sa.Column("action", sa.Text()),
        sa.Column("redirect_pool_id", sa.Text()),
        sa.Column("redirect_url", sa.Text()),
        sa.Column("redirect_prefix", sa.Text()),
        sa.Column("redirect_http_code", sa.BigInteger()),
        sa.Column("position", sa.BigInteger()),
        sa.Column("created_at", sa.Text()),
        sa.Column("updated_at", sa.Text()),
        sa.Column("made", sa.Integer(), nullable=False),
        sa.Column("touched", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["listener_id"], ["lb_listeners.id"], name="fk_lb_l7policies_listener_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["redirect_pool_id"], ["lb_pools.id"], name="fk_lb_l7policies_redirect_pool_id"),
        sa.PrimaryKeyConstraint("id", name="pk_lb_l7policies"),
    )
    op.create_index("ix_lb_l7policies_listener_id", "lb_l7policies", ["listener_id"])
    op.create_index("ix_lb_l7policies_project_id", "lb_l7policies", ["project_id"])
    op.create_index("ix_lb_l7policies_redirect_pool_id", "lb_l7policies", ["redirect_pool_id"])
    op.create_table(
        "lb_statistics",
        sa.Column("listener_id", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("active_connections", sa.BigInteger(), nullable=False),
        sa.Column("bytes_in", sa.BigInteger(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=False),
        sa.Column("request_errors", sa.BigInteger(), nullable=False),
        sa.Column("total_connections", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["listener_id"], ["lb_listeners.id"], name="fk_lb_statistics_listener_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("listener_id", "host", "worker", name="pk_lb_statistics"),
    )
    op.create_table(
        "lb_l7rules",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Text()),
        sa.Column("admin_state_up", sa.Boolean()),
        sa.Column("l7policy_id", sa.Text()),
        sa.Column("type", sa.Text()),
        sa.Column("compare_type", sa.Text()),
        sa.Column("key", sa.Text()),
        sa.Column("value", sa.Text()),
        sa.Column("invert", sa.Boolean()),
        sa.Column("created_at", sa.Text()),
        sa.Column("updated_at", sa.Text()),
        sa.Column("made", sa.Integer(), nullable=False),
        sa.Column("touched", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["l7policy_id"], ["lb_l7policies.id"], name="fk_lb_l7rules_l7policy_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_lb_l7rules"),
    )
    op.create_index("ix_lb_l7rules_l7policy_id", "lb_l7rules", ["l7policy_id"])
    op.create_index("ix_lb_l7rules_project_id", "lb_l7rules", ["project_id"])
