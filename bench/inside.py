"""What ``bench.dataplane`` runs inside its private machine; prints a JSON line ``[what, value]`` for each measurement.

Devices stand in for those of a real compute service: they are made beforehand and plugged as os-vif does it, by one
transaction on Open vSwitch's database.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ovs.jsonrpc
import ovs.stream

from bench import inside_trunks
from bench.inside_trunks import SUB_PORTS, Caller
from netloom.cli.client import Client
from netloom.cli.processes import AGENT, spawn, stop

CONFIG = Path("/etc/netloom")
PIDFILE, LOG = Path("/run/netloom") / AGENT, Path("/var/lib/netloom/log/agent.log")
MANY = 200
PATIENCE = 60.0
Port = dict[str, Any]


def tell(what: str, value: float) -> None:
    """Report one measurement."""
    print(json.dumps([what, value]), flush=True)


def main() -> None:
    """Measure everything."""
    quick = "--quick" in sys.argv
    began = time.monotonic()
    subprocess.run(["netloom", "up"], check=True, stdout=subprocess.DEVNULL)
    tell("netloom up", time.monotonic() - began)
    client = Caller(CONFIG / "clouds.yaml", "netloom-admin")
    network = client.post("/v2.0/networks", {"network": {"name": "bench"}})["network"]["id"]
    subnet = {"network_id": network, "cidr": "10.0.0.0/16", "ip_version": 4}
    client.post("/v2.0/subnets", {"subnet": subnet})
    let_pings_in(client)
    flavors = client.get("/compute/v2.1/flavors/detail")["flavors"]
    smallest = min(flavors, key=lambda each: int(each["ram"]))["id"]
    delete(client, servers(client, network, smallest, 2 if quick else 8, "server create to answering ping"))
    virtual_machines(client, network, 1 if quick else 8)
    one, crowd = 5 if quick else 40, 20 if quick else MANY
    devices = [f"bench{number}" for number in range(2 * one + crowd + 2)]
    subprocess.run(
        ["ip", "-batch", "-"], input="".join(f"tuntap add {name} mode tap\n" for name in devices), text=True, check=True
    )
    plugs = Plugs()
    left = iter(devices)
    ports(
        client,
        plugs,
        network,
        left,
        one,
        "port create to ACTIVE (device plugged meanwhile)",
        "device plugged to ACTIVE",
    )
    at_once(client, plugs, network, left, crowd)
    ports(client, plugs, network, left, one, f"port create to ACTIVE beside {crowd} others", None)
    restart(client, plugs, network, left, crowd + 2 * one)
    for what, seconds in inside_trunks.measure(client, network, next(left), SUB_PORTS // (20 if quick else 1)):
        tell(what, seconds)


def eventually(condition: Callable[[], bool], pause: float = 0.01) -> None:
    """Wait until ``condition()``.

    Raises:
        TimeoutError: it did not come true.
    """
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("what was awaited did not happen")
        time.sleep(pause)


class Plugs:
    """Plugs devices into br-int, over one connection."""

    def __init__(self) -> None:
        _, stream = ovs.stream.Stream.open_block(ovs.stream.Stream.open("unix:/run/openvswitch/db.sock"))
        self._rpc = ovs.jsonrpc.Connection(stream)

    def plug(self, pairs: Sequence[tuple[str, Port]]) -> None:
        """Plug devices for ports, in one transaction."""
        operations: list[Any] = ["Open_vSwitch"]
        for number, (device, port) in enumerate(pairs):
            ids = {"iface-id": port["id"], "attached-mac": port["mac_address"], "iface-status": "active"}
            interface = {"name": device, "external_ids": ["map", list(ids.items())]}
            operations += [
                {"op": "insert", "table": "Interface", "row": interface, "uuid-name": f"i{number}"},
                {
                    "op": "insert",
                    "table": "Port",
                    "row": {"name": device, "interfaces": ["named-uuid", f"i{number}"]},
                    "uuid-name": f"p{number}",
                },
            ]
        added = ["set", [["named-uuid", f"p{number}"] for number in range(len(pairs))]]
        where = [["name", "==", "br-int"]]
        operations.append(
            {"op": "mutate", "table": "Bridge", "where": where, "mutations": [["ports", "insert", added]]}
        )
        error, reply = self._rpc.transact_block(ovs.jsonrpc.Message.create_request("transact", operations))
        if error or any("error" in (part or {}) for part in reply.result):
            raise RuntimeError(f"Open vSwitch refuses the devices: {error} {reply and reply.result}")


def body(network: str) -> Port:
    """A port for an instance on this host."""
    device = {"device_owner": "compute:nova", "device_id": str(uuid.uuid4())}
    return {"network_id": network, "binding:host_id": socket.gethostname(), **device}


def active(client: Client, port: Port) -> Callable[[], bool]:
    """Whether a port is ACTIVE."""
    path = f"/v2.0/ports/{port['id']}?fields=status"
    return lambda: bool(client.get(path)["port"]["status"] == "ACTIVE")


def ports(
    client: Client, plugs: Plugs, network: str, devices: Iterator[str], count: int, whole: str, rest: str | None
) -> None:
    """Ports one by one, each plugged as soon as it is known."""
    for _ in range(count):
        began = time.monotonic()
        port = client.post("/v2.0/ports", {"port": body(network)})["port"]
        plugs.plug([(next(devices), port)])
        plugged = time.monotonic()
        eventually(active(client, port))
        tell(whole, time.monotonic() - began)
        if rest:
            tell(rest, time.monotonic() - plugged)


def at_once(client: Client, plugs: Plugs, network: str, devices: Iterator[str], count: int) -> None:
    """Many ports in one request."""
    began = time.monotonic()
    made = client.post("/v2.0/ports", {"ports": [body(network) for _ in range(count)]})["ports"]
    plugs.plug([(next(devices), port) for port in made])
    path = f"/v2.0/ports?network_id={network}&device_owner=compute:nova&status=ACTIVE&fields=id"
    ids = {port["id"] for port in made}
    eventually(lambda: ids <= {port["id"] for port in client.get(path)["ports"]}, 0.05)
    tell(f"{count} ports in one request, to all ACTIVE", time.monotonic() - began)


def restart(client: Client, plugs: Plugs, network: str, devices: Iterator[str], count: int) -> None:
    """Restart the agent; a port that came while it was away tells when it works again."""
    flows, processes = _flows(), _daemons()
    stop(PIDFILE)
    port = client.post("/v2.0/ports", {"port": body(network)})["port"]
    plugs.plug([(next(devices), port)])
    began = time.monotonic()
    spawn(["--config-file", str(CONFIG / "netloom.conf"), "agent"], LOG)
    eventually(active(client, port))
    elapsed = time.monotonic() - began
    tell(f"agent restart beside {count} ports, to a new port's ACTIVE", elapsed)
    after = _flows()
    # A flow that was taken out and put back is younger than the restart.
    changed = [flow for flow in flows if after.get(flow, 0.0) < elapsed]
    tell("flows changed by an agent restart", len(changed) - len(_floods(changed)))
    tell("processes changed by an agent restart", len(processes - _daemons()))


def _floods(flows: Sequence[str]) -> list[str]:
    """Flows that hand frames to every port of the network: the new port belongs in them."""
    return [flow for flow in flows if "dl_dst=01:00:00:00:00:00" in flow]


def _flows() -> dict[str, float]:
    """Ages in seconds of br-int's flows."""
    dump = subprocess.run(["ovs-ofctl", "dump-flows", "br-int"], check=True, capture_output=True, text=True).stdout
    found = {}
    for line in dump.splitlines():
        if match := re.search(r"(cookie=\S+), duration=([\d.]+)s, (table=\d+), .*(priority=.*)", line):
            found[f"{match[1]} {match[3]} {match[4]}"] = float(match[2])
    return found


