"""What ``bench.metadata`` runs inside its private machine; prints a JSON line ``[what, value]`` for each measurement.

Instances are containers that boot at once; a crowd is one device that has the addresses of many ports, each of which
belongs to one of the instances, and asks for all of them in the same moment.
"""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import inside
from bench.inside import CONFIG, PIDFILE, Plugs, Port, tell
from bench.inside_trunks import Caller

GUESTS, CROWD, NETWORKS, AT_ONCE = 200, 200, 500, 100
"""Instances that boot at once, clients that ask at once, networks of the host, and objects in one request."""
DATABASE = Path("/var/lib/netloom/netloom.db")
PATIENCE = 600.0
FIRST = "netloom: metadata at request 1\n"
"""What a guest says that was answered the first time it asked."""
PROXY = Path("/var/lib/netloom/host/metadata/haproxy.cfg")
ASK = """
import concurrent.futures, http.client, json, sys, threading, time
wanted = json.load(sys.stdin)
together = threading.Barrier(len(wanted))
def ask(address):
    together.wait()
    began = time.monotonic()
    try:
        connection = http.client.HTTPConnection("169.254.169.254", timeout=60, source_address=(address, 0))
        connection.request("GET", "/openstack/latest/meta_data.json")
        answer = connection.getresponse()
        told = json.loads(answer.read())["uuid"]
    except Exception as error:
        told = repr(error)
    return time.monotonic() - began, told
with concurrent.futures.ThreadPoolExecutor(len(wanted)) as threads:
    for address, (seconds, told) in zip(wanted, threads.map(ask, wanted)):
        print(json.dumps([seconds, told == wanted[address], told]))
"""


