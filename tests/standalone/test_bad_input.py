"""Odd values in any place of a request: refused in the service's manner, never a fault of the server."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.standalone.world import Host

ODD = (None, 7, -1, True, "", "x", "\x00", [], [7], [None], {}, {"a": 1}, 2**70, 1.5)
NOWHERE = "11111111-2222-3333-4444-555555555555"
REQUESTS = {
    "/servers": {
        "server": {
            "name": "a", "imageRef": "IMAGE", "flavorRef": "0",
            "networks": [{"uuid": NOWHERE, "fixed_ip": "10.0.0.9", "tag": "t"}],
            "min_count": 1, "max_count": 1, "key_name": "k", "user_data": "eA==", "metadata": {"a": "b"},
            "description": "d",
            "security_groups": [{"name": "default"}], "availability_zone": "nova", "tags": ["a"], "hostname": "h",
            "block_device_mapping_v2": [{"source_type": "image", "destination_type": "local", "uuid": "IMAGE"}],
            "OS-DCF:diskConfig": "AUTO", "config_drive": True, "return_reservation_id": False, "host": "h1",
        }
    },
    "/flavors": {
        "flavor": {
            "name": "f", "ram": 1, "vcpus": 1, "disk": 0, "id": "1", "swap": 0, "rxtx_factor": 1.0, "description": "d",
            "OS-FLV-EXT-DATA:ephemeral": 0, "os-flavor-access:is_public": True,
        }
    },
    "/flavors/1/os-extra_specs": {"extra_specs": {"a": "b"}},
    "/flavors/1/action": {"addTenantAccess": {"tenant": "t"}},
    "/os-keypairs": {"keypair": {"name": "k", "public_key": "ssh-rsa x", "type": "ssh", "user_id": "u"}},
    "/servers/SERVER/action": {"reboot": {"type": "ODD"}},
    "/servers/SERVER/action?lock": {"lock": {"locked_reason": "r"}},
    "/servers/SERVER/action?console": {"os-getConsoleOutput": {"length": 5}},
    "/servers/SERVER/action?group": {"addSecurityGroup": {"name": "none"}},
    "/servers/SERVER/action?address": {"addFloatingIp": {"address": "203.0.113.9", "fixed_address": "10.0.0.1"}},
    "/servers/SERVER/os-interface": {
        "interfaceAttachment": {
            "net_id": NOWHERE, "port_id": NOWHERE, "fixed_ips": [{"ip_address": "10.0.0.9"}], "tag": "t",
        }
    },
    "/servers/SERVER/metadata": {"metadata": {"a": "b"}},
    "PUT /servers/SERVER": {"server": {"name": "n", "description": "d", "hostname": "h"}},
    "PUT /servers/SERVER/tags": {"tags": ["a"]},
    "PUT /servers/SERVER/metadata/a": {"meta": {"a": "b"}},
    "PUT /os-quota-sets/x": {"quota_set": {"instances": 10}},
    "PUT /os-services/x": {"status": "disabled", "disabled_reason": "r"},
    "/os-security-groups": {"security_group": {"name": "g", "description": "d"}},
    "/os-security-group-rules": {
        "security_group_rule": {
            "parent_group_id": NOWHERE, "ip_protocol": "tcp", "from_port": 1, "to_port": 2, "cidr": "10.0.0.0/8",
            "group_id": None,
        }
    },
    "/os-floating-ips": {"pool": "none"},
}  # fmt: skip
IMAGE = {
    "name": "i", "id": NOWHERE, "disk_format": "raw", "container_format": "bare", "visibility": "private",
    "min_disk": 0, "min_ram": 0, "protected": False, "tags": ["a"], "os_hidden": False,
    "owner": "o", "anything": "else",
}  # fmt: skip
PATCH = [{"op": "replace", "path": "/name", "value": "n"}]
STANDS_FOR_OLD = ("os-security", "os-floating", "action?address")


def odd_ones(value: Any) -> Iterator[Any]:
    """The value with one of its parts replaced by something odd."""
    yield from ODD
    for key in value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        for odd in odd_ones(value[key]):
            changed = copy.copy(value)
            changed[key] = odd
            yield changed


@pytest.fixture(scope="module")
def server_id(server):
    host = Host(server, "odd-host")
    made = server.boot("vm", "none", "admin").body["server"]["id"]
    host.apply()
    yield made
    host.die()
    server.compute("DELETE", f"/servers/{made}", user="admin")


@pytest.mark.parametrize("name", REQUESTS)
def test_compute(server, server_id, name):
    method, path = name.split() if " " in name else ("POST", name)
    minor = 35 if any(part in path for part in STANDS_FOR_OLD) else 90
    path = path.replace("SERVER", server_id)
    before = {one["id"] for one in server.compute("GET", "/servers", user="admin").body["servers"]}
    for body in odd_ones(REQUESTS[name]):
        answer = server.compute(method, path, body, "admin", minor)
        assert answer.status < 500, (body, answer.content)
    after = {one["id"] for one in server.compute("GET", "/servers", user="admin").body["servers"]}
    for made in after - before:  # odd, but fine
        server.compute("DELETE", f"/servers/{made}", user="admin")
    assert server.compute("GET", "/flavors/detail", user="admin").status == 200
    assert server.compute("GET", "/servers/detail", user="admin").status == 200


def test_images(server):
    for body in odd_ones(IMAGE):
        answer = server.ask("POST", "/image/v2/images", body)
        assert answer.status < 500, (body, answer.content)
        if answer.status == 201:
            assert server.ask("DELETE", f"/image/v2/images/{answer.body['id']}").status in (204, 403)
    made = server.ask("POST", "/image/v2/images", {"name": "i"}).body["id"]
    for body in odd_ones(PATCH):
        answer = server.ask("PATCH", f"/image/v2/images/{made}", body)
        assert answer.status < 500, (body, answer.content)


@pytest.mark.parametrize(
    "path",
    [
        "/compute/v2.1/servers/detail?", "/compute/v2.1/flavors/detail?", "/compute/v2.1/os-keypairs?",
        "/image/v2/images?",
    ],
)  # fmt: skip
def test_queries(server, path):
    for name in (
        "limit",
        "marker",
        "name",
        "sort_key",
        "sort_dir",
        "sort",
        "status",
        "ip",
        "minRam",
        "is_public",
        "id",
    ):
        for value in ("", "-1", "x", "[", "in:", "9" * 30, "%00", "a:b:c"):
            answer = server.ask("GET", f"{path}{name}={value}", user="admin")
            assert answer.status < 500, (path, name, value, answer.content)
