"""A small cloud to route in: made by the rules."""

from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import sqlalchemy as sa

from netloom.model.fields import Resource
from netloom.model.networks import NETWORK
from netloom.model.ports import PORT
from netloom.model.routers import FLOATINGIP, ROUTER
from netloom.model.subnets import SUBNET
from netloom.rules import floatingips, networks, ports, reading, router_interfaces, routers, subnets
from netloom.rules.context import Context
from netloom.store.database import Store
from netloom.store.tables.feed import CHANGES
from netloom.store.tables.network import AGENTS, ROUTER_BINDINGS
from tests.unit.rules.callers import DEMO, admin, body, member

View = dict[str, Any]


class World:
    """Each call is one request of its own."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def network(self, project_id: str = DEMO, **values: Any) -> str:
        with self.store.write() as tx:
            return networks.create(tx, admin(), [body(NETWORK, project_id, **values)])[0]["id"]

    def subnet(self, network_id: str, cidr: str = "10.0.0.0/24", project_id: str = DEMO, **values: Any) -> str:
        """With the first address as its gateway, also for IPv6."""
        network = ip_network(cidr)
        values = {"gateway_ip": str(network.network_address + 1), "ip_version": network.version, **values}
        with self.store.write() as tx:
            made = subnets.create(tx, admin(), [body(SUBNET, project_id, network_id=network_id, cidr=cidr, **values)])
        return made[0]["id"]

    def external(self, cidr: str = "203.0.113.0/24", **values: Any) -> tuple[str, str]:
        """An external network and its subnet."""
        network_id = self.network("operator", router__external=True, **values)
        return network_id, self.subnet(network_id, cidr, project_id="operator")

    def port(self, network_id: str, *places: tuple[str, str], context: Context | None = None, **values: Any) -> View:
        fixed = [{"subnet_id": subnet, "ip_address": address} for subnet, address in places]
        values |= {"fixed_ips": fixed} if fixed else {}
        context = context or member()
        with self.store.write() as tx:
            return ports.create(tx, context, [body(PORT, context.project_id, network_id=network_id, **values)])[0]

    def router(self, context: Context | None = None, **values: Any) -> View:
        context = context or member()
        with self.store.write() as tx:
            return routers.create(tx, context, [body(ROUTER, context.project_id, **values)])[0]

    def update_router(self, router_id: str, context: Context | None = None, **changes: Any) -> View:
        parsed = {name: ROUTER.by_name[name].kind.parse(value) for name, value in changes.items()}
        return self.act(routers.update, router_id, parsed, context=context)

    def delete_router(self, router_id: str) -> None:
        self.act(routers.delete, router_id)

    def attach(self, router_id: str, context: Context | None = None, **target: str) -> View:
        return self.act(router_interfaces.add_router_interface, router_id, target, context=context)

    def detach(self, router_id: str, **target: str) -> View:
        return self.act(router_interfaces.remove_router_interface, router_id, target)

    def floating(self, network_id: str, context: Context | None = None, **values: Any) -> View:
        context = context or member()
        values = {"floating_network_id": network_id, **values}
        with self.store.write() as tx:
            return floatingips.create(tx, context, [body(FLOATINGIP, context.project_id, **values)])[0]

    def update_floating(self, key: str, **changes: Any) -> View:
        return self.act(floatingips.update, key, changes, resource=FLOATINGIP)

    def act(
        self, action: Any, key: str, *values: Any, context: Context | None = None, resource: Resource = ROUTER
    ) -> Any:
        """One of the rules' functions, on the view as the API reads it."""
        context = context or member()
        with self.store.write() as tx:
            current = reading.get(tx, context, resource, key, for_update=True)
            assert current is not None
            return action(tx, context, current, *values)

    def get(self, resource: Resource, key: str) -> View | None:
        with self.store.read() as tx:
            return reading.get(tx, admin(), resource, key)

    def ports_of(self, device_id: str) -> list[View]:
        with self.store.read() as tx:
            return reading.find(tx, admin(), PORT, reading.Query(filters={"device_id": [device_id]}))

    def agent(self, host: str, kind: str = "L3 agent", zone: str = "nova", age: float = 0, **values: Any) -> str:
        """An agent whose last heartbeat is ``age`` seconds old."""
        with self.store.write() as tx:
            key = f"{kind} {host}"
            seen = (tx.now - timedelta(seconds=age)).strftime("%Y-%m-%d %H:%M:%S.%f")
            row = {
                "id": key, "agent_type": kind, "host": host, "admin_state_up": True, "heartbeat_timestamp": seen,
                "availability_zone": zone, "configurations": {"tunnel_types": ["vxlan"]},
            }  # fmt: skip
            tx.execute(AGENTS.insert(), row | values)
        return key

    def host(self, *hosts: str, **values: Any) -> None:
        """Hosts that can carry routers and plug their ports."""
        for host in hosts:
            self.agent(host, **values)
            self.agent(host, "Open vSwitch agent")

    def bindings(self) -> dict[str, str]:
        with self.store.read() as tx:
            return {row.router_id: row.host for row in tx.execute(sa.select(ROUTER_BINDINGS))}

    def changes(self) -> set[tuple[str, str]]:
        """What was logged since the last call."""
        with self.store.write() as tx:
            found = {(row.kind, row.object_id) for row in tx.execute(sa.select(CHANGES))}
            tx.execute(CHANGES.delete())
        return found
