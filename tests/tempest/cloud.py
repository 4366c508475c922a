"""A server process with a state directory and a port of its own, and a host that only says it applies things."""

import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from netloom.agent.convergence import judge
from netloom.agent.roles import roles
from netloom.cli.main import main
from netloom.feed import keys
from netloom.feed.client import Mirror, Stream
from netloom.plan.intent import Intent
from netloom.settings.load import host_settings, read, server_settings
from netloom.standalone import cloud, credentials
from netloom.state import Facts
from netloom.store.database import Store
from netloom.store.migrate import migrate

CONFIGURATION = """\
[DEFAULT]
host = {host}
state_path = {directory}/state
bind_port = {port}
nova_metadata_port = {metadata_port}
metadata_proxy_shared_secret = {secret}

[netloom]
standalone = true
run_path = {directory}/run
config_path = {directory}/etc
servers = ws://127.0.0.1:{port}
host_key_file = {directory}/host.key
roles = openvswitch,l3,dhcp,metadata,loadbalancer,compute

[ovs]
bridge_mappings = public:br-ex,physnet1:br-physnet1
local_ip = 127.0.0.1

[agent]
tunnel_types = vxlan,gre,geneve

[quotas]
quota_router = 100
quota_floatingip = 500
quota_security_group = 150
quota_security_group_rule = 1000

[ml2_type_vlan]
network_vlan_ranges = physnet1:100:199
"""


@contextmanager
def running(directory: Path) -> Iterator[None]:
    """A cloud with an external network, gone at the end; ``tempest.conf`` and all else of it is in ``directory``."""
    port, metadata_port = _free_ports(2)
    url = f"http://127.0.0.1:{port}"
    file = directory / "netloom.conf"
    file.write_text(
        CONFIGURATION.format(
            host="tempest",
            directory=directory,
            port=port,
            metadata_port=metadata_port,
            secret=secrets.token_urlsafe(12),
        )
    )
    (directory / "state").mkdir()
    password = _bootstrap(file, url)
    with _process([sys.executable, "-m", "netloom.cli.main", "--config-file", str(file), "server"], directory):
        _wait(lambda: httpx.get(f"{url}/healthcheck").is_success, f"the server starts ({directory}/server.log)")
        with _host(file), _client(url, password) as client:
            _wait(lambda: _alive(client), "the agents are alive")
            _make_default_pools(client)
            _make_public_network(client)
            output = directory / "tempest.conf"
            assert main(["--config-file", str(file), "tempest-config", "--output", str(output)]) == 0
            yield


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _bootstrap(file: Path, url: str) -> str:
    """Make the database and the credentials; returns the password of admin."""
    conf = read([file])
    settings = server_settings(conf)
    store = Store(settings.database)
    migrate(store)
    directory = Path(conf.netloom.config_path)
    directory.mkdir()
    passwords = credentials.ensure(directory, f"{url}/identity/v3")
    cloud.bootstrap(store, settings, passwords)
    with store.write() as tx:
        key = keys.issue(tx, conf.host)
    store.close()
    host_settings(conf).key_file.write_text(key)
    return passwords["admin"]


@contextmanager
def _process(argv: list[str], directory: Path) -> Iterator[None]:
    with (directory / "server.log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait()


@contextmanager
def _host(file: Path) -> Iterator[None]:
    """A host that takes fragments as an agent does and reports them, but has no switch and no interfaces."""
    settings = host_settings(read([file]))
    mirror = Mirror(file.parent / "fragments")

    def report() -> None:
        fragments, versions = mirror.snapshot()
        stream.report(judge(fragments, versions, Facts(), [], settings.host))

    def present() -> list[Any]:
        return roles(settings, Intent(mirror.snapshot()[0]), "system")

    key = settings.key_file.read_text()
    stream = Stream(settings.servers, settings.host, key, mirror, present, settings.report_interval, report)
    stream.start()
    try:
        yield
    finally:
        stream.stop()


@contextmanager
def _client(url: str, password: str) -> Iterator[httpx.Client]:
    user = {"name": "admin", "password": password, "domain": {"id": "default"}}
    scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
    identity = {"methods": ["password"], "password": {"user": user}}
    body = {"auth": {"identity": identity, "scope": scope}}
    token = httpx.post(f"{url}/identity/v3/auth/tokens", json=body).raise_for_status().headers["X-Subject-Token"]
    with httpx.Client(base_url=url, headers={"X-Auth-Token": token}) as client:
        yield client


def _alive(client: httpx.Client) -> bool:
    agents = client.get("/v2.0/agents").raise_for_status().json()["agents"]
    return bool(agents) and all(agent["alive"] for agent in agents)


def _make_public_network(client: httpx.Client) -> None:
    network = {"name": "public", "router:external": True, "provider:network_type": "flat"}
    network["provider:physical_network"] = "public"
    answer = client.post("/v2.0/networks", json={"network": network}).raise_for_status()
    network_id: str = answer.json()["network"]["id"]
    subnet = {"network_id": network_id, "ip_version": 4, "cidr": "172.24.4.0/24", "enable_dhcp": False}
    client.post("/v2.0/subnets", json={"subnet": subnet}).raise_for_status()


def _make_default_pools(client: httpx.Client) -> None:
    """The pools of which projects' automatic networks are made."""
    for version, prefix, length in ((4, "10.224.0.0/12", 26), (6, "fd5e:7a11::/48", 64)):
        pool = {"name": f"default-v{version}", "prefixes": [prefix], "default_prefixlen": length}
        body = {"subnetpool": pool | {"is_default": True, "shared": True}}
        client.post("/v2.0/subnetpools", json=body).raise_for_status()


def _wait(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            if condition():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < until, f"waited in vain until {what}"
        time.sleep(0.05)
