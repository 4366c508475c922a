"""The policy's default rules, under Neutron's names. The letters of the table:

A admin; M, R, G member, reader, manager of the object's project; with n of its network's project, with sg of its
security group's project; S role service; V role advsvc; ``shared`` and ``external``: the object or its network is so.
"""

from netloom.api.load_balancing import policy

LETTERS = {
    "A": "rule:admin_only",
    "M": "(role:member and project_id:%(project_id)s)",
    "R": "(role:reader and project_id:%(project_id)s)",
    "G": "(role:manager and project_id:%(project_id)s)",
    "Mn": "(role:member and rule:network_owner)",
    "Rn": "(role:reader and rule:network_owner)",
    "Gn": "(role:manager and rule:network_owner)",
    "Msg": "(role:member and rule:sg_owner)",
    "Rsg": "(role:reader and rule:sg_owner)",
    "S": "rule:service_api",
    "V": "rule:context_is_advsvc",
    "reader": "role:reader",
    "shared": "rule:shared",
    "external": "rule:external",
}

ALIASES = {
    "context_is_admin": "role:admin",
    "service_api": "role:service",
    "service_request": "service_roles:service",
    "owner": "project_id:%(project_id)s",
    "admin_only": "rule:context_is_admin",
    "admin_or_owner": "rule:context_is_admin or rule:owner",
    "context_is_advsvc": "role:advsvc",
    "network_owner": "project_id:%(network:project_id)s",
    "admin_or_network_owner": "rule:context_is_admin or rule:network_owner",
    "admin_owner_or_network_owner": "rule:owner or rule:admin_or_network_owner",
    "sg_owner": "project_id:%(security_group:project_id)s",
    "admin_or_sg_owner": "rule:context_is_admin or rule:sg_owner",
    "admin_owner_or_sg_owner": "rule:owner or rule:admin_or_sg_owner",
    "shared": "field:networks:shared=True",
    "external": "field:networks:router:external=True",
    "external_network": "field:networks:router:external=True",
    "shared_subnetpools": "field:subnetpools:shared=True",
    "shared_address_groups": "field:address_groups:shared=True",
    "shared_security_group": "field:security_groups:shared=True",
    "restrict_wildcard": (
        "(not field:rbac_policy:target_tenant=* and not field:rbac_policy:target_project=*) or rule:admin_only"
    ),
    "network_device": "field:port:device_owner=~^network:",
    "compute_device": "field:port:device_owner=~^compute:",
    "baremetal_device": "field:port:device_owner=~^baremetal:",
    "manila_device": "field:port:device_owner=~^manila:",
    "regular_user": "",
    "default": "rule:admin_or_owner",
}

_DEVICE_OWNER = "not rule:network_device or rule:admin_only or rule:service_api or (role:member and rule:network_owner)"
_DELETE_PORT = (
    "rule:admin_only or rule:service_api or "
    "((role:member and project_id:%(project_id)s) or (role:member and rule:network_owner)) and "
    "(rule:service_request or not (rule:compute_device or rule:baremetal_device or rule:manila_device))"
)
_WILDCARD = "rule:restrict_wildcard"

