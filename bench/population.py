"""A populated cloud for a fleet: made by the rules, as requests would make it, but without HTTP."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.agents import Identity
from netloom.feed import keys
from netloom.feed.protocol import Role
from netloom.model.fields import Missing, Resource
from netloom.model.networks import NETWORK
from netloom.model.ports import PORT
from netloom.model.security_groups import SECURITY_GROUP, SECURITY_GROUP_RULE
from netloom.model.subnets import SUBNET
from netloom.rules import agents, networks, ports, security_group_rules, security_groups, subnets
from netloom.rules.context import Context
from netloom.settings.network import NetworkSettings
from netloom.store.database import Store, Tx

SPAN = 10
"""Hosts of a network."""
NETWORKS_OF_A_HOST = 10
PORTS_OF_A_HOST = 5
"""On each of its networks."""
SERVING = 10
"""One host in so many serves DHCP."""
BULK = 1000
PROJECT = "fleet"
SETTINGS = NetworkSettings(
    vni_ranges=((1, 100_000),),
    quotas=dict.fromkeys(("network", "subnet", "port", "security_group", "security_group_rule"), -1),
)
CONTEXT = Context("bench", PROJECT, frozenset({"admin"}), True, settings=SETTINGS)


@dataclass(frozen=True, slots=True)
class Population:
    """What was made."""

    identities: Sequence[Identity]
    group: str
    """Id of the security group of all ports."""
    ports: Sequence[dict[str, Any]]
    """As the API shows them."""
    hosts: dict[str, Sequence[str]]
    """Of each network."""


def populate(store: Store, hosts: int) -> Population:
    """Make hosts, networks that span some of them, and ports, all of one security group."""
    identities = [_identity(store, number) for number in range(hosts)]
    placed = list(_networks([identity.host for identity in identities]))
    with store.write() as tx:
        group = security_groups.create(tx, CONTEXT, [_body(SECURITY_GROUP, name="all")])[0]["id"]
        rule = {"security_group_id": group, "direction": "ingress", "protocol": "tcp", "remote_ip_prefix": "10.0.0.0/8"}
        security_group_rules.create(tx, CONTEXT, [_body(SECURITY_GROUP_RULE, **rule)])
    made: list[dict[str, Any]] = []
    for some in _chunks(placed, BULK // (SPAN * PORTS_OF_A_HOST)):
        with store.write() as tx:
            _live(tx, identities)
            nets = networks.create(tx, CONTEXT, [_body(NETWORK, name="fleet") for _ in some])
            cidr = {"cidr": "10.0.0.0/24", "ip_version": 4, "name": ""}
            subnets.create(tx, CONTEXT, [_body(SUBNET, network_id=net["id"], **cidr) for net in nets])
            bodies = [
                _body(
                    PORT, network_id=net["id"], security_groups=[group], device_owner="compute:nova",
                    **{"binding:host_id": host},
                )
                for net, span in zip(nets, some, strict=True)
                for host in span
                for _ in range(PORTS_OF_A_HOST)
            ]  # fmt: skip
            made += ports.create(tx, CONTEXT, bodies)
    spans: dict[str, dict[str, None]] = {}
    for port in made:
        spans.setdefault(port["network_id"], {})[port["binding:host_id"]] = None
    return Population(identities, group, made, {network: list(span) for network, span in spans.items()})


def _identity(store: Store, number: int) -> Identity:
    """A host with its key and its roles, known to the server."""
    host = f"host{number:04}"
    tunnels = {
        "tunneling_ip": f"172.16.{number // 250}.{number % 250 + 1}", "tunnel_types": ["vxlan"], "bridge_mappings": {},
    }  # fmt: skip
    roles = [
        Role("Open vSwitch agent", "neutron-openvswitch-agent", "N/A", tunnels),
        Role("Metadata agent", "neutron-metadata-agent", "N/A", {}),
    ]
    if number % SERVING == 0:
        roles.append(Role("DHCP agent", "neutron-dhcp-agent", "dhcp_agent", {}))
    with store.write() as tx:
        key = keys.issue(tx, host)
        agents.heartbeat(tx, CONTEXT, host, roles)
    return Identity(host, key, tuple(roles))


def _live(tx: Tx, identities: Sequence[Identity]) -> None:
    """Have all hosts be alive: ports on dead ones could not be bound."""
    now = time.time()
    agents.beat(tx, CONTEXT, {(each.host, role.agent_type): now for each in identities for role in each.roles})


def _networks(hosts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The hosts of each network: every host has the same number of networks, each time with others."""
    chance = random.Random(1)  # the same cloud in each run
    for _ in range(NETWORKS_OF_A_HOST):
        order = chance.sample(hosts, len(hosts))
        yield from _chunks(order, SPAN)


def _chunks(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (values[i : i + size] for i in range(0, len(values), size))


def _body(resource: Resource, **values: Any) -> dict[str, Any]:
    """A request's body, as the API would pass it on."""
    parsed = {
        name: resource.by_name[name].kind.parse(value) for name, value in ({"project_id": PROJECT} | values).items()
    }
    defaults = {item.name: item.default for item in resource.fields if item.has("C")}
    return {name: value for name, value in defaults.items() if not isinstance(value, Missing)} | parsed
