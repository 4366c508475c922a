"""Tables of the Networking API's resources, and of what belongs to them."""

import sqlalchemy as sa

from netloom.model.agents import AGENT
from netloom.model.networks import NETWORK
from netloom.model.ports import PORT
from netloom.model.routers import FLOATINGIP, ROUTER
from netloom.model.security_groups import ADDRESS_GROUP, SECURITY_GROUP, SECURITY_GROUP_RULE
from netloom.model.sharing import RBAC_POLICY
from netloom.model.subnets import SUBNET, SUBNETPOOL
from netloom.model.trunks import TRUNK
from netloom.store.tables.base import KEY, METADATA, resource_table

NETWORKS = resource_table(NETWORK, sa.Index(None, "project_id"))
sa.Index(
    "uq_networks_is_default", NETWORKS.c.is_default, unique=True,
    sqlite_where=NETWORKS.c.is_default.is_(True), postgresql_where=NETWORKS.c.is_default.is_(True),
)  # fmt: skip
SUBNETPOOLS = resource_table(SUBNETPOOL, sa.Index(None, "project_id"))
SUBNETS = resource_table(
    SUBNET,
    sa.ForeignKeyConstraint(["network_id"], ["networks.id"]),
    sa.Index(None, "network_id"),
    sa.Index(None, "project_id"),
    sa.Index(None, "subnetpool_id"),
)
PORTS = resource_table(
    PORT,
    sa.Column(
        "wirings",
        sa.Integer,
        nullable=False,
        default=0,
        server_default="0",
        doc="How often the status began anew: the host is to tell of the port again, even if nothing else differs.",
    ),
    sa.ForeignKeyConstraint(["network_id"], ["networks.id"]),
    sa.UniqueConstraint("network_id", "mac_address"),
    sa.Index(None, "project_id"),
    sa.Index(None, "device_id"),
    sa.Index(None, "binding_host_id"),
)
SECURITY_GROUPS = resource_table(SECURITY_GROUP, sa.Index(None, "project_id"))
SECURITY_GROUP_RULES = resource_table(
    SECURITY_GROUP_RULE,
    sa.ForeignKeyConstraint(["security_group_id"], ["security_groups.id"], ondelete="CASCADE"),
    sa.Index(None, "security_group_id"),
    sa.Index(None, "remote_group_id"),
    sa.Index(None, "remote_address_group_id"),
    sa.Index(None, "project_id"),
)
ADDRESS_GROUPS = resource_table(ADDRESS_GROUP, sa.Index(None, "project_id"))
ROUTERS = resource_table(
    ROUTER,
    sa.Column("gateway_port_id", KEY, sa.ForeignKey("ports.id"), index=True),
    sa.Column("gateway_network_id", KEY, sa.ForeignKey("networks.id"), index=True),
    sa.Column("enable_snat", sa.Boolean, nullable=False, default=True),
    sa.Column("ha_vr_id", sa.Integer, doc="Virtual router id (VRRP), 1 to 255; null when not highly available."),
    sa.Index(None, "project_id"),
    sa.Index("uq_routers_project_id_ha_vr_id", "project_id", "ha_vr_id", unique=True),
)
FLOATINGIPS = resource_table(
    FLOATINGIP,
    sa.Column("floating_port_id", KEY, sa.ForeignKey("ports.id"), index=True),
    sa.UniqueConstraint("floating_network_id", "floating_ip_address"),
    sa.UniqueConstraint("port_id", "fixed_ip_address", "floating_network_id"),
    sa.Index(None, "project_id"),
    sa.Index(None, "router_id"),
)
RBAC_POLICIES = resource_table(
    RBAC_POLICY,
    sa.UniqueConstraint("object_type", "object_id", "target_tenant", "action"),
    sa.Index(None, "object_id"),
    sa.Index(None, "target_tenant"),
)
TRUNKS = resource_table(
    TRUNK,
    sa.ForeignKeyConstraint(["port_id"], ["ports.id"]),
    sa.UniqueConstraint("port_id"),
    sa.Index(None, "project_id"),
)
AGENTS = resource_table(AGENT, sa.UniqueConstraint("agent_type", "host"))

