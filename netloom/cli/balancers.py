"""The load balancers of a cloud and their members, as its API tells."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from netloom.cli.client import Client

COLUMNS = ("VIP", "LISTENER", "POOL", "MEMBER", "INSTANCE", "STATUS")
API = "/load-balancer/v2.0/lbaas/loadbalancers"


@dataclass(frozen=True, slots=True)
class Member:
    """Where a listener of a load balancer may send a request."""

    vip: str
    listener: str
    pool: str
    """Both by their names, else their ids."""
    address: str
    port_number: int
    status: str
    """``operating_status``."""
    port_id: str
    """Of the port on the VIP's network that has the address; empty without one."""
    device_id: str

    def cells(self, names: Mapping[str, str]) -> tuple[str, ...]:
        """What a table shows, in the order of ``COLUMNS``."""
        instance = names.get(self.device_id, self.device_id) or "-"
        return (self.vip, self.listener, self.pool, f"{self.address}:{self.port_number}", instance, self.status)


class Balancers:
    """Of a cloud; of none they are none."""

    def __init__(self, client: Client | None) -> None:
        """Ask for their names. Raises Trouble."""
        self._client = client
        self._all: list[dict[str, Any]] = client.get(API)["loadbalancers"] if client else []

    @property
    def names(self) -> dict[str, str]:
        """What people call them, by id."""
        return {one["id"]: one["name"] for one in self._all if one["name"]}

    def members(self, wanted: str | None) -> list[Member]:
        """The members of those of a name or beginning of an id, each for every listener. Raises Trouble."""
        chosen = [one for one in self._all if wanted and (one["name"] == wanted or one["id"].startswith(wanted))]
        return [member for one in chosen for member in self._members(one)]

    def _members(self, balancer: Mapping[str, Any]) -> Iterator[Member]:
        assert self._client
        tree = self._client.get(f"{API}/{balancer['id']}/status")["statuses"]["loadbalancer"]
        asked = f"/v2.0/ports?network_id={balancer['vip_network_id']}&fields=id&fields=fixed_ips&fields=device_id"
        ports = {place["ip_address"]: port for port in self._client.get(asked)["ports"] for place in port["fixed_ips"]}
        for listener in tree["listeners"]:
            for pool in listener["pools"]:
                for member in pool["members"]:
                    port = ports.get(member["address"], {})
                    yield Member(
                        vip=balancer["vip_address"],
                        listener=listener["name"] or listener["id"],
                        pool=pool["name"] or pool["id"],
                        address=member["address"],
                        port_number=member["protocol_port"],
                        status=member["operating_status"],
                        port_id=port.get("id", ""),
                        device_id=port.get("device_id", ""),
                    )
