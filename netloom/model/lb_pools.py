"""Pools of servers behind load balancers, their members, and how those are watched (Octavia API v2)."""

from netloom.model.fields import REQUIRED, Field, Resource
from netloom.model.kinds import Anything, Boolean, Choice, Integer, IpAddress, ListOf, Object, Record, Text, Uuid
from netloom.model.loadbalancers import PORT_NUMBER, REFERENCE, description, head, tail

POOL_PROTOCOLS = ("TCP", "HTTP", "HTTPS", "PROXY", "PROXYV2", "UDP")
ALGORITHMS = ("ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP", "SOURCE_IP_PORT")
MONITOR_TYPES = ("HTTP", "HTTPS", "PING", "TCP", "TLS-HELLO", "UDP-CONNECT")
HTTP_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "OPTIONS", "CONNECT", "PATCH")
SESSION_PERSISTENCE = Record(
    members={
        "type": Choice(values=("SOURCE_IP", "HTTP_COOKIE", "APP_COOKIE")),
        "cookie_name": Text(most=255, nullable=True, pattern=r"[!#$%&'*+\-.^_`|~0-9A-Za-z]*"),
        "persistence_timeout": Integer(least=0, nullable=True),
        "persistence_granularity": IpAddress(nullable=True),
    },
    required=frozenset({"type"}),
    nullable=True,
)
CODES = r"\d{3}(\s*-\s*\d{3}|(\s*,\s*\d{3})*)"
"""Expected status codes: one, a list, or a range."""
PATH = r"/[!-~]*"

POOL = Resource(
    name="pool",
    plural="pools",
    table="lb_pools",
    label="Pool",
    tagged=True,
    quota=-1,
    fields=(
        *head(),
        description(),
        Field("loadbalancer_id", "CF", Uuid()),
        Field("listener_id", "C", Uuid(), stored=False, doc="The listener whose default pool it becomes."),
        Field("protocol", "CVFS", Choice(values=POOL_PROTOCOLS), REQUIRED),
        Field("lb_algorithm", "CUVFS", Choice(values=ALGORITHMS), REQUIRED),
        Field("session_persistence", "CUV", SESSION_PERSISTENCE, None),
        Field("tls_enabled", "CUVFS", Boolean(null_as=bool), False),
        Field("tls_container_ref", "CUVFS", REFERENCE, None),
        Field("ca_tls_container_ref", "CUVFS", REFERENCE, None),
        Field("crl_container_ref", "CUVFS", REFERENCE, None),
        Field("tls_ciphers", "CUVFS", Text(most=2048, nullable=True), None),
        Field("tls_versions", "CUV", ListOf(item=Text(most=16), null_as=list), ()),
        Field("alpn_protocols", "CUV", ListOf(item=Text(most=16), null_as=list), ()),
        Field("loadbalancers", "V", Anything(), stored=False),
        Field("listeners", "V", Anything(), stored=False),
        Field("members", "CV", ListOf(item=Object(), null_as=list), (), stored=False),
        Field("healthmonitor", "C", Object(nullable=True), stored=False),
        Field("healthmonitor_id", "V", Uuid(), stored=False),
        *tail(),
    ),
)

MEMBER = Resource(
    name="member",
    plural="members",
    table="lb_members",
    label="Member",
    tagged=True,
    quota=-1,
    fields=(
        *head(),
        Field("pool_id", "", Uuid()),
        Field("address", "CVFS", IpAddress(as_given=True), REQUIRED),
        Field("protocol_port", "CVFS", PORT_NUMBER, REQUIRED),
        Field("weight", "CUVFS", Integer(least=0, most=256, null_as=lambda: 1), 1),
        Field("backup", "CUVFS", Boolean(null_as=bool), False),
        Field("subnet_id", "CVFS", Uuid(nullable=True), None),
        Field("monitor_address", "CUVFS", IpAddress(as_given=True, nullable=True), None),
        Field("monitor_port", "CUVFS", Integer(least=1, most=65535, nullable=True), None),
        Field("request_sriov", "C", Boolean(), stored=False),
        Field("vnic_type", "VFS", Text()),
        *tail(),
    ),
)

HEALTHMONITOR = Resource(
    name="healthmonitor",
    plural="healthmonitors",
    table="lb_healthmonitors",
    label="Health Monitor",
    tagged=True,
    quota=-1,
    fields=(
        *head(),
        Field("pool_id", "C", Uuid(), REQUIRED, stored=False),
        Field("type", "CVFS", Choice(values=MONITOR_TYPES), REQUIRED),
        Field("delay", "CUVFS", Integer(least=0), REQUIRED, doc="Seconds between checks."),
        Field("timeout", "CUVFS", Integer(least=0), REQUIRED, doc="Seconds after which a check has failed."),
        Field("max_retries", "CUVFS", Integer(least=1, most=10), REQUIRED),
        Field("max_retries_down", "CUVFS", Integer(least=1, most=10, null_as=lambda: 3), 3),
        Field("http_method", "CUVFS", Choice(values=HTTP_METHODS, nullable=True)),
        Field("url_path", "CUVFS", Text(most=255, nullable=True, pattern=PATH)),
        Field("expected_codes", "CUVFS", Text(most=64, nullable=True, pattern=CODES)),
        Field("http_version", "CUV", Choice(values=("1.0", "1.1"), nullable=True), None),
        Field("domain_name", "CUVFS", Text(most=255, nullable=True, pattern=r"[0-9A-Za-z.-]+"), None),
        Field("pools", "V", Anything(), stored=False),
        *tail(operating=False),
    ),
)
