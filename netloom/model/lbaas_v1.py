"""Load balancing as the Networking API had it first (LBaaS v1): pools, their members and monitors, and VIPs."""

from netloom.model.fields import REQUIRED, Field, Resource, admin_state, identity
from netloom.model.kinds import Anything, Choice, Integer, IpAddress, ListOf, Record, Text, Uuid
from netloom.model.lb_pools import CODES, PATH

PROTOCOL = Choice(values=("TCP", "HTTP", "HTTPS"))
PORT = Integer(least=0, most=65535)
PERSISTENCE = Record(
    members={
        "type": Choice(values=("SOURCE_IP", "HTTP_COOKIE", "APP_COOKIE")),
        "cookie_name": Text(most=255, nullable=True, pattern=r"[!#$%&'*+\-.^_`|~0-9A-Za-z]*"),
    },
    texts=True,
    null_as=dict,
)
BY_HTTP = ("http_method", "url_path", "expected_codes")
"""Attributes of health monitors that ask by HTTP or HTTPS; others do not show them."""


def _status() -> tuple[Field, ...]:
    return (
        Field("status", "VF", Text(), stored=False, doc="PENDING_CREATE until there is a VIP, then as the hosts say."),
        Field("status_description", "V", Text(nullable=True), stored=False),
    )


LB_POOL = Resource(
    name="pool",
    plural="pools",
    path="lb/pools",
    table="lb_pools",
    label="Pool",
    not_found="PoolNotFound",
    extension="lbaas",
    quota=10,
    fields=(
        *identity(),
        Field("vip_id", "VF", Uuid(nullable=True), stored=False),
        Field("name", "CUVFS", Text(most=255), ""),
        Field("description", "CUVF", Text(most=255), ""),
        Field("subnet_id", "CVF", Uuid(), REQUIRED),
        Field("protocol", "CVFS", PROTOCOL, REQUIRED),
        Field("provider", "CVF", Choice(values=("haproxy",), nullable=True), "haproxy", stored=False),
        Field(
            "lb_method", "CUVF", Choice(values=("ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP")), REQUIRED,
            stored=False,
        ),
        Field("members", "V", Anything(), stored=False),
        Field("health_monitors", "CUV", ListOf(item=Uuid(), distinct=True, null_as=list), (), stored=False),
        Field("health_monitors_status", "V", Anything(), stored=False),
        admin_state(),
        *_status(),
    ),
)  # fmt: skip
LB_MEMBER = Resource(
    name="member",
    plural="members",
    path="lb/members",
    table="lb_members",
    label="Member",
    not_found="MemberNotFound",
    extension="lbaas",
    quota=-1,
    fields=(
        *identity(),
        Field("pool_id", "CUVF", Uuid(), REQUIRED),
        Field("address", "CVFS", IpAddress(), REQUIRED),
        Field("protocol_port", "CVFS", PORT, REQUIRED),
        Field("weight", "CUVFS", Integer(least=0, most=256), 1),
        admin_state(),
        *_status(),
    ),
)
LB_MONITOR = Resource(
    name="health_monitor",
    plural="health_monitors",
    path="lb/health_monitors",
    table="lb_healthmonitors",
    label="Health_monitor",
    not_found="HealthMonitorNotFound",
    extension="lbaas",
    quota=-1,
    fields=(
        *identity(),
        Field("type", "CVFS", Choice(values=("PING", "TCP", "HTTP", "HTTPS")), REQUIRED),
        Field("delay", "CUVF", Integer(least=0), REQUIRED),
        Field("timeout", "CUVF", Integer(least=0), REQUIRED),
        Field("max_retries", "CUVF", Integer(least=1, most=10), REQUIRED),
        Field("http_method", "CUVF", Text(most=16, pattern="[A-Z]+"), "GET"),
        Field("url_path", "CUVF", Text(most=255, pattern=PATH), "/"),
        Field("expected_codes", "CUVF", Text(most=64, pattern=CODES), "200"),
        Field("pools", "V", Anything(), stored=False),
        admin_state(),
        *_status(),
    ),
)
LB_VIP = Resource(
    name="vip",
    plural="vips",
    path="lb/vips",
    table="lb_listeners",
    label="Vip",
    not_found="VipNotFound",
    extension="lbaas",
    quota=10,
    fields=(
        *identity(),
        Field("name", "CUVFS", Text(most=255), ""),
        Field("description", "CUVF", Text(most=255), ""),
        Field("subnet_id", "CVF", Uuid(), REQUIRED, stored=False),
        Field("address", "CVF", IpAddress(nullable=True), stored=False),
        Field("port_id", "VF", Uuid(), stored=False),
        Field("protocol_port", "CVFS", PORT, REQUIRED),
        Field("protocol", "CVFS", PROTOCOL, REQUIRED),
        Field("pool_id", "CUVF", Uuid(), REQUIRED, stored=False),
        Field("session_persistence", "CUV", PERSISTENCE, {}, stored=False),
        Field("connection_limit", "CUVF", Integer(least=-1), -1),
        admin_state(),
        *_status(),
    ),
)
RESOURCES = (LB_POOL, LB_MEMBER, LB_MONITOR, LB_VIP)
