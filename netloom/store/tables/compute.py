"""Tables of the stand-in for compute."""

import sqlalchemy as sa

from netloom.store.tables.base import KEY, METADATA

TIME = sa.String(32)
"""UTC, as the API shows it: ``2026-01-31T12:00:00Z``."""

FLAVORS = sa.Table(
    "flavors",
    METADATA,
    sa.Column("id", sa.String(255), primary_key=True),
    sa.Column("name", sa.String(255), nullable=False, unique=True),
    sa.Column("vcpus", sa.Integer, nullable=False),
    sa.Column("ram", sa.BigInteger, nullable=False, doc="MiB."),
    sa.Column("disk", sa.BigInteger, nullable=False, doc="GiB."),
    sa.Column("ephemeral", sa.BigInteger, nullable=False, default=0, doc="GiB."),
    sa.Column("swap", sa.BigInteger, nullable=False, default=0, doc="MiB."),
    sa.Column("rxtx_factor", sa.Float, nullable=False, default=1.0),
    sa.Column("is_public", sa.Boolean, nullable=False, default=True),
    sa.Column("description", sa.Text),
    sa.Column("extra_specs", sa.JSON, nullable=False, default=dict),
    sa.Column("projects", sa.JSON, nullable=False, default=list, doc="Who may use it when it is not public."),
)
KEYPAIRS = sa.Table(
    "keypairs",
    METADATA,
    sa.Column("user_id", KEY, primary_key=True),
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("type", sa.String(16), nullable=False, default="ssh"),
    sa.Column("public_key", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("created_at", TIME, nullable=False),
)
COMPUTE_HOSTS = sa.Table(
    "compute_hosts",
    METADATA,
    sa.Column("host", sa.String(255), primary_key=True),
    sa.Column("id", KEY, nullable=False, unique=True, doc="Of the service and of the hypervisor."),
    sa.Column("zone", sa.String(255), nullable=False),
    sa.Column("vcpus", sa.Integer, nullable=False, doc="0: not told."),
    sa.Column("memory_mb", sa.BigInteger, nullable=False, doc="0: not told."),
    sa.Column("disk_gb", sa.BigInteger, nullable=False, doc="0: not told."),
    sa.Column("enabled", sa.Boolean, nullable=False, default=True),
    sa.Column("disabled_reason", sa.Text),
    sa.Column("heartbeat", sa.Float, nullable=False, doc="Seconds since 1970."),
)
SERVERS = sa.Table(
    "servers",
    METADATA,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("hostname", sa.String(255), nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("project_id", KEY, nullable=False, index=True),
    sa.Column("user_id", KEY, nullable=False),
    sa.Column("image_id", KEY, nullable=False),
    sa.Column("flavor", sa.JSON, nullable=False, doc="The flavor as it was at creation."),
    sa.Column("memory_mb", sa.BigInteger, nullable=False),
    sa.Column("vcpus", sa.Integer, nullable=False),
    sa.Column("disk_gb", sa.BigInteger, nullable=False),
    sa.Column("key_name", sa.String(255)),
    sa.Column("key_type", sa.String(16)),
    sa.Column("public_key", sa.Text),
    sa.Column("user_data", sa.Text, doc="base64."),
    sa.Column("metadata", sa.JSON, nullable=False, default=dict),
    sa.Column("tags", sa.JSON, nullable=False, default=list),
    sa.Column("security_groups", sa.JSON, nullable=False, default=list, doc="Names or ids as asked for."),
    sa.Column("config_drive", sa.String(8), nullable=False, default=""),
    sa.Column("disk_config", sa.String(8), nullable=False, default="MANUAL"),
    sa.Column("reservation_id", sa.String(16), nullable=False),
    sa.Column("launch_index", sa.Integer, nullable=False, default=0),
    sa.Column("hypervisor_type", sa.String(32), nullable=False, server_default="container"),
    sa.Column("availability_zone", sa.String(255), nullable=False),
    sa.Column("host", sa.String(255), index=True, doc="Null when none was found."),
    sa.Column("vm_state", sa.String(16), nullable=False, doc="building, active, stopped or error."),
    sa.Column("task_state", sa.String(32), index=True, doc="What is under way, if anything."),
    sa.Column("power_state", sa.Integer, nullable=False, default=0, doc="0 unknown, 1 running, 4 shut down."),
    sa.Column("running", sa.Boolean, nullable=False, default=True, doc="Whether it should run."),
    sa.Column("boot", sa.Integer, nullable=False, default=0, doc="Counts the reboots asked for."),
    sa.Column("prepared", sa.Boolean, nullable=False, default=False, doc="It has its ports: its host may have it."),
    sa.Column("locked_reason", sa.Text, doc="Not null: locked."),
    sa.Column("fault", sa.JSON(none_as_null=True)),
    sa.Column("password", sa.Text, doc="Encrypted by the guest for its key's owner, as the guest posted it."),
    sa.Column("created_at", TIME, nullable=False),
    sa.Column("updated_at", TIME, nullable=False),
    sa.Column("launched_at", TIME),
    sa.Column("task_since", sa.Float, nullable=False, doc="Seconds since 1970: when the task began."),
)
SERVER_NICS = sa.Table(
    "server_nics",
    METADATA,
    sa.Column("server_id", KEY, sa.ForeignKey("servers.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("port_id", KEY, primary_key=True, index=True),
    sa.Column("network_id", KEY, nullable=False),
    sa.Column("mac", sa.String(17), nullable=False),
    sa.Column("mtu", sa.Integer, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("ours", sa.Boolean, nullable=False, doc="We made the port, so we delete it."),
    sa.Column("tag", sa.String(60)),
)
SERVER_ACTIONS = sa.Table(
    "server_actions",
    METADATA,
    sa.Column("request_id", sa.String(64), primary_key=True),
    sa.Column("server_id", KEY, primary_key=True, index=True),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("user_id", KEY, nullable=False),
    sa.Column("project_id", KEY, nullable=False),
    sa.Column("start_time", sa.String(32), nullable=False),
)
COMPUTE_QUOTAS = sa.Table(
    "compute_quotas",
    METADATA,
    sa.Column("project_id", KEY, primary_key=True),
    sa.Column("resource", sa.String(64), primary_key=True),
    sa.Column("limit", sa.Integer, nullable=False),
)