IP_ALLOCATIONS = sa.Table(
    "ip_allocations",
    METADATA,
    sa.Column("subnet_id", KEY, sa.ForeignKey("subnets.id"), primary_key=True),
    sa.Column("ip_address", sa.String(45), primary_key=True),
    sa.Column("port_id", KEY, sa.ForeignKey("ports.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("network_id", KEY, nullable=False, index=True),
    sa.Column("position", sa.Integer, nullable=False, doc="Place in the port's fixed_ips."),
    sa.Column(
        "distance",
        sa.BigInteger,
        doc="From the subnet's first address, or negative from behind its last; null far from both.",
    ),
    sa.Index("ix_ip_allocations_distance", "subnet_id", "distance"),
)
PORT_SECURITY_GROUPS = sa.Table(
    "port_security_groups",
    METADATA,
    sa.Column("port_id", KEY, sa.ForeignKey("ports.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("security_group_id", KEY, sa.ForeignKey("security_groups.id"), primary_key=True, index=True),
)
SUB_PORTS = sa.Table(
    "sub_ports",
    METADATA,
    sa.Column("port_id", KEY, sa.ForeignKey("ports.id"), primary_key=True),
    sa.Column("trunk_id", KEY, sa.ForeignKey("trunks.id", ondelete="CASCADE"), nullable=False),
    sa.Column("segmentation_type", sa.String(32), nullable=False),
    sa.Column("segmentation_id", sa.Integer, nullable=False),
    sa.UniqueConstraint("trunk_id", "segmentation_type", "segmentation_id"),
)
TAGS = sa.Table(
    "tags",
    METADATA,
    sa.Column("resource_id", KEY, primary_key=True),
    sa.Column("tag", sa.String(255), primary_key=True, index=True),
)
SEGMENT_ALLOCATIONS = sa.Table(
    "segment_allocations",
    METADATA,
    sa.Column("network_type", sa.String(32), primary_key=True),
    sa.Column("physical_network", sa.String(64), primary_key=True, doc="Empty for tunnels."),
    sa.Column("segmentation_id", sa.BigInteger, primary_key=True, doc="0 for flat networks."),
    sa.Column("network_id", KEY, nullable=False, index=True),
    sa.ForeignKeyConstraint(  # deferred: a segment is taken before its network's row can name it
        ["network_id"], ["networks.id"], ondelete="CASCADE", deferrable=True, initially="DEFERRED"
    ),
)
QUOTAS = sa.Table(
    "quotas",
    METADATA,
    sa.Column("project_id", KEY, primary_key=True),
    sa.Column("resource", sa.String(64), primary_key=True),
    sa.Column("limit", sa.Integer, nullable=False),
)
DHCP_BINDINGS = sa.Table(
    "dhcp_bindings",
    METADATA,
    sa.Column("network_id", KEY, sa.ForeignKey("networks.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("host", sa.String(255), primary_key=True, index=True),
)
ROUTER_BINDINGS = sa.Table(
    "router_bindings",
    METADATA,
    sa.Column("router_id", KEY, sa.ForeignKey("routers.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("host", sa.String(255), primary_key=True, index=True),
    sa.Column("ha_state", sa.String(16), doc="active, standby or fault, as the host says; null: not known."),
    sa.Column("ha_state_since", sa.String(32), doc="When the host said so, UTC; of several active ones the last is."),
)
HA_NETWORKS = sa.Table(
    "ha_networks",
    METADATA,
    sa.Column("project_id", KEY, primary_key=True, doc="Whose highly available routers elect their hosts on it."),
    sa.Column("network_id", KEY, nullable=False, unique=True),
    sa.ForeignKeyConstraint(  # deferred: the row is taken before there is a network, so that only one is made
        ["network_id"], ["networks.id"], ondelete="CASCADE", deferrable=True, initially="DEFERRED"
    ),
)
AUTO_ALLOCATED_TOPOLOGIES = sa.Table(
    "auto_allocated_topologies",
    METADATA,
    sa.Column("project_id", KEY, primary_key=True),
    sa.Column("network_id", KEY, sa.ForeignKey("networks.id", ondelete="CASCADE"), nullable=False, unique=True),
    sa.Column("router_id", KEY, sa.ForeignKey("routers.id", ondelete="SET NULL"), unique=True),
)
