"""The load balancers of a cloud and their members, as its API tells."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from netloom.cli.client import Client

COLUMNS = ("VIP", "LISTENER", "POOL", "MEMBER", "INSTANCE", "STATUS")
API = "/load-balancer/v2.0/lbaas/loadbalancers"
V1 = "/v2.0/lb"
Thing = Mapping[str, Any]
"""As the API shows it."""


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
    """``operating_status``, of LBaaS v1 ``status``."""
    port_id: str
    """Of the port on the VIP's network that has the address; empty without one."""
    device_id: str

    def cells(self, names: Mapping[str, str]) -> tuple[str, ...]:
        """What a table shows, in the order of ``COLUMNS``."""
        instance = names.get(self.device_id, self.device_id) or "-"
        return (self.vip, self.listener, self.pool, f"{self.address}:{self.port_number}", instance, self.status)


class Balancers:
    """Of a cloud; of none they are none. A pool of LBaaS v1 counts as the balancer that it is on its host."""

    def __init__(self, client: Client | None) -> None:
        """Ask for their names. Raises Trouble."""
        self._client = client
        self._all: list[Thing] = client.get(API)["loadbalancers"] if client else []
        self._pools: list[Thing] = client.get(f"{V1}/pools")["pools"] if client and _has_v1(client) else []

    @property
    def names(self) -> dict[str, str]:
        """What people call them, by id."""
        return {one["id"]: one["name"] for one in (*self._all, *self._pools) if one["name"]}

    def members(self, wanted: str | None) -> list[Member]:
        """The members of those of a name or beginning of an id, each for every listener. Raises Trouble."""

        def chosen(balancers: list[Thing]) -> Iterator[Thing]:
            return (one for one in balancers if wanted and (one["name"] == wanted or one["id"].startswith(wanted)))

        found = [member for one in chosen(self._all) for member in self._members(one)]
        return [*found, *(member for one in chosen(self._pools) for member in self._members_v1(one))]

    def _members(self, balancer: Thing) -> Iterator[Member]:
        assert self._client
        tree = self._client.get(f"{API}/{balancer['id']}/status")["statuses"]["loadbalancer"]
        ports = self._ports(f"network_id={balancer['vip_network_id']}")
        for listener in tree["listeners"]:
            for pool in listener["pools"]:
                for member in pool["members"]:
                    status = member["operating_status"]
                    yield _member(balancer["vip_address"], listener, pool, member, status, ports)

    def _members_v1(self, pool: Thing) -> Iterator[Member]:
        assert self._client
        vips = self._client.get(f"{V1}/vips?pool_id={pool['id']}")["vips"]
        ports = self._ports(f"fixed_ips=subnet_id%3D{pool['subnet_id']}")
        for member in self._client.get(f"{V1}/members?pool_id={pool['id']}")["members"]:
            for vip in vips:
                yield _member(vip["address"], vip, pool, member, member["status"], ports)

    def _ports(self, matching: str) -> dict[str, Thing]:
        """By address."""
        assert self._client
        asked = f"/v2.0/ports?{matching}&fields=id&fields=fixed_ips&fields=device_id"
        return {place["ip_address"]: port for port in self._client.get(asked)["ports"] for place in port["fixed_ips"]}


def _member(vip: str, listener: Thing, pool: Thing, member: Thing, status: str, ports: Mapping[str, Thing]) -> Member:
    port = ports.get(member["address"], {})
    return Member(
        vip=vip,
        listener=listener["name"] or listener["id"],
        pool=pool["name"] or pool["id"],
        address=member["address"],
        port_number=member["protocol_port"],
        status=status,
        port_id=port.get("id", ""),
        device_id=port.get("device_id", ""),
    )


def _has_v1(client: Client) -> bool:
    return any(each["alias"] == "lbaas" for each in client.get("/v2.0/extensions")["extensions"])
