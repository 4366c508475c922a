"""``netloom tempest-config``: what Tempest must know of the cloud that runs here.

The options are those of tempest 47, neutron-tempest-plugin 3.3 and octavia-tempest-plugin 3.5. What the cloud offers is
asked of the cloud; what its own compute can do is told by the actions that it knows.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netloom.cli.client import Client
from netloom.cli.settings import configuration
from netloom.cli.terminal import Trouble
from netloom.settings.load import server_settings
from netloom.settings.network import NetworkSettings
from netloom.settings.options import FIREWALL_DRIVERS
from netloom.standalone.compute import versions
from netloom.standalone.compute.actions import ACTIONS
from netloom.standalone.credentials import write_private
from netloom.standalone.identity.catalog import REGION
from netloom.standalone.image.directory import GUEST, LOGIN_USER

Sections = dict[str, dict[str, object]]
PATIENCE = 60
"""Seconds that tests wait for anything: guests, devices and load balancers take a few at most."""
COMPUTE_FEATURES = {
    "change_password": "changePassword",
    "cold_migration": "migrate",
    "console_output": "os-getConsoleOutput",
    "live_migration": "os-migrateLive",
    "pause": "pause",
    "rescue": "rescue",
    "resize": "resize",
    "shelve": "shelve",
    "snapshot": "createImage",
    "suspend": "suspend",
    "vnc_console": "os-getVNCConsole",
}
"""Tempest's words for what can be done with an instance, and the action that each is."""


FIREWALLS = {"openvswitch": "ovn", "iptables_hybrid": "iptables_hybrid", "noop": "None"}
"""What tests may expect of our firewalls: at the word ``openvswitch`` they leave out stateless groups, which Neutron's
of that name cannot do and ours can."""


def run(arguments: argparse.Namespace) -> int:
    """Write the file, or print it."""
    conf = configuration(arguments)
    client = Client(Path(conf.netloom.config_path) / "clouds.yaml", "netloom-admin")
    file: Path | None = arguments.output
    text = _text(sections(client, server_settings(conf).network, conf, (file or Path("tempest.conf")).absolute()))
    if file is None:
        sys.stdout.write(text)
        return 0
    try:
        write_private(file, text)
    except OSError as error:
        raise Trouble(f"{file} cannot be written: {error.strerror}") from None
    return 0


def sections(client: Client, settings: NetworkSettings, conf: Any, file: Path) -> Sections:
    """All sections of the configuration; Tempest keeps its log and its locks beside ``file``.

    Raises:
        Trouble: the cloud lacks what every test needs.
    """
    extensions = {entry["alias"] for entry in client.get("/v2.0/extensions")["extensions"]}
    public = _public_network(client)
    firewall = FIREWALLS[FIREWALL_DRIVERS[conf.securitygroup.firewall_driver]]
    return {
        "DEFAULT": {"log_file": file.with_suffix(".log"), "use_stderr": False},
        "oslo_concurrency": {"lock_path": file.parent / "locks"},
        **_identity(client),
        "service_available": {
            "neutron": True,
            "nova": "compute" in client.services,
            "glance": "image" in client.services,
            "cinder": False,
            "swift": False,
            "horizon": False,
            "load_balancer": "load-balancer" in client.services,
        },
        **_network(public, extensions),
        **_compute(client, settings.dns_domain),
        "neutron_plugin_options": _plugin(client, settings, firewall, public),
        **_load_balancing(client),
    }


def _identity(client: Client) -> Sections:
    return {
        "auth": {
            "admin_username": client.auth["username"],
            "admin_password": client.auth["password"],
            "admin_project_name": client.auth["project_name"],
            "admin_domain_name": client.auth["user_domain_name"],
            "use_dynamic_credentials": True,
            "tempest_roles": "member",
        },
        "identity": {
            "uri_v3": client.auth["auth_url"],
            "auth_version": "v3",
            "region": REGION,
            "v3_endpoint_type": "public",
        },
        "identity-feature-enabled": {"api_v3": True},
    }


def _public_network(client: Client) -> dict[str, Any]:
    external = client.get("/v2.0/networks?router%3Aexternal=True&sort_key=name&sort_dir=asc")["networks"]
    if not external:
        raise Trouble(
            "there is no external network, which most tests need;"
            " make one: openstack network create --external …, or start the cloud without --bare"
        )
    return next((network for network in external if network.get("is_default")), external[0])


