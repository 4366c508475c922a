"""What instances are told about themselves."""

import base64
import hmac
import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvicorn

from netloom.agent.metadata import NovaMetadata, Responder
from netloom.feed.fragments import FixedIp, Port
from netloom.plan.intent import Intent
from netloom.plan.metadata import CONNECTIONS_TO_RESPONDER
from tests.api.client import TestClient
from tests.standalone.world import Host

OPENSTACK = [
    "2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06", "2017-02-22", "2018-08-27",
    "2020-10-14", "latest",
]  # fmt: skip
EC2 = [
    "1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01",
    "2009-04-04", "latest",
]  # fmt: skip
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFAKtU4cC7rT5Vkq6mCUGzpkq9q4PA9sbCUtj4pyBfQi me"


@pytest.fixture(scope="module")
def instance(server):
    host = Host(server, "host-md")
    net = server.network("md-net", "10.8.0.0/24")
    server.compute("POST", "/os-keypairs", {"keypair": {"name": "mine", "public_key": KEY}})
    data = base64.b64encode(b"#!/bin/sh\n").decode()
    made = server.boot("Web 1", [{"uuid": net["id"], "tag": "front"}], key_name="mine", user_data=data).body["server"]
    host.apply()
    yield server.server(made["id"])
    server.compute("DELETE", f"/servers/{made['id']}")
    host.apply()
    host.die()
    server.compute("DELETE", "/os-keypairs/mine")


@pytest.fixture
def ask(server, instance):
    client = TestClient(server.cloud.metadata_app)
    server_id = instance["id"]
    proof = {
        "X-Instance-ID": server_id,
        "X-Tenant-ID": instance["tenant_id"],
        "X-Instance-ID-Signature": hmac.digest(b"shared", server_id.encode(), "sha256").hex(),
    }

    def asking(path, method="GET", content=b"", **changed):
        headers = proof | {name.replace("_", "-"): value for name, value in changed.items()}
        told = {name: value for name, value in headers.items() if value is not None}
        return client.request(method, path, content=content, headers=told)

    return asking


def test_only_the_proxy_is_believed(ask, server):
    assert ask("/", X_Instance_ID=None).status_code == 400
    assert ask("/", X_Tenant_ID=None).status_code == 400
    assert ask("/", X_Instance_ID_Signature="0" * 64).status_code == 403
    assert ask("/", X_Tenant_ID=server.projects["admin"]).status_code == 404


def test_the_tree_of_ec2(ask, instance):
    assert ask("/").text.split("\n") == EC2
    assert ask("/2009-04-04").text.split("\n") == ["meta-data/", "user-data"]
    assert ask("/2009-04-04/meta-data/").text.split("\n") == [
        "ami-id", "ami-launch-index", "ami-manifest-path", "block-device-mapping/", "hostname", "instance-action",
        "instance-id", "instance-type", "kernel-id", "local-hostname", "local-ipv4", "placement/", "public-hostname",
        "public-ipv4", "public-keys/", "ramdisk-id", "reservation-id", "security-groups",
    ]  # fmt: skip
    assert ask("/2009-04-04/meta-data/placement/").text == "availability-zone"
    assert ask("/2009-04-04/meta-data/placement").text == "availability-zone"
    assert ask("/2009-04-04/meta-data/block-device-mapping/").text == "ami\nroot"
    assert ask("/2009-04-04/meta-data/block-device-mapping/root").text == "/dev/vda"
    assert ask("/2009-04-04/meta-data/public-keys/0/").text == "openssh-key"
    assert ask("/latest/meta-data/security-groups").text == "default"
    assert ask("/ec2/2009-04-04/meta-data/instance-type").text == ask("/latest/meta-data/instance-type").text
    assert ask("/latest/meta-data/local-ipv4").text == instance["addresses"]["md-net"][0]["addr"]
    assert ask("/latest/meta-data/placement/availability-zone").text == "nova"
    assert ask("/latest/meta-data/public-keys/").text == "0=mine"
    assert ask("/latest/meta-data/public-keys/0/openssh-key").text == KEY
    assert ask("/latest/user-data").text == "#!/bin/sh\n"
    assert ask("/2031-01-01").status_code == 404
    assert ask("/latest/meta-data/nothing").status_code == 404


