"""Security groups, their rules, and address groups."""

from netloom.model.fields import COMPUTED, REQUIRED, Field, Resource, identity, standard
from netloom.model.kinds import Anything, Boolean, Choice, Cidr, Integer, ListOf, Name, Text

PROTOCOLS = {
    "ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "hopopt": 0, "icmp": 1, "igmp": 2, "ip": 0, "ipip": 4,
    "ipv6-encap": 41, "ipv6-frag": 44, "ipv6-icmp": 58, "icmpv6": 58, "ipv6-nonxt": 59, "ipv6-opts": 60,
    "ipv6-route": 43, "ospf": 89, "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6, "udp": 17, "udplite": 136, "vrrp": 112,
}  # fmt: skip
"""Protocol names that rules may use, with their IANA numbers."""


def protocol_number(protocol: str | None) -> int:
    """IANA number of a rule's protocol (a known name, or digits); -1 when any will do."""
    if protocol in (None, "any", "ip", "0"):
        return -1
    return PROTOCOLS[protocol] if protocol in PROTOCOLS else int(protocol or 0)


SECURITY_GROUP = Resource(
    name="security_group",
    plural="security_groups",
    label="Security group",
    not_found="SecurityGroupNotFound",
    extension="security-group",
    bulk=True,
    tagged=True,
    quota=10,
    fields=(
        *identity(),
        Field("name", "CUVFS", Name(), ""),
        Field("security_group_rules", "V", ListOf(item=Anything()), stored=False),
        Field("stateful", "CUVF", Boolean(), True, extension="stateful-security-group"),
        Field("shared", "VFP", Boolean(), extension="rbac-security-groups", stored=False),
        *standard(),
    ),
)

SECURITY_GROUP_RULE = Resource(
    name="security_group_rule",
    plural="security_group_rules",
    label="Security group rule",
    not_found="SecurityGroupRuleNotFound",
    extension="security-group",
    bulk=True,
    quota=100,
    fields=(
        *identity(),
        Field("security_group_id", "CVFS", Text(most=36), REQUIRED),
        Field("remote_group_id", "CVFS", Text(nullable=True), None),
        Field("direction", "CVFS", Choice(values=("ingress", "egress")), REQUIRED),
        Field("protocol", "CVFS", Anything(nullable=True), None, doc="Name, number, or null for any."),
        Field("port_range_min", "CVFS", Integer(nullable=True), None),
        Field("port_range_max", "CVFS", Integer(nullable=True), None),
        Field("ethertype", "CVFS", Choice(values=("IPv4", "IPv6"), fold=True), "IPv4"),
        Field("remote_ip_prefix", "CVFS", Text(nullable=True), None),
        Field(
            "remote_address_group_id", "CVFS", Text(nullable=True), None,
            extension="security-groups-remote-address-group",
        ),
        Field("normalized_cidr", "VFS", Cidr(nullable=True), extension="security-groups-normalized-cidr"),
        *standard(tagged=False),
    ),
)  # fmt: skip

ADDRESS_GROUP = Resource(
    name="address_group",
    plural="address_groups",
    label="Address group",
    not_found="AddressGroupNotFound",
    extension="address-group",
    actions={"add_addresses": "PUT", "remove_addresses": "PUT"},
    fields=(
        *identity(),
        Field("name", "CUVFS", Name(), ""),
        Field("description", "CUVFS", Text(most=1024), ""),
        Field("addresses", "CV", ListOf(item=Anything(), null_as=list), COMPUTED),
        Field("shared", "", Boolean(), stored=False),
        *standard(tagged=False, description=False),
    ),
)
