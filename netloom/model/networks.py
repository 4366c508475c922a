"""Networks."""

from netloom.model.fields import COMPUTED, Field, Resource, admin_state, identity, standard
from netloom.model.kinds import Boolean, Integer, ListOf, Name, Text

NETWORK = Resource(
    name="network",
    plural="networks",
    label="Network",
    not_found="NetworkNotFound",
    bulk=True,
    tagged=True,
    quota=100,
    fields=(
        *identity(),
        Field("name", "CUVFS", Name(), ""),
        Field("subnets", "V", ListOf(item=Text()), (), stored=False, doc="Ids of its subnets."),
        admin_state(),
        Field("status", "VFS", Text()),
        Field("shared", "CUVFP", Boolean(), False, stored=False, doc="Usable by all projects, or by the caller's."),
        Field("router:external", "CUVFP", Boolean(), False, extension="external-net"),
        Field("mtu", "CUVFSP", Integer(least=0), 0, extension="net-mtu", doc="Largest IP packet, octets; 0: computed."),
        Field("availability_zones", "V", ListOf(item=Text()), extension="network_availability_zone", stored=False),
        Field("availability_zone_hints", "CVS", ListOf(item=Text()), (), extension="network_availability_zone"),
        Field("port_security_enabled", "CUVP", Boolean(), True, extension="port-security"),
        Field("provider:network_type", "CUVFP", Text(most=32), COMPUTED, extension="provider"),
        Field("provider:physical_network", "CUVFP", Text(most=64, nullable=True), COMPUTED, extension="provider"),
        Field("provider:segmentation_id", "CUVFP", Integer(nullable=True), COMPUTED, extension="provider"),
        Field("is_default", "CUVFP", Boolean(), False, extension="auto-allocated-topology"),
        *standard(),
    ),
)
