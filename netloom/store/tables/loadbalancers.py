"""Tables of load balancing: one engine for both of its APIs.

Rows with ``api`` 1 were made through LBaaS v1: its pool is a load balancer and a pool of the same id, its VIP a
listener, whose address belongs to that load balancer.
"""

import sqlalchemy as sa

from netloom.model.lb_flavors import FLAVOR, FLAVOR_PROFILE
from netloom.model.lb_l7 import L7POLICY, L7RULE
from netloom.model.lb_pools import HEALTHMONITOR, MEMBER, POOL
from netloom.model.loadbalancers import LISTENER, LOADBALANCER
from netloom.store.tables.base import KEY, METADATA, resource_table


def _api() -> sa.Column[int]:
    return sa.Column("api", sa.Integer, nullable=False, doc="1: LBaaS v1, 2: Octavia v2.")


def _generations() -> tuple[sa.Column[int], sa.Column[int]]:
    return (
        sa.Column("made", sa.Integer, nullable=False, doc="Generation of its load balancer in which it was made."),
        sa.Column("touched", sa.Integer, nullable=False, doc="Generation in which it, or what is below it, changed."),
    )


FLAVOR_PROFILES = resource_table(FLAVOR_PROFILE)
FLAVORS = resource_table(
    FLAVOR,
    sa.ForeignKeyConstraint(["flavor_profile_id"], ["lb_flavor_profiles.id"]),
    sa.UniqueConstraint("name"),
)
LOADBALANCERS = resource_table(
    LOADBALANCER,
    _api(),
    sa.Column("generation", sa.Integer, nullable=False, doc="Grows with every change of what its hosts must do."),
    sa.Column("own_port", sa.Boolean, nullable=False, doc="Whether the VIP's port goes with it."),
    sa.Column("vrid", sa.Integer, doc="Virtual router id (VRRP), 1 to 255; null when it is on one host."),
    sa.ForeignKeyConstraint(["vip_port_id"], ["ports.id"]),
    sa.UniqueConstraint("vip_network_id", "vrid"),
    sa.UniqueConstraint("vip_port_id"),
    sa.Index(None, "project_id"),
)
LISTENERS = resource_table(
    LISTENER,
    _api(),
    *_generations(),
    sa.ForeignKeyConstraint(["loadbalancer_id"], ["lb_loadbalancers.id"], ondelete="CASCADE"),
    sa.ForeignKeyConstraint(["default_pool_id"], ["lb_pools.id"]),
    sa.Index(None, "loadbalancer_id"),
    sa.Index(None, "default_pool_id"),
    sa.Index(None, "project_id"),
)
POOLS = resource_table(
    POOL,
    _api(),
    sa.Column("subnet_id", KEY, doc="Of the members, as LBaaS v1 has it."),
    *_generations(),
    sa.ForeignKeyConstraint(["loadbalancer_id"], ["lb_loadbalancers.id"], ondelete="CASCADE"),
    sa.Index(None, "loadbalancer_id"),
    sa.Index(None, "project_id"),
)
MEMBERS = resource_table(
    MEMBER,
    _api(),
    *_generations(),
    sa.ForeignKeyConstraint(["pool_id"], ["lb_pools.id"], ondelete="CASCADE"),
    sa.UniqueConstraint("pool_id", "address", "protocol_port"),
    sa.Index(None, "project_id"),
)
HEALTHMONITORS = resource_table(HEALTHMONITOR, _api(), *_generations(), sa.Index(None, "project_id"))
POOL_MONITORS = sa.Table(
    "lb_pool_monitors",
    METADATA,
    sa.Column("pool_id", KEY, sa.ForeignKey("lb_pools.id", ondelete="CASCADE"), primary_key=True),
    sa.Column(
        "healthmonitor_id", KEY, sa.ForeignKey("lb_healthmonitors.id", ondelete="CASCADE"), primary_key=True, index=True
    ),
)
L7POLICIES = resource_table(
    L7POLICY,
    *_generations(),
    sa.ForeignKeyConstraint(["listener_id"], ["lb_listeners.id"], ondelete="CASCADE"),
    sa.ForeignKeyConstraint(["redirect_pool_id"], ["lb_pools.id"]),
    sa.Index(None, "listener_id"),
    sa.Index(None, "redirect_pool_id"),
    sa.Index(None, "project_id"),
)
L7RULES = resource_table(
    L7RULE,
    *_generations(),
    sa.ForeignKeyConstraint(["l7policy_id"], ["lb_l7policies.id"], ondelete="CASCADE"),
    sa.Index(None, "l7policy_id"),
    sa.Index(None, "project_id"),
)
LB_BINDINGS = sa.Table(
    "lb_bindings",
    METADATA,
    sa.Column("loadbalancer_id", KEY, sa.ForeignKey("lb_loadbalancers.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("host", sa.String(255), primary_key=True, index=True),
    sa.Column("port_id", KEY, sa.ForeignKey("ports.id"), unique=True, doc="From which it elects; null when alone."),
    sa.Column("revision", sa.Integer, doc="Generation of the balancer that the host has told of last."),
    sa.Column("state", sa.String(16), doc="What became of that there: applied, waiting or failed."),
    sa.Column("reason", sa.Text),
    sa.Column("ha_state", sa.String(16), doc="active, standby or fault, as the host says; null: not known."),
)
LB_STATISTICS = sa.Table(
    "lb_statistics",
    METADATA,
    sa.Column("listener_id", KEY, sa.ForeignKey("lb_listeners.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("host", sa.String(255), primary_key=True),
    sa.Column("worker", sa.String(64), primary_key=True, doc="A process from its start to its end: it counts from 0."),
    *(
        sa.Column(name, sa.BigInteger, nullable=False, default=0)
        for name in ("active_connections", "bytes_in", "bytes_out", "request_errors", "total_connections")
    ),
)
LB_SECRETS = sa.Table(
    "lb_secrets",
    METADATA,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("project_id", KEY, nullable=False, index=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False, doc="Certificates and a private key, PEM."),
    sa.Column("created_at", sa.Text, nullable=False),
)
