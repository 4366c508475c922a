"""The metadata tree of OpenStack."""

import base64
import ipaddress
import secrets
from typing import Any

import msgspec

from netloom.standalone.metadata.instance import Instance, Row

VERSIONS = (
    "2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06", "2017-02-22", "2018-08-27",
    "2020-10-14",
)  # fmt: skip
LATEST = "latest"
SINCE = {
    "meta_data.json": "2012-08-10",
    "user_data": "2012-08-10",
    "password": "2013-04-04",
    "vendor_data.json": "2013-10-17",
    "network_data.json": "2015-10-15",
    "vendor_data2.json": "2016-10-06",
}
SEED_OCTETS = 512


def listing(instance: Instance, version: str) -> list[str]:
    """Names of the documents of a version."""
    names = [name for name, first in SINCE.items() if first <= _dated(version)]
    return [name for name in names if name != "user_data" or instance.row["user_data"]]


def _dated(version: str) -> str:
    return VERSIONS[-1] if version == LATEST else version


def document(instance: Instance, version: str, name: str) -> Any:
    """A JSON document of a version (None: there is no such), or bytes for user data."""
    if name not in listing(instance, version):
        return None
    match name:
        case "meta_data.json":
            return _meta_data(instance, _dated(version))
        case "network_data.json":
            return network_data(instance)
        case "vendor_data.json":
            return {"cloud-init": {"system_info": {"default_user": {"name": instance.login_user}}}}
        case "vendor_data2.json":
            return {}
        case "user_data":
            return instance.user_data
    return None


def _meta_data(instance: Instance, version: str) -> Row:
    row = instance.row
    data: Row = {
        "uuid": row["id"],
        "hostname": instance.hostname,
        "name": row["name"],
        "launch_index": row["launch_index"],
        "availability_zone": row["availability_zone"],
    }
    if row["metadata"]:
        data["meta"] = row["metadata"]
    if row["public_key"]:
        data["public_keys"] = {row["key_name"]: row["public_key"]}
        data["keys"] = [{"name": row["key_name"], "type": row["key_type"], "data": row["public_key"]}]
    if version >= "2013-04-04":
        data["random_seed"] = base64.b64encode(secrets.token_bytes(SEED_OCTETS)).decode()
    if version >= "2015-10-15":
        data["project_id"] = row["project_id"]
    if version >= "2016-06-30":
        data["devices"] = [_device(nic) for nic in instance.nics if nic["tag"]]
    if version >= "2020-10-14":
        data["dedicated_cpus"] = []
    return data


def _device(nic: Row) -> Row:
    return {"type": "nic", "bus": "none", "address": "none", "mac": nic["mac"], "tags": [nic["tag"]]}


def network_data(instance: Instance) -> Row:
    """Links, networks and services, by the schema of Nova's network_data.json."""
    links: list[Row] = []
    networks: list[Row] = []
    services: list[Row] = []
    for nic in instance.nics:
        link = f"tap{nic['port_id'][:11]}"
        links.append(
            {
                "id": link,
                "vif_id": nic["port_id"],
                "type": "ovs",
                "mtu": instance.mtus.get(nic["port_id"]),
                "ethernet_mac_address": nic["mac"],
            }
        )
        for entry in nic["fixed"]:
            subnet = instance.subnets[entry["subnet_id"]]
            place = {"id": f"network{len(networks)}", "link": link}
            networks.append(place | _network(nic, entry["ip_address"], subnet))
            services += [{"type": "dns", "address": server} for server in subnet["dns_nameservers"] or ()]
    distinct = [service for index, service in enumerate(services) if service not in services[:index]]
    return {"links": links, "networks": networks, "services": distinct}


def _network(nic: Row, address: str, subnet: Row) -> Row:
    shared: Row = {"network_id": nic["network_id"], "type": _type(subnet)}
    if shared["type"] == "ipv4_dhcp":
        return shared
    return shared | {
        "ip_address": address,
        "netmask": str(ipaddress.ip_network(subnet["cidr"]).netmask),
        "routes": _routes(subnet),
        "services": [{"type": "dns", "address": server} for server in subnet["dns_nameservers"] or ()],
    }


def _type(subnet: Row) -> str:
    if subnet["ip_version"] == 4:
        return "ipv4_dhcp" if subnet["enable_dhcp"] else "ipv4"
    mode = subnet["ipv6_address_mode"]
    return f"ipv6_{mode}" if mode else "ipv6"


def _routes(subnet: Row) -> list[Row]:
    routes = [(route["destination"], route["nexthop"]) for route in subnet["host_routes"] or ()]
    if subnet["gateway_ip"]:
        routes.insert(0, ("0.0.0.0/0" if subnet["ip_version"] == 4 else "::/0", subnet["gateway_ip"]))
    found = []
    for destination, gateway in routes:
        network = ipaddress.ip_network(destination)
        found.append({"network": str(network.network_address), "netmask": str(network.netmask), "gateway": gateway})
    return found


def encoded(value: Any) -> bytes:
    """A document on the wire."""
    return value if isinstance(value, bytes) else msgspec.json.encode(value)
