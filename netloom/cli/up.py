"""``netloom up``: a whole cloud network on this machine."""

import argparse
import ipaddress
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import urllib3
from oslo_config import cfg

from netloom.cli import external
from netloom.cli.client import Client
from netloom.cli.processes import AGENT, SERVER, spawn
from netloom.cli.settings import configuration
from netloom.cli.terminal import Trouble, require_root, step
from netloom.feed import keys
from netloom.host.ovsdb import Ovsdb
from netloom.host.vswitch import VSwitch, daemon_pid, datapath_type
from netloom.settings.load import server_settings
from netloom.standalone import cloud, credentials
from netloom.store.database import Store
from netloom.store.migrate import migrate

READY_SECONDS = 30.0
OVS_RUNDIR = Path("/run/openvswitch")

PROGRAMS = {
    "ovs-vswitchd": "openvswitch-switch",
    "dnsmasq": "dnsmasq-base",
    "haproxy": "haproxy",
    "radvd": "radvd",
    "iptables-restore": "iptables",
    "ipset": "ipset",
    "nft": "nftables",
    "conntrack": "conntrack",
    "keepalived": "keepalived",
    "conntrackd": "conntrackd",
    "ethtool": "ethtool",
    "ip": "iproute2",
    "busybox": "busybox-static",
    "dropbear": "dropbear-bin",
}
"""What the cloud runs, and the Debian package that has it."""

CONFIGURATION = """\
# Written by "netloom up"; change it as you like, then run "netloom down --keep" and "netloom up".
[DEFAULT]
host = {host}
metadata_proxy_shared_secret = {secret}

[netloom]
standalone = true
roles = openvswitch, l3, dhcp, metadata, loadbalancer, compute

[ovs]
bridge_mappings = {physical_network}:{bridge}
local_ip = 127.0.0.1

[agent]
tunnel_types = vxlan, gre, geneve

[ml2]
external_network_type = flat

[ml2_type_flat]
flat_networks = {physical_network}
"""

READY = """
The cloud is ready: {url} (admin and demo; all files are in {directory}).

Credentials:   . {directory}/admin-openrc
       or:     export OS_CLIENT_CONFIG_FILE={directory}/clouds.yaml OS_CLOUD=netloom-admin
Try:
  openstack network create net1
  openstack subnet create --network net1 --subnet-range 10.0.0.0/24 subnet1
  openstack server create --flavor m1.tiny --image cirros --network net1 --wait vm1
{hint}"""


def run(arguments: argparse.Namespace) -> int:
    """Bring the cloud up."""
    require_root("a cloud on this machine")
    require_programs()
    conf = _configuration(arguments)
    settings = server_settings(conf)
    directory = Path(conf.netloom.config_path)
    for path in (settings.state_dir, settings.run_dir):
        path.mkdir(parents=True, exist_ok=True)
    with step("Open vSwitch"):
        _start_switch(conf, settings.state_dir)
        ovsdb = Ovsdb(conf.ovs.ovsdb_connection)
        external.ensure(
            ovsdb,
            conf.ovs.datapath_type or datapath_type(),
            arguments.external,
            arguments.external_device,
            settings.state_dir,
        )
        ovsdb.close()
    with step("database, credentials and keys"):
        url = f"http://{settings.listen[0]}:{settings.listen[1]}"
        passwords = credentials.ensure(directory, f"{url}/identity/v3")
        store = Store(settings.database)
        migrate(store)
        cloud.bootstrap(store, settings, passwords)
        _ensure_host_key(conf, store, settings.state_dir)
        store.close()
    with step("server"):
        _start("server", arguments, settings.run_dir / SERVER, settings.state_dir)
        _wait(
            lambda: _answers(f"{url}/healthcheck"), "the server does not answer", settings.state_dir / "log/server.log"
        )
    with step("agent"):
        _start("agent", arguments, settings.run_dir / AGENT, settings.state_dir)
        client = Client(directory / "clouds.yaml", "netloom-admin")
        _wait(lambda: _agents_ready(client), "the agent is not ready", settings.state_dir / "log/agent.log")
    if not arguments.bare:
        with step("external network"):
            _ensure_external_network(client, arguments.external)
    hint = "" if shutil.which("openstack") else "(the client: pip install python-openstackclient)\n"
    print(READY.format(url=url, directory=directory, hint=hint), end="")
    return 0


