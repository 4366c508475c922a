"""Subnets and subnet pools."""

from netloom.model.fields import COMPUTED, REQUIRED, Field, Resource, identity, standard
from netloom.model.kinds import (
    Boolean,
    Choice,
    Cidr,
    Integer,
    IntegerChoice,
    IpAddress,
    Kind,
    ListOf,
    Name,
    Record,
    SpokenInteger,
    Text,
    Uuid,
)

IPV6_MODE = Choice(values=("dhcpv6-stateful", "dhcpv6-stateless", "slaac"), nullable=True)
POOL = Record(members={"start": IpAddress(), "end": IpAddress()}, required=frozenset({"start", "end"}), texts=True)
HOST_ROUTE = Record(
    members={"destination": Cidr(strict=True), "nexthop": IpAddress()},
    required=frozenset({"destination", "nexthop"}),
    texts=True,
)


class SubnetPoolId(Uuid):
    """A pool's id, or the word that asks for prefix delegation."""

    def check(self, value: object) -> object:
        return value if value == "prefix_delegation" else Uuid.check(self, value)


def _list(item: Kind) -> ListOf:
    return ListOf(item=item, distinct=True, null_as=list)


SUBNET = Resource(
    name="subnet",
    plural="subnets",
    label="Subnet",
    not_found="SubnetNotFound",
    bulk=True,
    tagged=True,
    quota=100,
    fields=(
        *identity(),
        Field("name", "CUVFS", Name(), ""),
        Field("ip_version", "CVFS", IntegerChoice(values=(4, 6)), REQUIRED),
        Field("network_id", "CVFS", Uuid(), REQUIRED),
        Field("subnetpool_id", "CVFS", SubnetPoolId(nullable=True), COMPUTED, extension="subnet_allocation"),
        Field("prefixlen", "C", Integer(least=0), COMPUTED, extension="subnet_allocation", stored=False),
        Field("cidr", "CVFS", Cidr(nullable=True), COMPUTED),
        Field("gateway_ip", "CUVFS", IpAddress(nullable=True), COMPUTED, doc="null: no gateway."),
        Field("allocation_pools", "CUV", ListOf(item=POOL), COMPUTED),
        Field("dns_nameservers", "CUV", _list(IpAddress()), COMPUTED),
        Field("host_routes", "CUV", _list(HOST_ROUTE), COMPUTED),
        Field("enable_dhcp", "CUVFS", Boolean(), True),
        Field("ipv6_ra_mode", "CVFS", IPV6_MODE, COMPUTED),
        Field("ipv6_address_mode", "CVFS", IPV6_MODE, COMPUTED),
        Field("shared", "FP", Boolean(), stored=False, doc="Filter only: whether its network is shared."),
        Field("service_types", "CUV", ListOf(item=Text(), null_as=list), COMPUTED, extension="subnet-service-types"),
        Field("use_default_subnetpool", "C", Boolean(), False, extension="default-subnetpools", stored=False),
        Field("router:external", "VFP", Boolean(), extension="subnet-external-network", stored=False),
        *standard(),
    ),
)

SUBNETPOOL = Resource(
    name="subnetpool",
    plural="subnetpools",
    label="Subnet pool",
    not_found="SubnetPoolNotFound",
    extension="subnet_allocation",
    tagged=True,
    quota=-1,
    actions={"add_prefixes": "PUT", "remove_prefixes": "PUT"},
    fields=(
        *identity(),
        Field("name", "CUVFS", Name(least=1), REQUIRED),
        Field("prefixes", "CUV", ListOf(item=Cidr(strict=True)), REQUIRED),
        Field("default_quota", "CUVFS", Integer(least=0, nullable=True), COMPUTED),
        Field("ip_version", "VFS", IntegerChoice(values=(4, 6))),
        Field("default_prefixlen", "CUVFS", SpokenInteger(least=0), COMPUTED),
        Field("min_prefixlen", "CUVFS", SpokenInteger(least=0), COMPUTED),
        Field("max_prefixlen", "CUVFS", SpokenInteger(least=0), COMPUTED),
        Field("is_default", "CUVFSP", Boolean(), False),
        Field("shared", "CVFSP", Boolean(), False, stored=False),
        *standard(),
    ),
)