def main() -> None:
    """Measure everything."""
    share = 10 if "--quick" in sys.argv else 1
    inside.PATIENCE = PATIENCE
    subprocess.run(["netloom", "up"], check=True, stdout=subprocess.DEVNULL)
    client = Caller(CONFIG / "clouds.yaml", "netloom-admin")
    _lift_quotas(client)
    network = _routed_network(client)
    servers = boot(client, network, GUESTS // min(share, 4))
    crowd(client, network, servers, CROWD)
    many_networks(client, NETWORKS // share)


def _lift_quotas(client: Caller) -> None:
    unlimited = {"quota": dict.fromkeys(("network", "subnet", "port"), -1)}
    client.put(f"/v2.0/quotas/{client.project_id}", unlimited)
    compute = {"quota_set": dict.fromkeys(("instances", "cores", "ram"), -1)}
    client.put(f"/compute/v2.1/os-quota-sets/{client.project_id}", compute)


def _routed_network(client: Caller) -> str:
    """A network behind a router; its id."""
    network = client.post("/v2.0/networks", {"network": {"name": "bench"}})["network"]["id"]
    subnet = {"network_id": network, "cidr": "10.0.0.0/16", "ip_version": 4}
    made = client.post("/v2.0/subnets", {"subnet": subnet})["subnet"]["id"]
    router = client.post("/v2.0/routers", {"router": {"name": "bench"}})["router"]["id"]
    client.put(f"/v2.0/routers/{router}/add_router_interface", {"subnet_id": made})
    inside.eventually(lambda: PROXY.exists() and router in PROXY.read_text(), 0.05)
    return str(network)


def boot(client: Caller, network: str, count: int) -> list[str]:
    """Instances in one request; how many were told who they are when they first asked. Their ids."""
    image = client.get("/image/v2/images")["images"][0]["id"]
    wish = {"name": "small", "ram": 64, "vcpus": 1, "disk": 0}
    flavor = client.add("/compute/v2.1/flavors", {"flavor": wish})["flavor"]["id"]
    server = {"name": "vm", "flavorRef": flavor, "imageRef": image, "networks": [{"uuid": network}]}
    with sqlite3.connect(DATABASE) as database:  # more than compute gives to so few cores
        database.execute("UPDATE compute_hosts SET vcpus = 0")
    client.post("/compute/v2.1/servers", {"server": server | {"min_count": count, "max_count": count}})
    servers = [str(server["id"]) for server in client.get("/compute/v2.1/servers")["servers"]]
    said: dict[str, str] = {}

    def all_told() -> bool:
        for id in servers:
            if "netloom: metadata at request " not in said.get(id, ""):
                said[id] = _console(client, id)
        return all("netloom: metadata at request " in text for text in said.values())

    inside.eventually(all_told, 0.5)
    late = sum(FIRST not in text for text in said.values())
    tell(f"{count} instances that boot at once: not told when they first asked", late)
    return servers


def _console(client: Caller, server: str) -> str:
    """What an instance has said so far; nothing while it is being built."""
    shown = client.get(f"/compute/v2.1/servers/{server}")["server"]
    if shown["status"] != "ACTIVE":
        return ""
    path = f"/compute/v2.1/servers/{server}/action"
    return str(client.add(path, {"os-getConsoleOutput": {}})["output"])


def crowd(client: Caller, network: str, servers: Sequence[str], count: int) -> None:
    """Clients that ask in the same moment, each for itself."""
    bodies = [{"network_id": network, "device_id": servers[number % len(servers)]} for number in range(count)]
    owned = [body | {"device_owner": "compute:nova"} for body in bodies]
    ports = [port for some in _chunks(owned) for port in client.post("/v2.0/ports", {"ports": some})["ports"]]
    addresses = {port["fixed_ips"][0]["ip_address"]: port["device_id"] for port in ports}
    _plug_crowd(client, network, list(addresses))
    argv = ["ip", "netns", "exec", "crowd", sys.executable, "-c", ASK]
    done = subprocess.run(argv, input=json.dumps(addresses), check=True, capture_output=True, text=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = [told for _, right, told in answers if not right]
    print("\n".join(sorted(set(wrong))), file=sys.stderr)
    tell(f"{count} clients that ask at once: not told who they are", len(wrong))
    for seconds, *_ in answers:
        tell(f"{count} clients that ask at once, to the answer", seconds)


def _plug_crowd(client: Caller, network: str, addresses: Sequence[str]) -> None:
    """A namespace with a device on the network that has all the addresses."""
    wish = inside.body(network) | {"port_security_enabled": False, "security_groups": []}
    port: Port = client.post("/v2.0/ports", {"port": wish})["port"]
    mac = port["mac_address"]
    lines = [
        "netns add crowd",
        f"link add crowd0 type veth peer name eth0 address {mac} netns crowd",
        "link set crowd0 up",
        "-n crowd link set eth0 up mtu 1450",
        *(f"-n crowd address add {address}/16 dev eth0" for address in addresses),
        "-n crowd route add default via 10.0.0.1",
    ]
    for line in lines:
        subprocess.run(["ip", *line.split()], check=True)
    offload = ["ip", "netns", "exec", "crowd", "ethtool", "-K", "eth0", "tx", "off"]
    subprocess.run(offload, check=True, stdout=subprocess.DEVNULL)
    Plugs().plug([("crowd0", port)])
    inside.eventually(inside.active(client, port))


def many_networks(client: Caller, count: int) -> None:
    """Memory of what serves metadata, beside so many networks without routers."""
    agent = int(PIDFILE.read_text())
    before = _proportional(agent)
    for some in _chunks([{"name": f"isolated{number}"} for number in range(count)]):
        made = client.post("/v2.0/networks", {"networks": some})["networks"]
        subnets = [{"network_id": network["id"], "cidr": "10.1.0.0/24", "ip_version": 4} for network in made]
        client.post("/v2.0/subnets", {"subnets": subnets})
    inside.eventually(lambda: PROXY.read_text().count("\nfrontend qdhcp-") >= count, 0.5)
    inside.eventually(lambda: len(list(inside.named("haproxy"))) == 2, 0.5)  # master and worker: none that ends
    proxy, grown = _memory("haproxy"), _proportional(agent) - before
    tell(f"metadata proxy beside {count} networks", proxy)
    tell(f"the agent has grown, by all that it knows of {count} networks", grown)
    tell(f"metadata of {count} networks in all", proxy + grown)


def _memory(program: str) -> float:
    """MiB of all processes of a program."""
    return sum(_proportional(int(path.name)) for path in inside.named(program))


def _proportional(pid: int) -> float:
    """MiB of a process, with its share of what it shares (PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024


def _chunks(values: Sequence[Port]) -> Iterator[Sequence[Port]]:
    return (values[start : start + AT_ONCE] for start in range(0, len(values), AT_ONCE))


if __name__ == "__main__":
    os.environ.setdefault("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    main()
