"""Flavors of load balancers, and the profiles that say what each is (Octavia API v2.6).

Source: OpenStack load balancer API reference, v2.
"""

from netloom.model.fields import REQUIRED, Field, Resource
from netloom.model.kinds import Boolean, Text, Uuid

LABEL = Text(least=1, most=255)

FLAVOR_PROFILE = Resource(
    name="flavorprofile",
    plural="flavorprofiles",
    table="lb_flavor_profiles",
    label="Flavor profile",
    fields=(
        Field("id", "VFS", Uuid()),
        Field("name", "CUVFS", LABEL, REQUIRED),
        Field("provider_name", "CUVFS", LABEL, REQUIRED),
        Field("flavor_data", "CUVFS", Text(most=4096), REQUIRED, doc="A JSON object: capabilities and their values."),
    ),
)

FLAVOR = Resource(
    name="flavor",
    plural="flavors",
    table="lb_flavors",
    label="Flavor",
    fields=(
        Field("id", "VFS", Uuid()),
        Field("name", "CUVFS", LABEL, REQUIRED),
        Field("description", "CUVFS", Text(most=255, nullable=True, null_as=str), ""),
        Field("enabled", "CUVFS", Boolean(null_as=lambda: True), True, doc="Whether new load balancers may have it."),
        Field("flavor_profile_id", "CVFS", Uuid(), REQUIRED),
    ),
)
