"""What Tempest must know of a cloud."""

from configparser import RawConfigParser
from pathlib import Path


def write(path: Path, auth_url: str, password: str, public_network: str, extensions: list[str]) -> None:
    """Write ``tempest.conf`` for a cloud whose network is to be tested, and which need not run instances.

    ``password`` is that of the user admin, ``extensions`` the aliases of what the network service can do.
    """
    sections = {
        "DEFAULT": {"log_file": str(path.with_suffix(".log")), "use_stderr": "false"},
        "oslo_concurrency": {"lock_path": str(path.parent / "locks")},
        "auth": {
            "admin_username": "admin",
            "admin_password": password,
            "admin_project_name": "admin",
            "admin_domain_name": "Default",
            "use_dynamic_credentials": "true",
            "create_isolated_networks": "false",
            "tempest_roles": "member",
        },
        "identity": {"uri_v3": auth_url, "auth_version": "v3", "region": "RegionOne", "v3_endpoint_type": "public"},
        "identity-feature-enabled": {"api_v3": "true"},
        "service_available": dict.fromkeys(("neutron", "nova"), "true")
        | dict.fromkeys(("glance", "cinder", "swift", "horizon"), "false"),
        "network": {"public_network_id": public_network, "build_timeout": "20"},
        "network-feature-enabled": {
            "api_extensions": ",".join(extensions),
            "ipv6_subnet_attributes": "true",
            "port_security": "true",
        },
        "neutron_plugin_options": {
            "provider_vlans": "physnet1",
            "agent_availability_zone": "nova",
            "available_type_drivers": "flat,vlan,local,vxlan,gre,geneve",
        },
        "validation": {"run_validation": "false"},
    }
    parser = RawConfigParser(default_section="none of them")
    parser.read_dict(sections)
    with path.open("w") as file:
        parser.write(file)
