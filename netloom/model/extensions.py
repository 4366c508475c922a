"""The extensions that the API reports: clients decide by them what they may send.

Aliases and names are matched by clients and must stay as they are. An extension is listed only when all that it
stands for is served.
"""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Extension:
    """A named addition to the core API."""

    alias: str
    name: str
    updated: str
    description: str
    plugin: str = ""
    """The service plugin that it comes with; empty when it is always there."""


def _extension(
    alias: str, name: str, day: str, description: str, hour: str = "10:00:00", plugin: str = ""
) -> Extension:
    return Extension(alias, name, f"{day}T{hour}-00:00", description, plugin)


EXTENSIONS: tuple[Extension, ...] = (
    _extension("address-group", "Address group", "2020-07-15", "Named lists of prefixes for security group rules."),
    _extension("agent", "agent", "2013-02-03", "The hosts' agents: list, show, disable, remove."),
    _extension("agent_sort_key", "Agents Sort Key", "2013-02-03", "Lists of agents can be sorted."),
    _extension(
        "allowed-address-pairs", "Allowed Address Pairs", "2013-07-23",
        "More addresses that a port may use beside its own.",
    ),
    _extension(
        "auto-allocated-topology", "Auto Allocated Topology Services", "2016-01-01", "Auto Allocated Topology Services",
        "00:00:00",
    ),
    _extension("availability_zone", "Availability Zone", "2015-01-01", "Groups of hosts that fail independently."),
    _extension(
        "availability_zone_filter", "Availability Zone Filter Extension", "2018-06-22",
        "Lists of availability zones can be filtered.",
    ),
    _extension("binding", "Port Binding", "2014-02-03", "Which host a port is on, and how it is plugged there."),
    _extension(
        "default-subnetpools", "Default Subnetpools", "2016-02-18",
        "A pool for each address family from which subnets take their prefix without naming it.", "18:00:00",
    ),
    _extension("dhcp_agent_scheduler", "DHCP Agent Scheduler", "2013-02-07", "Which agents serve DHCP for a network."),
    _extension(
        "empty-string-filtering", "Empty String Filtering Extension", "2018-05-01",
        "A filter with an empty value finds objects whose attribute is empty.",
    ),
    _extension(
        "ext-gw-mode", "Neutron L3 Configurable external gateway mode", "2013-03-28",
        "A router's gateway with or without source NAT, and with chosen addresses.",
    ),
    _extension("external-net", "Neutron external network", "2013-01-14", "Networks that lead out of the cloud."),
    _extension("extra_dhcp_opt", "Neutron Extra DHCP options", "2013-03-17", "DHCP options for one port.", "12:00:00"),
    _extension("extraroute", "Neutron Extra Route", "2013-02-01", "Static routes of a router."),
    Extension(
        "extraroute-atomic", "Atomically add/remove extra routes", "2019-07-10T00:00:00+00:00",
        "Add and remove some of a router's static routes without naming the others.",
    ),
    _extension(
        "filter-validation", "Filter parameters validation", "2018-07-04",
        "A filter that does not exist is an error, not ignored.",
    ),
    _extension(
        "fip-port-details", "Floating IP Port Details Extension", "2018-04-09",
        "A floating IP shows the main attributes of its port.",
    ),
    _extension(
        "ip-substring-filtering", "IP address substring filtering", "2017-11-28",
        "Ports can be found by a part of an address.", "09:00:00",
    ),
    _extension(
        "l3-ha", "HA Router extension", "2014-04-26", "Routers that survive the loss of their host.", "00:00:00"
    ),
    _extension(
        "l3-port-ip-change-not-allowed", "Prevent L3 router ports IP address change extension", "2018-10-09",
        "The addresses of a router's ports do not change.",
    ),
    _extension("l3_agent_scheduler", "L3 Agent Scheduler", "2013-02-07", "Which agents carry a router."),
    _extension(
        "lbaas", "LoadBalancing service", "2012-10-07", "Pools of servers behind one address.", plugin="lbaas",
    ),
    _extension(
        "lbaas_agent_scheduler", "Loadbalancer Agent Scheduler", "2013-02-07", "Which agent carries a pool.",
        plugin="lbaas",
    ),
    _extension("net-mtu", "Network MTU", "2015-03-25", "The largest packet that a network carries."),
    _extension(
        "net-mtu-writable", "Network MTU (writable)", "2017-07-12", "A network's MTU may be chosen.", "00:00:00"
    ),
    _extension(
        "network-ip-availability", "Network IP Availability", "2015-09-24",
        "How many addresses of each network and subnet are in use.", "00:00:00",
    ),
    _extension(
        "network_availability_zone", "Network Availability Zone", "2015-01-01",
        "In which availability zones a network is served, and should be.",
    ),
    _extension("pagination", "Pagination support", "2016-06-12", "Lists in pages, by limit and marker.", "00:00:00"),
    _extension(
        "port-mac-address-regenerate", "Neutron Port MAC address regenerate", "2018-05-03",
        "Setting a port's MAC address to null gives it a new one.",
    ),
    _extension(
        "port-security", "Port Security", "2012-07-23",
        "Whether a port is held to its own addresses and filtered by security groups.",
    ),
    _extension(
        "port-security-groups-filtering", "Port filtering on security groups", "2018-01-09",
        "Ports can be found by their security groups.", "09:00:00",
    ),
    Extension(
        "project-id", "project_id field enabled", "2016-09-09T09:09:09-09:09", "The owner is called project_id, too."
    ),
    _extension("provider", "Provider Network", "2012-09-07", "How a network is carried by the physical ones."),
    _extension(
        "quota-check-limit", "Quota engine limit check", "2021-09-08", "A quota below what is in use can be refused.",
        "16:00:00",
    ),
    _extension(
        "quota-check-limit-default", "Quota engine limit check by default", "2024-08-21",
        "A quota below what is in use is refused unless forced.", "16:00:00",
    ),
    _extension("quota_details", "Quota details management support", "2017-02-10", "Limits together with their use."),
    _extension("quotas", "Quota management support", "2012-07-29", "How much each project may have."),
    _extension(
        "rbac-address-group", "Add address_group type to RBAC", "2021-01-20", "Address groups can be shared.",
        "00:00:00",
    ),
    _extension("rbac-policies", "RBAC Policies", "2015-06-17", "Share an object with one project or all.", "12:00:00"),
    _extension(
        "rbac-security-groups", "Add security_group type to network RBAC", "2019-02-14",
        "Security groups can be shared.", "00:00:00",
    ),
    _extension(
        "rbac-subnetpool", "Add subnetpool type to RBAC", "2020-02-05", "Subnet pools can be shared.", "00:00:00"
    ),
    _extension(
        "revision-if-match", "If-Match constraints based on revision_number", "2016-12-11",
        "A change happens only if the object has the revision that the client knows.", "00:00:00",
    ),
    _extension("router", "Neutron L3 Router", "2012-07-20", "Routers between networks, and floating IPs."),
    _extension(
        "router_availability_zone", "Router Availability Zone", "2015-01-01",
        "In which availability zones a router runs, and should run.",
    ),
    _extension("security-group", "security-group", "2012-10-05", "Packet filters for groups of ports."),
    _extension(
        "security-groups-normalized-cidr", "Normalized CIDR field for security group rules", "2020-07-28",
        "A rule shows its prefix with host bits cleared.",
    ),
    _extension(
        "security-groups-remote-address-group", "Remote address group id field for security group rules",
        "2020-08-25", "Rules can refer to an address group.",
    ),
    _extension(
        "security-groups-shared-filtering", "Security group filtering on the shared field", "2021-10-05",
        "Security groups can be found by whether they are shared.", "09:00:00",
    ),
    _extension("sorting", "Sorting support", "2016-06-12", "Lists in a chosen order.", "00:00:00"),
    _extension(
        "standard-attr-description", "standard-attr-description", "2016-02-10", "Objects have a description."
    ),
    _extension(
        "standard-attr-revisions", "Resource revision numbers", "2016-04-11",
        "Objects have a number that grows with every change.",
    ),
    _extension(
        "standard-attr-tag",
        "Tag support for resources with standard attribute: "
        "floatingip, network, port, router, security_group, subnet, subnetpool, trunk",
        "2017-01-01", "Objects can have tags, and can be found by them.", "00:00:00",
    ),
    _extension(
        "standard-attr-timestamp", "Resource timestamps", "2016-09-12",
        "Objects show when they were made and last changed.",
    ),
    _extension(
        "stateful-security-group", "Stateful security group", "2019-11-26",
        "A security group with or without connection tracking.", "09:00:00",
    ),
    _extension(
        "subnet-external-network", "Subnet belongs to an external network", "2024-02-05",
        "A subnet shows whether its network is external.", "18:00:00",
    ),
    _extension(
        "subnet-service-types", "Subnet service types", "2016-03-15",
        "A subnet can be kept for ports of certain device owners.", "18:00:00",
    ),
    _extension("subnet_allocation", "Subnet Allocation", "2015-03-30", "Pools of prefixes for subnets."),
    _extension(
        "subnetpool-prefix-ops", "Subnet Pool Prefix Operations", "2019-02-08",
        "Add and remove some of a pool's prefixes without naming the others.",
    ),
    _extension("tag-creation", "Tag creation extension", "2024-07-23", "Add several tags to those that are there."),
    _extension(
        "tag-ports-during-bulk-creation", "Tag Ports During Bulk Creation", "2019-12-29",
        "Ports can be made with tags, also many at once.", "19:00:00",
    ),
    _extension("trunk", "Trunk Extension", "2016-01-01", "Provides support for trunk ports", plugin="trunk"),
    _extension("trunk-details", "Trunk port details", "2016-01-01", "Expose trunk port details", plugin="trunk"),
)  # fmt: skip


def withheld(plugins: Collection[str] | None) -> frozenset[str]:
    """Aliases of the extensions that a server with these service plugins (None: with all) does not have."""
    return frozenset(
        item.alias for item in EXTENSIONS if plugins is not None and item.plugin and item.plugin not in plugins
    )
