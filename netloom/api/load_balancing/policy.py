"""The default rules of the load balancer API, under Octavia's names."""

ADMIN = "rule:load-balancer:admin"
READ = "rule:load-balancer:read"
WRITE = "rule:load-balancer:write"
READ_ALL = "rule:load-balancer:read-global"
OWN = "project_id:%(project_id)s"
NAMES = ("loadbalancer", "listener", "pool", "member", "healthmonitor", "l7policy", "rule")
"""Resources of projects, as the names of rules have them."""
CHANGES = ("post", "put", "delete")


def rule(resource: str, action: str) -> str:
    """Name of a rule."""
    return f"os_load-balancer_api:{'l7rule' if resource == 'rule' else resource}:{action}"


def default_rules() -> dict[str, str]:
    """All default rules, as texts of the policy language by name."""
    rules = {
        "load-balancer:admin": "rule:context_is_admin or role:load-balancer_admin",
        "load-balancer:read-global": f"{ADMIN} or role:service or role:load-balancer_global_observer",
        "load-balancer:read": (
            f"{READ_ALL} or (role:reader and {OWN}) or (role:load-balancer_observer and {OWN}) or "
            f"(role:load-balancer_member and {OWN})"
        ),
        "load-balancer:write": (
            f"{ADMIN} or role:service or (role:member and {OWN}) or (role:load-balancer_member and {OWN})"
        ),
        "load-balancer:quota": f"{ADMIN} or role:load-balancer_quota_admin",
    }
    for name in NAMES:
        rules |= {rule(name, action): READ for action in ("get_all", "get_one")}
        rules |= {rule(name, action): WRITE for action in CHANGES}
        rules[rule(name, "get_all-global")] = READ_ALL
    rules |= {rule(name, "get_stats"): READ for name in ("loadbalancer", "listener")}
    rules |= {rule("loadbalancer", "get_status"): READ, rule("loadbalancer", "put_failover"): ADMIN}
    rules |= {rule("quota", action): READ for action in ("get_all", "get_one", "get_defaults")}
    rules |= {rule("quota", action): "rule:load-balancer:quota" for action in ("put", "delete")}
    rules[rule("quota", "get_all-global")] = f"{READ_ALL} or role:load-balancer_quota_admin"
    public = (rule(name, "get_all") for name in ("provider", "flavor", "availability-zone"))
    rules |= dict.fromkeys((*public, rule("flavor", "get_one")), "role:reader or rule:load-balancer:read-global")
    inner = ("provider-flavor", "provider-availability-zone", "flavor-profile", "availability-zone-profile", "amphora")
    rules |= {rule(name, "get_all"): ADMIN for name in inner}
    rules |= {rule(name, action): ADMIN for name in ("flavor", "flavor-profile") for action in CHANGES}
    return rules | {rule("flavor-profile", "get_one"): ADMIN}
