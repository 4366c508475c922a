"""What a router is attached to."""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from netloom.model.errors import BadRequest
from netloom.model.owners import ROUTER_GATEWAY, ROUTER_PORTS
from netloom.store.database import Tx
from netloom.store.tables.network import IP_ALLOCATIONS, PORTS, SUBNETS


@dataclass(frozen=True, slots=True)
class Attached:
    """One address of a port of a router, with its subnet."""

    port_id: str
    device_owner: str
    network_id: str
    subnet_id: str
    ip_address: str
    cidr: str

    @property
    def external(self) -> bool:
        """Whether it belongs to the gateway."""
        return self.device_owner == ROUTER_GATEWAY

    @property
    def ip_version(self) -> int:
        """4 or 6."""
        return ipaddress.ip_address(self.ip_address).version


def attached(tx: Tx, router_id: str) -> list[Attached]:
    """All addresses of a router, in a lasting order."""
    statement = (
        sa.select(
            IP_ALLOCATIONS.c.port_id,
            PORTS.c.device_owner,
            PORTS.c.network_id,
            IP_ALLOCATIONS.c.subnet_id,
            IP_ALLOCATIONS.c.ip_address,
            SUBNETS.c.cidr,
        )
        .join(PORTS, PORTS.c.id == IP_ALLOCATIONS.c.port_id)
        .join(SUBNETS, SUBNETS.c.id == IP_ALLOCATIONS.c.subnet_id)
        .where(PORTS.c.device_id == router_id, PORTS.c.device_owner.in_(ROUTER_PORTS))
        .order_by(IP_ALLOCATIONS.c.port_id, IP_ALLOCATIONS.c.position)
    )
    return [Attached(**row) for row in tx.rows(statement)]


def check_overlap(cidrs: Iterable[tuple[str, str]], present: Sequence[Attached]) -> None:
    """Refuse subnets, (id, cidr), that a router has already or that overlap with one it has. Raises BadRequest."""
    for subnet_id, cidr in cidrs:
        network = ipaddress.ip_network(cidr)
        for other in present:
            if other.subnet_id == subnet_id:
                raise BadRequest(resource="router", msg=f"Router already has a port on subnet {subnet_id}")
            if network.version == other.ip_version and network.overlaps(ipaddress.ip_network(other.cidr)):
                msg = f"Cidr {cidr} of subnet {subnet_id} overlaps with cidr {other.cidr} of subnet {other.subnet_id}"
                raise BadRequest(resource="router", msg=msg)
