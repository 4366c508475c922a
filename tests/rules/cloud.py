"""What tests of the rules do to a store: requests as the API would pass them on, one transaction each."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import ModuleType
from typing import Any

import sqlalchemy as sa

from netloom.feed.protocol import Role
from netloom.model.fields import Missing, Resource
from netloom.model.networks import NETWORK
from netloom.model.ports import PORT
from netloom.model.resources import RESOURCES
from netloom.model.routers import FLOATINGIP, ROUTER
from netloom.model.subnets import SUBNET, SUBNETPOOL
from netloom.model.trunks import TRUNK
from netloom.rules import (
    agents,
    binding,
    floatingips,
    networks,
    ports,
    reading,
    router_interfaces,
    routers,
    subnetpools,
    subnets,
    trunks,
)
from netloom.rules.context import Context
from netloom.settings.network import NetworkSettings
from netloom.store.database import Store
from netloom.store.tables.feed import CHANGES
from netloom.store.tables.network import AGENTS

View = dict[str, Any]
FAMILIES: dict[str, tuple[ModuleType, Resource]] = {
    "network": (networks, NETWORK),
    "subnet": (subnets, SUBNET),
    "port": (ports, PORT),
    "subnetpool": (subnetpools, SUBNETPOOL),
    "router": (routers, ROUTER),
    "floatingip": (floatingips, FLOATINGIP),
    "trunk": (trunks, TRUNK),
}
BY_NAME = {resource.name: resource for resource in RESOURCES}
SETTINGS = NetworkSettings(
    tenant_network_types=("vxlan",), vlan_ranges={"physnet1": ((100, 102),)}, vni_ranges=((1, 1000),),
    quotas={"port": -1, "network": -1, "subnet": -1, "router": -1},
)  # fmt: skip


def member(project: str = "alpha", **settings: Any) -> Context:
    roles = frozenset({"member", "reader"})
    return Context("user", project, roles, False, settings=replace(SETTINGS, **settings))


def admin(project: str = "ops", **settings: Any) -> Context:
    roles = frozenset({"admin", "manager", "member", "reader"})
    return Context("root", project, roles, True, settings=replace(SETTINGS, **settings))


@dataclass
class Cloud:
    """A store and its users."""

    store: Store
    member: Context = field(default_factory=member)
    admin: Context = field(default_factory=admin)

    def create(self, kind: str, context: Context | None = None, **values: Any) -> View:
        return self.create_many(kind, [values], context)[0]

    def create_many(self, kind: str, bodies: list[View], context: Context | None = None) -> list[View]:
        module, resource = FAMILIES[kind]
        caller = context or self.member
        with self.store.write() as tx:
            return module.create(tx, caller, [_parsed(resource, caller, body) for body in bodies])

    def update(self, kind: str, object_id: str, context: Context | None = None, **values: Any) -> View:
        module, resource = FAMILIES[kind]
        caller = context or self.member
        with self.store.write() as tx:
            current = reading.get(tx, caller, resource, object_id, for_update=True)
            assert current is not None
            changes = {name: resource.by_name[name].kind.parse(value) for name, value in _wire(values).items()}
            return module.update(tx, caller, current, changes)

    def delete(self, kind: str, object_id: str, context: Context | None = None) -> None:
        module, resource = FAMILIES[kind]
        caller = context or self.member
        with self.store.write() as tx:
            current = reading.get(tx, caller, resource, object_id, for_update=True)
            assert current is not None
            module.delete(tx, caller, current)

    def get(self, kind: str, object_id: str, context: Context | None = None) -> View | None:
        with self.store.read() as tx:
            return reading.get(tx, context or self.member, BY_NAME[kind], object_id)

    def find(self, kind: str, context: Context | None = None, **query: Any) -> list[View]:
        with self.store.read() as tx:
            return reading.find(tx, context or self.member, BY_NAME[kind], reading.Query(**query))

    def heartbeat(self, host: str, *roles: Role, started: bool = False) -> None:
        with self.store.write() as tx:
            agents.heartbeat(tx, self.admin, host, roles or (switch_role(), dhcp_role()), started)

    def attach(self, router_id: str, subnet_id: str, context: Context | None = None) -> str:
        """Attach a router to a subnet; the id of its port."""
        caller = context or self.member
        with self.store.write() as tx:
            current = reading.get(tx, caller, ROUTER, router_id, for_update=True)
            assert current is not None
            done = router_interfaces.add_router_interface(tx, caller, current, {"subnet_id": subnet_id})
            return str(done["port_id"])

    def silence(self, *hosts: str, seconds: float = 3600) -> None:
        """As if nothing had been heard of hosts for so long."""
        with self.store.write() as tx:
            silent = (tx.now - timedelta(seconds=seconds)).strftime(binding.HEARTBEAT_FORMAT)
            tx.execute(AGENTS.update().where(AGENTS.c.host.in_(hosts)).values(heartbeat_timestamp=silent))

    def enable(self, host: str, agent_type: str, enabled: bool) -> None:
        """Enable or disable an agent as the administrator does."""
        filters = {"host": [host], "agent_type": [agent_type]}
        with self.store.write() as tx:
            (agent,) = reading.find(tx, self.admin, BY_NAME["agent"], reading.Query(filters=filters))
            agents.update(tx, self.admin, agent, {"admin_state_up": enabled})

    def changes(self) -> set[str]:
        """What the change log holds."""
        with self.store.read() as tx:
            return {f"{row['kind']}/{row['object_id']}" for row in tx.rows(sa.select(CHANGES))}


def switch_role(**configurations: Any) -> Role:
    known = {"bridge_mappings": {"physnet1": "br-ex"}, "tunnel_types": ["vxlan"]} | configurations
    return Role("Open vSwitch agent", "neutron-openvswitch-agent", "N/A", known)


def dhcp_role(zone: str = "nova") -> Role:
    return Role("DHCP agent", "neutron-dhcp-agent", "dhcp_agent", {}, zone)


def l3_role(zone: str = "nova") -> Role:
    return Role("L3 agent", "neutron-l3-agent", "l3_agent", {}, zone)


def _wire(values: View) -> View:
    """Keyword arguments have no colons: ``binding__host_id`` stands for ``binding:host_id``."""
    return {name.replace("__", ":"): value for name, value in values.items()}


def _parsed(resource: Resource, context: Context, values: View) -> View:
    given = {"project_id": context.project_id} | _wire(values)
    body = {name: resource.by_name[name].kind.parse(value) for name, value in given.items()}
    defaults = {item.name: item.default for item in resource.fields if item.has("C")}
    return {name: value for name, value in defaults.items() if not isinstance(value, Missing)} | body
