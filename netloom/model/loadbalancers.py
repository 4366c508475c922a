"""Load balancers and their listeners (Octavia API v2).

Source: OpenStack load balancer API reference, v2.
"""

from typing import Any

from netloom.model.fields import REQUIRED, Field, Resource, admin_state
from netloom.model.kinds import (
    Anything,
    Boolean,
    Choice,
    Cidr,
    Integer,
    Invalid,
    IpAddress,
    ListOf,
    Object,
    Record,
    Text,
    Time,
    Uuid,
)

PORT_NUMBER = Integer(least=1, most=65535)
NAME = Text(most=255, nullable=True, null_as=str)
TAG_LIST = ListOf(item=Text(most=255), distinct=True, null_as=list)
REFERENCE = Text(most=255, nullable=True)
"""Where a certificate is kept."""
TLS_VERSION = Choice(values=("SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"))
ALPN_PROTOCOL = Choice(values=("http/1.0", "http/1.1", "h2"))
HTTP_PROTOCOLS = ("HTTP", "TERMINATED_HTTPS")
LISTENER_PROTOCOLS = ("TCP", "HTTP", "HTTPS", "TERMINATED_HTTPS", "UDP")
INSERTABLE = (
    "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto", "X-SSL-Client-Verify", "X-SSL-Client-Has-Cert",
    "X-SSL-Client-DN", "X-SSL-Client-CN", "X-SSL-Issuer", "X-SSL-Client-SHA1", "X-SSL-Client-Not-Before",
    "X-SSL-Client-Not-After",
)  # fmt: skip
"""Headers that a listener can add to requests."""


class HeaderSwitch(Text):
    """Whether a header is inserted: ``true`` or ``false``, as text."""

    def check(self, value: Any) -> Any:
        text = str(value).lower() if isinstance(value, bool) else value
        if not isinstance(text, str) or text.lower() not in ("true", "false"):
            raise Invalid(f"'{value}' is not 'true' or 'false'")
        return text.lower()


INSERT_HEADERS = Record(members={name: HeaderSwitch() for name in INSERTABLE}, null_as=dict)


def head() -> tuple[Field, ...]:
    """The attributes with which all objects begin."""
    return (
        Field("id", "VFS", Uuid()),
        Field("project_id", "CVFS", Text(most=255)),
        Field("tenant_id", "C", Text(most=255), stored=False, doc="The project under its older name."),
        Field("name", "CUVFS", NAME, "", doc="A name for people."),
        admin_state(),
    )


def description() -> Field:
    """What people say of an object."""
    return Field("description", "CUVFS", NAME, "", doc="What people say of it.")


def tail(operating: bool = True) -> tuple[Field, ...]:
    """The attributes with which all objects end; ``operating``: whether hosts tell of this kind of object."""
    return (
        Field("provisioning_status", "VF", Text(), stored=False, doc="ACTIVE, PENDING_CREATE, PENDING_UPDATE, ERROR."),
        Field("operating_status", "VF", Text(), stored=operating, doc="As the hosts find it."),
        Field("created_at", "VFS", Time()),
        Field("updated_at", "VFS", Time()),
        Field("tags", "CUVF", TAG_LIST, (), stored=False),
    )


LOADBALANCER = Resource(
    name="loadbalancer",
    plural="loadbalancers",
    table="lb_loadbalancers",
    label="Load Balancer",
    tagged=True,
    quota=10,
    fields=(
        *head(),
        description(),
        Field("vip_address", "CVFS", IpAddress(nullable=True), doc="Address that clients connect to."),
        Field("vip_port_id", "CVFS", Uuid(nullable=True)),
        Field("vip_network_id", "CVFS", Uuid(nullable=True)),
        Field("vip_subnet_id", "CVFS", Uuid(nullable=True)),
        Field("vip_qos_policy_id", "CUVFS", Uuid(nullable=True)),
        Field("vip_sg_ids", "CUV", ListOf(item=Uuid(), distinct=True, null_as=list), ()),
        Field("vip_vnic_type", "VFS", Text()),
        Field("additional_vips", "CV", ListOf(item=Object(), most=0, null_as=list), ()),
        Field("provider", "CVFS", Text(most=64, nullable=True)),
        Field("flavor_id", "CVFS", Uuid(nullable=True)),
        Field("availability_zone", "CVFS", Text(nullable=True)),
        Field("listeners", "CV", ListOf(item=Object(), null_as=list), (), stored=False),
        Field("pools", "CV", ListOf(item=Object(), null_as=list), (), stored=False),
        *tail(),
    ),
)

LISTENER = Resource(
    name="listener",
    plural="listeners",
    table="lb_listeners",
    label="Listener",
    tagged=True,
    quota=-1,
    fields=(
        *head(),
        description(),
        Field("loadbalancer_id", "CF", Uuid(), REQUIRED),
        Field("protocol", "CVFS", Choice(values=LISTENER_PROTOCOLS), REQUIRED),
        Field("protocol_port", "CVFS", PORT_NUMBER, REQUIRED),
        Field("connection_limit", "CUVFS", Integer(least=-1, null_as=lambda: -1), -1),
        Field("default_pool_id", "CUVFS", Uuid(nullable=True), None),
        Field("default_pool", "C", Object(), stored=False, doc="A pool that is made along with it."),
        Field("insert_headers", "CUV", INSERT_HEADERS, {}),
        Field("timeout_client_data", "CUVFS", Integer(least=0, most=2_073_600_000, null_as=lambda: 50_000), 50_000),
        Field("timeout_member_connect", "CUVFS", Integer(least=0, most=2_073_600_000, null_as=lambda: 5_000), 5_000),
        Field("timeout_member_data", "CUVFS", Integer(least=0, most=2_073_600_000, null_as=lambda: 50_000), 50_000),
        Field("timeout_tcp_inspect", "CUVFS", Integer(least=0, most=2_073_600_000, null_as=int), 0),
        Field("allowed_cidrs", "CUV", ListOf(item=Cidr(), nullable=True), None),
        Field("default_tls_container_ref", "CUVFS", REFERENCE, None),
        Field("sni_container_refs", "CUV", ListOf(item=Text(most=255), null_as=list), ()),
        Field("client_ca_tls_container_ref", "CUVFS", REFERENCE, None),
        Field("client_crl_container_ref", "CUVFS", REFERENCE, None),
        Field(
            "client_authentication", "CUVF",
            Choice(values=("NONE", "OPTIONAL", "MANDATORY"), null_as=lambda: "NONE"), "NONE",
        ),
        Field("tls_ciphers", "CUVFS", Text(most=2048, nullable=True), None),
        Field("tls_versions", "CUV", ListOf(item=TLS_VERSION, null_as=list), ()),
        Field("alpn_protocols", "CUV", ListOf(item=ALPN_PROTOCOL, null_as=list), ()),
        Field("hsts_max_age", "CUVFS", Integer(least=0, nullable=True), None),
        Field("hsts_include_subdomains", "CUVFS", Boolean(null_as=bool), False),
        Field("hsts_preload", "CUVFS", Boolean(null_as=bool), False),
        Field("loadbalancers", "V", Anything(), stored=False),
        Field("l7policies", "CV", ListOf(item=Object(), null_as=list), (), stored=False),
        *tail(),
    ),
)  # fmt: skip