@pytest.mark.parametrize(
    ("version", "new"),
    [
        ("1.0", {"ami-id", "ami-launch-index", "ami-manifest-path", "hostname", "instance-id", "local-ipv4"}
         | {"public-keys/", "reservation-id", "security-groups"}),
        ("2007-01-19", {"local-hostname", "public-hostname", "public-ipv4"}),
        ("2007-03-01", set()),
        ("2007-08-29", {"instance-type"}),
        ("2007-10-10", set()),
        ("2007-12-15", {"block-device-mapping/", "kernel-id", "ramdisk-id"}),
        ("2008-02-01", {"placement/"}),
        ("2008-09-01", {"instance-action"}),
        ("2009-04-04", set()),
    ],
)  # fmt: skip
def test_each_version_of_ec2_tells_what_is_new_in_it(ask, version, new):
    before = EC2[EC2.index(version) - 1] if version != EC2[0] else ""
    earlier = set(ask(f"/{before}/meta-data/").text.split("\n")) if before else set()
    assert set(ask(f"/{version}/meta-data/").text.split("\n")) - earlier == new


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("2012-08-10", "meta_data.json user_data"),
        ("2013-04-04", "meta_data.json user_data password"),
        ("2013-10-17", "meta_data.json user_data password vendor_data.json"),
        ("2015-10-15", "meta_data.json user_data password vendor_data.json network_data.json"),
        ("2016-06-30", "meta_data.json user_data password vendor_data.json network_data.json"),
        ("2016-10-06", "meta_data.json user_data password vendor_data.json network_data.json vendor_data2.json"),
        ("2020-10-14", "meta_data.json user_data password vendor_data.json network_data.json vendor_data2.json"),
        ("latest", "meta_data.json user_data password vendor_data.json network_data.json vendor_data2.json"),
    ],
)
def test_each_version_of_openstack_lists_its_documents_and_has_them(ask, version, names):
    for path in (f"/openstack/{version}", f"/openstack/{version}/"):
        assert ask(path).text.split("\n") == names.split()
    for name in names.split():
        assert ask(f"/openstack/{version}/{name}").status_code == 200
    if "password" not in names:
        assert ask(f"/openstack/{version}/password").status_code == 404
    assert ask(f"/openstack/{version}/user_data").content == b"#!/bin/sh\n"


def test_nothing_else_can_be_changed(ask):
    for path in ("/", "/latest/meta-data/", "/openstack", "/openstack/latest/meta_data.json"):
        assert ask(path, "POST", b"x").status_code == 405


def test_the_tree_of_openstack(ask, instance):
    assert ask("/openstack").text.split("\n") == OPENSTACK
    data = ask("/openstack/latest/meta_data.json").json()
    assert (data["uuid"], data["name"], data["hostname"]) == (instance["id"], "Web 1", "web-1.openstacklocal")
    assert data["public_keys"] == {"mine": KEY}
    assert data["devices"][0]["tags"] == ["front"]
    assert "project_id" not in ask("/openstack/2013-04-04/meta_data.json").json()
    network = ask("/openstack/latest/network_data.json").json()
    assert (network["networks"][0]["type"], network["links"][0]["mtu"]) == ("ipv4_dhcp", 1450)
    vendor = ask("/openstack/latest/vendor_data.json").json()
    assert vendor["cloud-init"]["system_info"]["default_user"]["name"] == "cirros"
    assert "network_data.json" not in ask("/openstack/2013-10-17").text
    assert ask("/openstack/2013-10-17/network_data.json").status_code == 404
    assert json.loads(ask("/openstack/latest/vendor_data2.json").text) == {}
    assert ask("/openstack/1999-01-01").status_code == 404


def test_a_password_is_kept_once(ask):
    assert ask("/openstack/latest/password").text == ""
    assert ask("/openstack/latest/password", "POST", b"x" * 2000).status_code == 400
    assert ask("/openstack/latest/password", "POST", b"sealed").status_code == 200
    assert ask("/openstack/latest/password", "POST", b"other").status_code == 409
    assert ask("/openstack/latest/password").text == "sealed"


@pytest.fixture
def responder(server, instance, tmp_path):
    """The socket of an agent's responder, for 200 ports of the instance; what it asks is the running service."""
    ports = [port(number, instance) for number in range(1, 201)]
    intent = Intent({each.name: each for each in ports})
    listener = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(server.cloud.metadata_app, log_level="warning", access_log=False))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    nova = NovaMetadata(url=f"http://127.0.0.1:{listener.getsockname()[1]}", shared_secret="shared")
    answering = Responder(tmp_path / "socket", lambda: intent, nova)
    answering.start()
    yield tmp_path / "socket"
    answering.stop()
    running.should_exit = True
    thread.join(10)
    listener.close()


def port(number, instance):
    return Port(
        id=f"p{number}", network_id="n", mac="fa:16:3e:00:00:01", project_id=instance["tenant_id"],
        device_id=instance["id"], device_owner="compute:nova", host="h", admin_state_up=True, port_security=True,
        fixed_ips=(FixedIp(subnet_id="s", address=f"10.0.0.{number}"),), address_pairs=(), security_groups=(),
        dhcp_options=(),
    )  # fmt: skip


def test_200_that_ask_at_once_are_all_told_at_the_first_try(responder, instance):
    """As many at a time as the proxy lets through; the others wait there, half a minute at most."""

    def ask_from(address: str) -> str:
        connection = http.client.HTTPConnection("metadata")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(responder))
        headers = {"X-Neutron-Network-ID": "n", "X-Forwarded-For": address}
        connection.request("GET", "/openstack/latest/meta_data.json", headers=headers)
        answer = connection.getresponse()
        told = json.loads(answer.read()) if answer.status == 200 else {}
        connection.close()
        return told.get("uuid", f"{answer.status} {answer.reason}")

    began = time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS_TO_RESPONDER) as threads:
        told = set(threads.map(ask_from, (f"10.0.0.{number}" for number in range(1, 201))))
    assert told == {instance["id"]}
    assert time.monotonic() - began < 30