def _network(public: Mapping[str, Any], extensions: set[str]) -> Sections:
    return {
        "network": {
            "public_network_id": public["id"],
            "floating_network_name": public["name"],
            "project_networks_reachable": False,
            "build_timeout": PATIENCE,
        },
        "network-feature-enabled": {
            "api_extensions": ",".join(sorted(extensions)),
            "ipv6": True,
            "ipv6_subnet_attributes": True,
            "floating_ips": "router" in extensions,
            "port_security": "port-security" in extensions,
            "port_admin_state_change": True,
        },
    }


def _compute(client: Client, domain: str) -> Sections:
    """Instances: of what, what can be done with them, and how tests reach them."""
    images = [one for one in client.get("/image/v2/images?status=active")["images"] if not one.get("hypervisor_type")]
    flavors = client.get(f"/compute/v2.1/{client.project_id}/flavors/detail")["flavors"]
    flavors.sort(key=lambda flavor: (flavor["ram"], flavor["vcpus"], flavor["disk"]))
    services = client.get(f"/compute/v2.1/{client.project_id}/os-services?binary=nova-compute")["services"]
    if not images or not flavors:
        raise Trouble(
            "tests make instances, and there is no active image or no flavor;"
            " see: openstack image list, openstack flavor list"
        )
    images.sort(key=lambda image: image["name"] != GUEST)
    user = images[0].get(LOGIN_USER, GUEST)
    return {
        "compute": {
            "image_ref": images[0]["id"],
            "image_ref_alt": images[1 % len(images)]["id"],
            "flavor_ref": flavors[0]["id"],
            "flavor_ref_alt": flavors[1 % len(flavors)]["id"],
            "min_compute_nodes": max(1, sum(service["state"] == "up" for service in services)),
            "max_microversion": f"2.{versions.MAX_MINOR}",
            "build_timeout": PATIENCE,
        },
        "compute-feature-enabled": {feature: action in ACTIONS for feature, action in COMPUTE_FEATURES.items()}
        | {"hostname_fqdn_sanitization": True, "dhcp_domain": domain and f".{domain}"}
        | {"interface_attach": True, "metadata_service": True, "config_drive": False},
        "validation": {
            "run_validation": True,
            "connect_method": "floating",
            "auth_method": "keypair",
            "image_ssh_user": user,
            "image_alt_ssh_user": images[1 % len(images)].get(LOGIN_USER, GUEST),
            "ssh_timeout": PATIENCE,
            "ping_timeout": PATIENCE,
        },
        "scenario": {"dhcp_client": "udhcpc"},
    }


def _plugin(client: Client, settings: NetworkSettings, firewall: str, public: Mapping[str, Any]) -> dict[str, object]:
    gateways = client.get(f"/v2.0/subnets?network_id={public['id']}&ip_version=4&fields=gateway_ip")["subnets"]
    agents = client.get("/v2.0/agents")["agents"]
    zones = {agent["availability_zone"] for agent in agents if agent["alive"] and agent["availability_zone"]}
    options: dict[str, object] = {
        "provider_vlans": ",".join(sorted(settings.vlan_ranges)),
        "available_type_drivers": ",".join(settings.type_drivers),
        "firewall_driver": firewall,
        "global_ip_address": next((each["gateway_ip"] for each in gateways if each["gateway_ip"]), ""),
        "dns_domain": settings.dns_domain,
        "max_mtu": settings.global_physnet_mtu,
        "l3_agent_mode": "legacy",
        "snat_rules_apply_to_nested_networks": True,
    }
    if len(zones) == 1:
        options["agent_availability_zone"] = zones.pop()
    return options


def _load_balancing(client: Client) -> Sections:
    if "load-balancer" not in client.services:
        return {}
    base = f"{client.services['load-balancer']}/v2.0/lbaas/providers"
    providers = client.get(base)["providers"]
    capability = client.get(f"{base}/{providers[0]['name']}/flavor_capabilities")["flavor_capabilities"][0]
    return {
        "load_balancer": {
            "provider": providers[0]["name"],
            "enabled_provider_drivers": ",".join(f"{each['name']}:{each['description']}" for each in providers),
            "expected_flavor_capability": f"{capability['name']}:{capability['description']}",
            "RBAC_test_type": "keystone_default_roles",
            "check_interval": 0.05,
            "check_timeout": PATIENCE,
            "build_interval": 0.05,
            "build_timeout": PATIENCE,
            "lb_build_interval": 0.05,
            "lb_build_timeout": PATIENCE,
        }
    }


def _text(content: Mapping[str, Mapping[str, object]]) -> str:
    """As oslo.config reads it: options keep their capitals."""
    lines = [
        f"[{name}]\n" + "".join(f"{option} = {value}\n" for option, value in options.items())
        for name, options in content.items()
    ]
    return "\n".join(lines)