def _daemons() -> set[str]:
    """Process ids of the daemons that the agent keeps."""
    found = set()
    for comm in Path("/proc").glob("[0-9]*/comm"):
        if comm.read_text().strip() in ("dnsmasq", "haproxy", "radvd"):
            found.add(comm.parent.name)
    return found


def let_pings_in(client: Client) -> None:
    """Let the instances be pinged."""
    (group,) = client.get(f"/v2.0/security-groups?name=default&project_id={client.project_id}")["security_groups"]
    rule = {"security_group_id": group["id"], "direction": "ingress", "protocol": "icmp"}
    client.post("/v2.0/security-group-rules", {"security_group_rule": rule})


def virtual_machines(client: Caller, network: str, count: int) -> None:
    """Instances with kernels of their own, each beside those before."""
    wish = {"name": "machine", "ram": 128, "vcpus": 1, "disk": 0}
    flavor = client.add("/compute/v2.1/flavors", {"flavor": wish})["flavor"]["id"]
    specs = {"capabilities:hypervisor_type": "qemu"}
    client.add(f"/compute/v2.1/flavors/{flavor}/os-extra_specs", {"extra_specs": specs})
    made = servers(client, network, flavor, count, "virtual machine create to answering ping")
    for emulator in named("qemu-system-x86"):
        status = (emulator / "status").read_text()
        tell("memory of a virtual machine (RSS; 128 MiB are its own)", int(status.split("VmRSS:")[1].split()[0]) / 1024)
    delete(client, made)


