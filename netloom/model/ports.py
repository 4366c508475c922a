"""Ports."""

from netloom.model.fields import COMPUTED, REQUIRED, Field, Resource, admin_state, identity, standard
from netloom.model.kinds import (
    Boolean,
    Choice,
    IntegerChoice,
    IpAddress,
    ListOf,
    Mac,
    Name,
    Object,
    Record,
    Text,
    Uuid,
)

UNBOUND, BINDING_FAILED, PLUGGED = "unbound", "binding_failed", "ovs"
"""``binding:vif_type`` of a port without a host, of one that its host cannot plug, and of one that it can."""
VNIC_TYPES = (
    "normal", "direct", "macvtap", "baremetal", "direct-physical", "virtio-forwarder", "smart-nic", "vdpa",
    "accelerator-direct", "accelerator-direct-physical", "remote-managed",
)  # fmt: skip

FIXED_IP = Record(
    members={"subnet_id": Uuid(), "ip_address": IpAddress(), "delete_subnet": Boolean()},
    texts=True,
)
ADDRESS_PAIR = Record(members={"ip_address": Text(most=64), "mac_address": Mac()}, texts=True)
DHCP_OPTION = Record(
    members={
        "opt_name": Text(most=64, least=1),
        "opt_value": Text(most=255, nullable=True),
        "ip_version": IntegerChoice(values=(4, 6)),
    },
    required=frozenset({"opt_name"}),
    texts=True,
)

PORT = Resource(
    name="port",
    plural="ports",
    label="Port",
    not_found="PortNotFound",
    bulk=True,
    tagged=True,
    quota=500,
    fields=(
        *identity(),
        Field("name", "CUVFS", Name(), ""),
        Field("network_id", "CVFS", Uuid(), REQUIRED),
        admin_state(),
        Field("mac_address", "CUVFSP", Mac(nullable=True), COMPUTED),
        Field("fixed_ips", "CUVFP", ListOf(item=FIXED_IP), COMPUTED, stored=False),
        Field("device_id", "CUVFSP", Text(), ""),
        Field("device_owner", "CUVFSP", Text(), ""),
        Field("status", "VFS", Text()),
        Field(
            "allowed_address_pairs", "CUVP", ListOf(item=ADDRESS_PAIR, null_as=list), COMPUTED,
            extension="allowed-address-pairs",
        ),
        Field("extra_dhcp_opts", "CUV", ListOf(item=DHCP_OPTION, nullable=True), None, extension="extra_dhcp_opt"),
        Field("binding:vif_type", "VP", Text(), extension="binding"),
        Field("binding:vif_details", "VP", Object(nullable=True), extension="binding", stored=False),
        Field("binding:vnic_type", "CUVP", Choice(values=VNIC_TYPES), "normal", extension="binding"),
        Field("binding:host_id", "CUVFP", Text(nullable=True), COMPUTED, extension="binding"),
        Field("binding:profile", "CUVP", Object(nullable=True), COMPUTED, extension="binding"),
        Field("port_security_enabled", "CUVP", Boolean(), COMPUTED, extension="port-security"),
        Field(
            "security_groups", "CUVF", ListOf(item=Uuid(), distinct=True, null_as=list), COMPUTED,
            extension="security-group", stored=False,
        ),
        Field("trunk_details", "VP", Object(), extension="trunk-details", stored=False),
        *standard(tagged=False),
        Field(
            "tags", "CVF", ListOf(item=Text(most=255), distinct=True), (), extension="tag-ports-during-bulk-creation",
            stored=False,
        ),
    ),
)  # fmt: skip