# name: create, get, update, delete; "-" where there is no such rule
_TABLE = {
    "network": ("A M", "A R S V shared external", "A M", "A M"),
    "network:shared": ("A", "-", "A", "-"),
    "network:router:external": ("A", "-", "A", "-"),
    "network:is_default": ("A", "-", "A", "-"),
    "network:port_security_enabled": ("A M", "-", "A M", "-"),
    "network:provider:network_type": ("A", "A", "A", "-"),
    "network:provider:physical_network": ("A", "A", "A", "-"),
    "network:provider:segmentation_id": ("A", "A", "A", "-"),
    "network:tags": ("A M", "A R V shared external", "A M", "A M"),
    "subnet": ("A Mn", "A R Rn S shared external", "A M Mn", "A M Mn"),
    "subnet:service_types": ("A", "-", "A", "-"),
    "subnet:tags": ("A M Mn", "A R Rn shared external", "A M Mn", "A M Mn"),
    "port": ("A S Mn shared", "A S R Rn", "A M S", _DELETE_PORT),
    "port:device_id": ("A M S", "-", "A M S", "-"),
    "port:device_owner": (_DEVICE_OWNER, "-", _DEVICE_OWNER, "-"),
    "port:mac_address": ("A S Mn", "-", "A S Gn", "-"),
    "port:fixed_ips": ("A S Mn shared", "-", "A S Mn", "-"),
    "port:fixed_ips:ip_address": ("A S Mn", "-", "A S Mn", "-"),
    "port:fixed_ips:subnet_id": ("A S Mn shared", "-", "A S Mn shared", "-"),
    "port:port_security_enabled": ("A S Mn", "-", "A S Mn", "-"),
    "port:allowed_address_pairs": ("A S Mn", "-", "A S Mn", "-"),
    "port:allowed_address_pairs:mac_address": ("A S Mn", "-", "A S Mn", "-"),
    "port:allowed_address_pairs:ip_address": ("A S Mn", "-", "A S Mn", "-"),
    "port:binding:host_id": ("A S", "A S", "A S", "-"),
    "port:binding:profile": ("S", "A S", "S", "-"),
    "port:binding:vnic_type": ("A M S", "-", "A M S", "-"),
    "port:binding:vif_type": ("-", "A S", "-", "-"),
    "port:binding:vif_details": ("-", "A S", "-", "-"),
    "port:tags": ("A M V", "A V R Rn", "A M V", "A V M Mn"),
    "subnetpool": ("A M", "A R rule:shared_subnetpools", "A M", "A M"),
    "subnetpool:shared": ("A", "-", "-", "-"),
    "subnetpool:is_default": ("A", "-", "A", "-"),
    "subnetpool:tags": ("A M", "A R rule:shared_subnetpools", "A M", "A M"),
    "router": ("A M", "A R", "A M", "A M"),
    "router:distributed": ("A", "A", "A", "-"),
    "router:ha": ("A", "A", "A", "-"),
    "router:external_gateway_info": ("A M", "-", "A M", "-"),
    "router:external_gateway_info:network_id": ("A M", "-", "A M", "-"),
    "router:external_gateway_info:enable_snat": ("A", "-", "A", "-"),
    "router:external_gateway_info:external_fixed_ips": ("A", "-", "A", "-"),
    "router:tags": ("A M", "A R", "A M", "A M"),
    "floatingip": ("A M", "A R", "A M", "A M"),
    "floatingip:floating_ip_address": ("A G", "-", "-", "-"),
    "floatingip:tags": ("A M", "A R", "A M", "A M"),
    "security_group": ("A M", "A R rule:shared_security_group", "A M", "A M"),
    "security_group:tags": ("A M", "A R rule:shared_security_group", "A M", "A M"),
    "security_group_rule": ("A Msg", "A Rsg", "A Msg", "A Msg"),
    "address_group": ("A M", "A R rule:shared_address_groups", "A M", "A M"),
    "trunk": ("A M", "A R", "A M", "A M"),
    "trunk:tags": ("A M", "A R", "A M", "A M"),
    "rbac_policy": ("A M", "A R", "A M", "A M"),
    "rbac_policy:target_tenant": (_WILDCARD, "-", _WILDCARD, "-"),
    "rbac_policy:target_project": (_WILDCARD, "-", _WILDCARD, "-"),
    "agent": ("A", "A", "A", "A"),
    "dhcp-network": ("A", "-", "-", "A"),
    "dhcp-networks": ("-", "A", "-", "-"),
    "dhcp-agents": ("-", "A", "-", "-"),
    "l3-router": ("A", "-", "A", "A"),
    "l3-routers": ("-", "A", "-", "-"),
    "l3-agents": ("-", "A", "-", "-"),
    "loadbalancer-pools": ("-", "A", "-", "-"),
    "loadbalancer-agent": ("-", "A", "-", "-"),
    "availability_zone": ("-", "reader", "-", "-"),
    "network_ip_availability": ("-", "A S", "-", "-"),
    "auto_allocated_topology": ("-", "A R", "-", "A M"),
    "quota": ("-", "A G", "A", "A"),
}

_ACTIONS = (
    "add_router_interface", "remove_router_interface", "add_extraroutes", "remove_extraroutes",
    "add_prefixes", "remove_prefixes", "add_addresses", "remove_addresses", "add_subports", "remove_subports",
)  # fmt: skip


def default_rules() -> dict[str, str]:
    """All default rules, as texts of the policy language by name."""
    rules = dict(ALIASES)
    for name, texts in _TABLE.items():
        for verb, text in zip(("create", "get", "update", "delete"), texts, strict=True):
            if text != "-":
                rules[f"{verb}_{name}"] = _expand(text)
    rules |= {action: _expand("A M") for action in _ACTIONS} | {"get_subports": _expand("A R")}
    return rules | policy.default_rules()


def _expand(text: str) -> str:
    """A rule given by letters in full; other texts as they are."""
    if " and " in text or " or " in text:
        return text
    return " or ".join(LETTERS.get(word, word) for word in text.split())
