"""How many addresses of each network are in use."""

from netloom.model.fields import Field, Resource, project
from netloom.model.kinds import Anything, Integer, ListOf, Text, Uuid

NETWORK_IP_AVAILABILITY = Resource(
    name="network_ip_availability",
    plural="network_ip_availabilities",
    label="Network IP availability",
    not_found="NetworkNotFound",
    extension="network-ip-availability",
    verbs=frozenset({"list", "show"}),
    fields=(
        Field("network_id", "VFS", Uuid(), stored=False),
        Field("network_name", "VF", Text(), stored=False),
        *project("VF"),
        Field("total_ips", "V", Integer(), stored=False),
        Field("used_ips", "V", Integer(), stored=False),
        Field("subnet_ip_availability", "V", ListOf(item=Anything()), stored=False),
        Field("ip_version", "F", Integer(), stored=False),
    ),
)