def require_programs() -> None:
    """Insist on what a host runs.

    Raises:
        Trouble: something of it is not installed.
    """
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    if missing := sorted({package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)}):
        raise Trouble(f"these Debian packages are missing: apt-get install {' '.join(missing)} ('make up' does it)")


def _configuration(arguments: argparse.Namespace) -> cfg.ConfigOpts:
    """The configuration; a file for the all-in-one cloud is written when there is none."""
    conf = configuration(arguments)
    if not arguments.config_file:
        path = Path(conf.netloom.config_path) / "netloom.conf"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {
            "host": socket.gethostname(),
            "secret": secrets.token_urlsafe(24),
            "physical_network": external.PHYSICAL_NETWORK,
            "bridge": external.BRIDGE,
        }
        credentials.write_private(path, CONFIGURATION.format(**values))
        arguments.config_file = [path]
        conf = configuration(arguments)
    if not conf.netloom.standalone:
        raise Trouble(f"{arguments.config_file[0]} is not of an all-in-one cloud ([netloom] standalone is not true)")
    return conf


def _start_switch(conf: cfg.ConfigOpts, state_dir: Path) -> None:
    switch = VSwitch(OVS_RUNDIR, state_dir / "openvswitch")
    if conf.ovs.ovsdb_connection == switch.connection and not switch.running():
        switch.start()


def _ensure_host_key(conf: cfg.ConfigOpts, store: Store, state_dir: Path) -> None:
    path = Path(conf.netloom.host_key_file or state_dir / "host.key")
    if path.exists():
        with store.read() as tx:
            if keys.verify(tx, conf.host, path.read_text().strip()):
                return
    with store.write() as tx:
        key = keys.issue(tx, conf.host)
    credentials.write_private(path, key + "\n")


def _start(
    what: str, arguments: argparse.Namespace, pidfile: Path, state_dir: Path
) -> "subprocess.Popen[bytes] | None":
    if daemon_pid(pidfile):
        return None
    files = [word for file in arguments.config_file for word in ("--config-file", str(file))]
    return spawn([*files, what], state_dir / "log" / f"{what}.log")


def _wait(ready: Any, trouble: str, log: Path) -> None:
    """Wait until ``ready()``.

    Raises:
        Trouble: it took too long.
    """
    until = time.monotonic() + READY_SECONDS
    while not ready():
        if time.monotonic() > until:
            raise Trouble(f"{trouble}; its log is {log}")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        return urllib3.request("GET", url, timeout=2.0, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _agents_ready(client: Client) -> bool:
    agents = client.get("/v2.0/agents")["agents"]
    return bool(agents) and all(entry["alive"] for entry in agents)


def _ensure_external_network(client: Client, interface: ipaddress.IPv4Interface) -> None:
    """Make the external network, with the upper half of its addresses to give away."""
    if client.get("/v2.0/networks?router%3Aexternal=True")["networks"]:
        return
    network = {
        "name": "public",
        "router:external": True,
        "is_default": True,
        "provider:network_type": "flat",
        "provider:physical_network": external.PHYSICAL_NETWORK,
    }
    made = client.post("/v2.0/networks", {"network": network})["network"]
    hosts = interface.network
    subnet = {
        "name": "public-subnet",
        "network_id": made["id"],
        "ip_version": 4,
        "cidr": str(hosts),
        "gateway_ip": str(interface.ip),
        "enable_dhcp": False,
        "allocation_pools": [{"start": str(hosts[hosts.num_addresses // 2]), "end": str(hosts[-2])}],
    }
    client.post("/v2.0/subnets", {"subnet": subnet})
