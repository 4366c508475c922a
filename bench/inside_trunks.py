"""What ``bench.inside`` measures of trunks: a card plugged as os-vif does it, and sub-ports by the API."""

import json
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from netloom.cli.client import Client

SUB_PORTS, AT_ONCE = 1000, 100
"""Sub-ports of the trunk; ports in one request, before it is measured how long anything takes."""
PATIENCE = 120.0


class Caller(Client):
    """A client that changes things, too."""

    def put(self, path: str, body: Any) -> Any:
        """The body of an answer to PUT."""
        return self._expect(200, "PUT", path, body)

    def remove(self, path: str) -> None:
        """Delete something."""
        self._expect(204, "DELETE", path, None)

    def add(self, path: str, body: Any) -> Any:
        """The body of an answer to POST, where compute answers 200."""
        return self._expect(200, "POST", path, body)


def measure(client: Caller, network: str, device: str, count: int) -> Iterator[tuple[str, float]]:
    """A trunk that is ACTIVE gets ``count`` sub-ports in one call, then one more, and loses all of them."""
    client.put(f"/v2.0/quotas/{client.project_id}", {"quota": {"port": -1}})
    parent = client.post("/v2.0/ports", {"port": {"network_id": network}})["port"]
    trunk = client.post("/v2.0/trunks", {"trunk": {"port_id": parent["id"]}})["trunk"]["id"]
    binding = {"binding:host_id": socket.gethostname(), "device_owner": "compute:nova", "device_id": str(uuid.uuid4())}
    client.put(f"/v2.0/ports/{parent['id']}", {"port": binding})
    yield "trunk's card plugged to ACTIVE", _seconds(lambda: _plug(trunk, device, parent), _active(client, trunk))
    subs = _ports(client, network, count + 1)

    def add(some: list[dict[str, Any]]) -> float:
        body = {"sub_ports": some}
        return _seconds(lambda: client.put(f"/v2.0/trunks/{trunk}/add_subports", body), _active(client, trunk))

    yield f"{count:,} sub-ports in one call, to ACTIVE", add(subs[:-1])
    yield f"one sub-port beside {count:,} others, to ACTIVE", add(subs[-1:])
    gone = {"sub_ports": [{"port_id": sub["port_id"]} for sub in subs]}
    taken = _seconds(
        lambda: client.put(f"/v2.0/trunks/{trunk}/remove_subports", gone),
        lambda: "spi-" not in _run("ovs-vsctl", "list-ports", "br-int"),
    )
    yield f"{count + 1:,} sub-ports in one call, to gone from the host", taken


def _seconds(act: Callable[[], object], done: Callable[[], bool]) -> float:
    """How long it takes until it is done.

    Raises:
        TimeoutError: too long.
    """
    began = time.monotonic()
    act()
    while not done():
        if time.monotonic() - began > PATIENCE:
            raise TimeoutError("what was awaited did not happen")
        time.sleep(0.02)
    return time.monotonic() - began


def _active(client: Client, trunk: str) -> Callable[[], bool]:
    """Whether a trunk is ACTIVE."""
    return lambda: bool(client.get(f"/v2.0/trunks/{trunk}?fields=status")["trunk"]["status"] == "ACTIVE")


def _ports(client: Client, network: str, count: int) -> list[dict[str, Any]]:
    """Ports for sub-ports, with the tags 1 and up."""
    ids: list[str] = []
    while len(ids) < count:
        some = [{"network_id": network}] * min(AT_ONCE, count - len(ids))
        ids += [port["id"] for port in client.post("/v2.0/ports", {"ports": some})["ports"]]
    return [{"port_id": id, "segmentation_type": "vlan", "segmentation_id": tag} for tag, id in enumerate(ids, start=1)]


def _plug(trunk: str, device: str, port: dict[str, Any]) -> None:
    """As os-vif does it: the bridge that ``vif_details`` name, and the device in it."""
    bridge = f"tbr-{trunk[:10]}"
    ids = {"iface-id": port["id"], "attached-mac": port["mac_address"], "iface-status": "active"}
    texts = [f"external_ids:{key}={json.dumps(value)}" for key, value in ids.items()]
    made = ("--may-exist", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev")
    _run("ovs-vsctl", *made, "--", "add-port", bridge, device, "--", "set", "interface", device, *texts)


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
