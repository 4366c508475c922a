"""RBAC policies: which project may use an object of another."""

from netloom.model.fields import REQUIRED, Field, Resource, project
from netloom.model.kinds import Text, Uuid

SHAREABLE = {
    "network": ("access_as_shared", "access_as_external"),
    "security_group": ("access_as_shared",),
    "subnetpool": ("access_as_shared",),
    "address_group": ("access_as_shared",),
}
"""Object types and the actions that can be granted on them."""

RBAC_POLICY = Resource(
    name="rbac_policy",
    plural="rbac_policies",
    label="RBAC policy",
    not_found="RbacPolicyNotFound",
    extension="rbac-policies",
    quota=10,
    fields=(
        Field("id", "VF", Uuid()),
        *project("CVF"),
        Field("object_type", "CVFP", Text(), None),
        Field("object_id", "CVFP", Uuid(), REQUIRED),
        Field("target_tenant", "CUVFP", Text(), REQUIRED, doc="A project's id, or ``*``."),
        Field("action", "CVFP", Text(), REQUIRED),
    ),
)
