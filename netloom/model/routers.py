"""Routers and floating IPs."""

from netloom.model.fields import COMPUTED, REQUIRED, Field, Resource, admin_state, identity, standard
from netloom.model.kinds import Boolean, Cidr, IpAddress, ListOf, Name, Object, Record, Text, Uuid

GATEWAY = Record(
    members={
        "network_id": Uuid(),
        "enable_snat": Boolean(),
        "external_fixed_ips": ListOf(
            item=Record(members={"subnet_id": Uuid(), "ip_address": IpAddress()}), null_as=list
        ),
    },
    nullable=True,
)
ROUTE = Record(
    members={"destination": Cidr(strict=True), "nexthop": IpAddress()},
    required=frozenset({"destination", "nexthop"}),
    texts=True,
)

ROUTER = Resource(
    name="router",
    plural="routers",
    label="Router",
    not_found="RouterNotFound",
    extension="router",
    tagged=True,
    quota=10,
    actions={
        "add_router_interface": "PUT",
        "remove_router_interface": "PUT",
        "add_extraroutes": "PUT",
        "remove_extraroutes": "PUT",
    },
    fields=(
        *identity(),
        Field("name", "CUVFS", Name(), ""),
        admin_state(),
        Field("status", "VS", Text()),
        Field("external_gateway_info", "CUVP", GATEWAY, None, extension="router", stored=False),
        Field("distributed", "CUVP", Boolean(nullable=True), COMPUTED, extension="dvr"),
        Field("ha", "CUVP", Boolean(nullable=True), COMPUTED, extension="l3-ha"),
        Field("availability_zones", "V", ListOf(item=Text()), extension="router_availability_zone", stored=False),
        Field("availability_zone_hints", "CV", ListOf(item=Text()), (), extension="router_availability_zone"),
        Field("routes", "UV", ListOf(item=ROUTE, distinct=True, null_as=list), extension="extraroute"),
        *standard(),
    ),
)

FLOATINGIP = Resource(
    name="floatingip",
    plural="floatingips",
    label="Floating IP",
    not_found="FloatingIPNotFound",
    extension="router",
    tagged=True,
    quota=50,
    fields=(
        *identity(),
        Field("floating_ip_address", "CVFSP", IpAddress(nullable=True), None),
        Field("subnet_id", "C", Uuid(nullable=True), None, stored=False),
        Field("floating_network_id", "CVFS", Uuid(), REQUIRED),
        Field("router_id", "VFS", Uuid(nullable=True), None),
        Field("port_id", "CUVF", Uuid(nullable=True), None),
        Field("fixed_ip_address", "CUVFS", IpAddress(nullable=True), None),
        Field("status", "VFS", Text()),
        Field("port_details", "V", Object(nullable=True), extension="fip-port-details", stored=False),
        *standard(),
    ),
)
