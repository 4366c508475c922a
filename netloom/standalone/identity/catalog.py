"""The catalog: which services there are and where clients reach them."""

from typing import Any

REGION = "RegionOne"
SERVICES = (
    ("identity", "keystone", "/identity/v3"),
    ("network", "neutron", "/"),
    ("compute", "nova", "/compute/v2.1/{project_id}"),
    ("image", "glance", "/image"),
    ("load-balancer", "octavia", "/load-balancer"),
    ("key-manager", "barbican", "/key-manager"),
)
"""(type, name, path); a path with a project is left out of unscoped catalogs."""


def catalog_v3(base: str, project_id: str) -> list[dict[str, Any]]:
    """The catalog of a v3 token; ``base`` is where this client reaches the cloud."""
    return [
        {
            "id": service_type,
            "type": service_type,
            "name": name,
            "endpoints": [
                {
                    "id": f"{service_type}-{interface}",
                    "interface": interface,
                    "region": REGION,
                    "region_id": REGION,
                    "url": base + path.format(project_id=project_id),
                }
                for interface in ("public", "internal", "admin")
            ],
        }
        for service_type, name, path in SERVICES
        if project_id or "{" not in path
    ]


def catalog_v2(base: str, project_id: str) -> list[dict[str, Any]]:
    """The catalog of a v2.0 token of a project."""
    found = []
    for service_type, name, path in SERVICES:
        url = base + path.format(project_id=project_id)
        if service_type == "identity":
            url = f"{base}/identity/v2.0"
        endpoint = {"id": service_type, "region": REGION, "publicURL": url, "internalURL": url, "adminURL": url}
        found.append({"type": service_type, "name": name, "endpoints": [endpoint], "endpoints_links": []})
    return found
