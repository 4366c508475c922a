"""All resources of the Networking API, in the order of the reference."""

from collections.abc import Mapping

from netloom.model.agents import AGENT, AVAILABILITY_ZONE
from netloom.model.auto_allocation import AUTO_ALLOCATED_TOPOLOGY
from netloom.model.availability import NETWORK_IP_AVAILABILITY
from netloom.model.fields import Resource
from netloom.model.networks import NETWORK
from netloom.model.ports import PORT
from netloom.model.routers import FLOATINGIP, ROUTER
from netloom.model.security_groups import ADDRESS_GROUP, SECURITY_GROUP, SECURITY_GROUP_RULE
from netloom.model.sharing import RBAC_POLICY
from netloom.model.subnets import SUBNET, SUBNETPOOL
from netloom.model.trunks import TRUNK

RESOURCES: tuple[Resource, ...] = (
    NETWORK,
    SUBNET,
    PORT,
    SUBNETPOOL,
    ROUTER,
    FLOATINGIP,
    SECURITY_GROUP,
    SECURITY_GROUP_RULE,
    ADDRESS_GROUP,
    RBAC_POLICY,
    TRUNK,
    AGENT,
    AVAILABILITY_ZONE,
    NETWORK_IP_AVAILABILITY,
    AUTO_ALLOCATED_TOPOLOGY,
)

BY_COLLECTION: Mapping[str, Resource] = {item.collection: item for item in RESOURCES}
BY_PLURAL: Mapping[str, Resource] = {item.plural: item for item in RESOURCES}