def delete(client: Caller, made: Sequence[str]) -> None:
    """Delete instances: there is a quota, and their processor time is wanted."""
    for server in made:
        client.remove(f"/compute/v2.1/servers/{server}")
    eventually(lambda: not client.get("/compute/v2.1/servers")["servers"])


def named(comm: str) -> Iterator[Path]:
    """Directories below /proc of the processes of a program."""
    return (path.parent for path in Path("/proc").glob("[0-9]*/comm") if path.read_text().startswith(comm[:15]))


def servers(client: Client, network: str, flavor: str, count: int, what: str) -> list[str]:
    """Instances, one by one: until the first answered ping from the network's DHCP namespace. Their ids."""
    image = client.get("/image/v2/images")["images"][0]["id"]
    made = []
    for number in range(count):
        began = time.monotonic()
        wish = {"name": f"vm{number}", "flavorRef": flavor, "imageRef": image, "networks": [{"uuid": network}]}
        server = client.post("/compute/v2.1/servers", {"server": wish})["server"]["id"]
        found: list[Port] = []
        while not found:
            found = client.get(f"/v2.0/ports?device_id={server}")["ports"]
        _answers_ping(network, found[0])
        tell(what, time.monotonic() - began)
        made.append(server)
    return made


def _answers_ping(network: str, port: Port) -> None:
    """Wait for an answer. The neighbour is known beforehand: a kernel that asks for it in vain pauses for a second."""
    namespace, address = f"qdhcp-{network}", port["fixed_ips"][0]["ip_address"]
    inside = ["ip", "netns", "exec", namespace]
    eventually(lambda: bool(_device(namespace)), 0.01)
    neighbour = [address, "lladdr", port["mac_address"], "dev", _device(namespace), "nud", "permanent"]
    subprocess.run(["ip", "-n", namespace, "neigh", "replace", *neighbour], check=True)
    subprocess.run(
        [*inside, "ping", "-n", "-q", "-i", "0.02", "-c", "1", "-w", str(int(PATIENCE)), address],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _device(namespace: str) -> str:
    """The DHCP server's device; empty before it is there."""
    shown = subprocess.run(["ip", "-n", namespace, "-o", "-4", "addr"], capture_output=True, text=True, check=False)
    found = re.search(r"\d+: (tap\S+)", shown.stdout)
    return found[1].partition("@")[0] if found else ""


if __name__ == "__main__":
    os.environ.setdefault("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    main()
