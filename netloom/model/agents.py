"""Agents and availability zones: the hosts' roles as the API shows them."""

from dataclasses import dataclass
from typing import Any

from netloom.model.fields import Field, Resource
from netloom.model.kinds import Boolean, Object, Text, Time, Uuid

TYPES = ("DHCP agent", "L3 agent", "Loadbalancer agent", "Metadata agent", "Open vSwitch agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentType(Text):
    """The type of an agent; the known ones in any case of letters, as databases with such an order have taught."""

    def check(self, value: Any) -> Any:
        """The stored form."""
        text = Text.check(self, value)
        return next((known for known in TYPES if known.lower() == text.lower()), text)


AGENT = Resource(
    name="agent",
    plural="agents",
    label="Agent",
    not_found="AgentNotFound",
    extension="agent",
    verbs=frozenset({"list", "show", "update", "delete"}),
    fields=(
        Field("id", "VFS", Uuid()),
        Field("agent_type", "VFS", AgentType(), doc="For example ``Open vSwitch agent``."),
        Field("binary", "VFS", Text()),
        Field("topic", "VFS", Text()),
        Field("host", "VFS", Text()),
        Field("admin_state_up", "UVFS", Boolean()),
        Field("created_at", "VS", Time()),
        Field("started_at", "VS", Time()),
        Field("heartbeat_timestamp", "VS", Time()),
        Field("alive", "VFS", Boolean(), stored=False),
        Field("configurations", "V", Object()),
        Field("description", "UVFS", Text(most=255, nullable=True)),
        Field("availability_zone", "VF", Text(nullable=True), extension="availability_zone"),
    ),
)

AVAILABILITY_ZONE = Resource(
    name="availability_zone",
    plural="availability_zones",
    path="availability_zones",
    label="Availability zone",
    not_found="AvailabilityZoneNotFound",
    extension="availability_zone",
    verbs=frozenset({"list"}),
    fields=(
        Field("name", "VF", Text(), stored=False),
        Field("resource", "VF", Text(), stored=False),
        Field("state", "VF", Text(), stored=False),
    ),
)
