"""Random walks through the API: agents that are only told differences hold what the intent is from scratch."""

import random
from dataclasses import dataclass, field, replace

import pytest
import sqlalchemy as sa

from netloom.api.app import create_app
from netloom.feed.interest import interest
from netloom.feed.protocol import Role, Update
from netloom.feed.render import encode, render, version
from netloom.feed.topology import Topology
from netloom.feed.view import Slice, View
from netloom.rules import agents
from netloom.rules.context import Context
from netloom.rules.load_balancing import status
from netloom.settings.network import NetworkSettings
from netloom.store.database import Store
from netloom.store.tables.compute import SERVERS
from netloom.store.tables.loadbalancers import LB_BINDINGS, LOADBALANCERS
from tests.api.balancing import BALANCING, balancing
from tests.api.client import Api, TestClient, authenticate
from tests.unit.feed import cloud

HOSTS = ("h1", "h2", "h3", "h4")
UNLIMITED = ("router", "network", "loadbalancer")
SETTINGS = NetworkSettings(
    vlan_ranges={"physnet1": ((100, 199),)}, dhcp_agents_per_network=2, quotas=dict.fromkeys(UNLIMITED, -1)
)
SYSTEM = Context("", "", frozenset({"admin"}), True, settings=SETTINGS)
STEPS = 120
KINDS = {"port", "network", "security_group", "dhcp", "router", "neighbour", "peer", "trunk", "loadbalancer"}
"""Of fragments that agents must have been told of."""


@dataclass
class Agent:
    """An agent that believes what it is told."""

    slice: Slice
    holds: dict[str, str] = field(default_factory=dict)

    def take(self, update: Update) -> None:
        for name in update.removed:
            del self.holds[name]  # nothing is removed that it does not have
        for piece in update.pieces:
            assert self.holds.get(piece.name) != piece.version, f"{piece.name} was sent twice"
            assert piece.version == version(piece.body)
            self.holds[piece.name] = piece.version


class Walk:
    """A cloud in which anything happens."""

    def __init__(self, store: Store, policy, seed: int) -> None:
        self.store = store
        self.api = Api(TestClient(create_app(store, SETTINGS, authenticate, policy)), "admin", "alpha")
        self.balancing = {ha: balancing(store, replace(SETTINGS, loadbalancer_ha=ha), policy) for ha in (True, False)}
        """The load balancer API, by whether it makes balancers highly available."""
        self.random = random.Random(seed)
        self.view = View(SETTINGS)
        self.agents: dict[str, Agent] = {}
        self.accepted = 0
        self.kinds: set[str] = set()
        """Kinds of the fragments that agents were told of."""
        self.done: list[tuple[str, str, object]] = []

    def one(self, collection: str) -> str:
        """Id of any one that there is."""
        found = self.api.get(f"{collection}?fields=id")[collection.replace("-", "_")]
        return self.random.choice(found)["id"] if found else "11111111-1111-1111-1111-111111111111"

    def some(self, collection: str) -> list[str]:
        return sorted({self.one(collection) for _ in range(self.random.randrange(3))})

    def ask(self, method: str, path: str, body: object = None) -> None:
        answer = self.api.ask(method, path, body)
        assert answer.status_code < 500, f"{method} {path} {body}: {answer.text}"
        if answer.status_code < 300:
            self.accepted += 1
            self.done.append((method, path, body))

    def heartbeat(self) -> None:
        host = self.random.choice(HOSTS)
        switch = {
            "tunneling_ip": f"10.0.1.{self.random.randrange(1, 3)}{host[1]}",
            "tunnel_types": self.random.choice((["vxlan"], ["gre", "vxlan"], ["vxlan"], [])),
            "bridge_mappings": {"physnet1": "br-ex"},
        }
        roles = [
            Role("Open vSwitch agent", "neutron-openvswitch-agent", "N/A", switch),
            Role("L3 agent", "neutron-l3-agent", "l3_agent", {}),
            Role("DHCP agent", "neutron-dhcp-agent", "dhcp_agent", {}),
            BALANCING,
        ]
        with self.store.write() as tx:
            agents.heartbeat(tx, SYSTEM, host, roles, started=self.random.random() < 0.5)

    def server(self) -> None:
        with self.store.write() as tx:
            tx.changed("server", cloud.server(tx, self.random.choice(HOSTS), prepared=self.random.random() < 0.8))

    def drop_server(self) -> None:
        with self.store.write() as tx:
            server = tx.execute(SERVERS.select().limit(1)).first()
            if server is not None:
                tx.execute(SERVERS.update().where(SERVERS.c.id == server.id).values(task_state="deleting"))
                tx.changed("server", server.id)

    def network(self) -> None:
        kinds = [{}, {}, {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}]
        outside = {"router:external": True, "provider:network_type": "vlan", "provider:physical_network": "physnet1"}
        self.ask("POST", "networks", {"network": self.random.choice([*kinds, outside])})

    def subnet(self) -> None:
        cidr, version = self.random.choice((("10.0.{}.0/24", 4), ("10.0.{}.0/24", 4), ("2001:db8:{}::/64", 6)))
        body = {
            "network_id": self.one("networks"),
            "cidr": cidr.format(self.random.randrange(9)),
            "ip_version": version,
        }
        self.ask("POST", "subnets", {"subnet": body})

    def values(self) -> dict:
        """Of a port."""
        pair = {"ip_address": f"10.0.1.{self.random.randrange(200, 203)}"}
        return {
            "binding:host_id": self.random.choice((*HOSTS, "", "unknown")),
            "security_groups": self.some("security-groups"),
            "allowed_address_pairs": [pair] if self.random.random() < 0.4 else [],
            "admin_state_up": self.random.random() < 0.9,
        }

    def port(self) -> None:
        body = {"network_id": self.one("networks"), "device_owner": "compute:nova"} | self.values()
        self.ask("POST", "ports", {"port": body})

    def change_port(self) -> None:
        values = self.values()
        chosen = dict(self.random.sample(sorted(values.items()), self.random.randrange(1, 4)))
        self.ask("PUT", f"ports/{self.one('ports')}", {"port": chosen})

    def router(self) -> None:
        self.ask("POST", "routers", {"router": self.random.choice(({}, {"ha": True}))})

    def interface(self) -> None:
        verb = self.random.choice(("add", "add", "remove"))
        self.ask("PUT", f"routers/{self.one('routers')}/{verb}_router_interface", {"subnet_id": self.one("subnets")})

    def gateway(self) -> None:
        info = {"network_id": self.one("networks")} if self.random.random() < 0.7 else {}
        self.ask("PUT", f"routers/{self.one('routers')}", {"router": {"external_gateway_info": info}})

    def ha(self) -> None:
        router = f"routers/{self.one('routers')}"
        self.ask("PUT", router, {"router": {"admin_state_up": False}})
        self.ask("PUT", router, {"router": {"ha": self.random.random() < 0.5}})
        self.ask("PUT", router, {"router": {"admin_state_up": True}})

    def free_port(self) -> str:
        """Id of a new port that nothing uses; of none when that is refused."""
        answer = self.api.ask("POST", "ports", {"port": {"network_id": self.one("networks")}})
        return answer.json()["port"]["id"] if answer.status_code == 201 else "11111111-1111-1111-1111-111111111111"

    def sub_ports(self) -> list[dict]:
        tags = self.random.sample(range(1, 9), self.random.randrange(1, 3))
        return [{"port_id": self.free_port(), "segmentation_type": "vlan", "segmentation_id": tag} for tag in tags]

    def trunk(self) -> None:
        parent = self.free_port()
        self.ask("POST", "trunks", {"trunk": {"port_id": parent, "sub_ports": self.sub_ports()}})
        self.bind_trunk()

    def bind_trunk(self) -> None:
        trunks = self.api.get("trunks")["trunks"]
        if trunks:
            port = self.random.choice(trunks)["port_id"]
            self.ask("PUT", f"ports/{port}", {"port": {"binding:host_id": self.random.choice((*HOSTS, "", "unknown"))}})

    def change_trunk(self) -> None:
        trunk = f"trunks/{self.one('trunks')}"
        if self.random.random() < 0.6:
            self.ask("PUT", f"{trunk}/add_subports", {"sub_ports": self.sub_ports()})
        else:
            held = self.api.ask("GET", trunk).json().get("trunk", {}).get("sub_ports", [])
            self.ask("PUT", f"{trunk}/remove_subports", {"sub_ports": held[:1]})

    def balance(self, method: str, path: str, body: object = None) -> None:
        """A request to the load balancer API, once hosts have told that they have done what was asked before."""
        with self.store.write() as tx:
            asked = tx.tuples(
                sa.select(LB_BINDINGS.c.host, LOADBALANCERS.c.id, LOADBALANCERS.c.generation).join(
                    LOADBALANCERS, LOADBALANCERS.c.id == LB_BINDINGS.c.loadbalancer_id
                )
            )
            for host, balancer, generation in asked:
                status.report(tx, {host: {balancer: status.Applied(generation, "applied")}})
        answer = self.balancing[self.random.random() < 0.5].ask(method, path, body)
        assert answer.status_code < 500, f"{method} {path} {body}: {answer.text}"
        if answer.status_code < 300:
            self.accepted += 1
            self.done.append((method, path, body))

    def balanced(self, collection: str) -> str:
        """Id of any one that there is."""
        found = self.balancing[True].get(f"{collection}?fields=id")[collection.rpartition("/")[2]]
        return self.random.choice(found)["id"] if found else "11111111-1111-1111-1111-111111111111"

    def load_balancer(self) -> None:
        groups = self.some("security-groups")
        body = {"vip_subnet_id": self.one("subnets"), "vip_sg_ids": groups if self.random.random() < 0.3 else []}
        self.balance("POST", "loadbalancers", {"loadbalancer": body})

    def part_of_balancer(self) -> None:
        balancer = self.balanced("loadbalancers")
        protocol = self.random.choice(("HTTP", "TCP"))
        listener = {"loadbalancer_id": balancer, "protocol": protocol, "protocol_port": self.random.randrange(80, 83)}
        pool = {"loadbalancer_id": balancer, "protocol": protocol, "lb_algorithm": "ROUND_ROBIN"}
        member = {"address": f"10.0.1.{self.random.randrange(2, 9)}", "protocol_port": 80}
        monitor = {"pool_id": self.balanced("pools"), "type": "TCP", "delay": 3, "timeout": 2, "max_retries": 2}
        parts = (
            ("listeners", {"listener": listener | {"default_pool": pool | {"loadbalancer_id": None}}}),
            ("listeners", {"listener": listener}),
            ("pools", {"pool": pool}),
            (f"pools/{self.balanced('pools')}/members", {"member": member}),
            ("healthmonitors", {"healthmonitor": monitor}),
        )
        self.balance("POST", *self.random.choice(parts))

    def change_balancer(self) -> None:
        path = f"loadbalancers/{self.balanced('loadbalancers')}"
        changes = (
            ("PUT", path, {"loadbalancer": {"admin_state_up": self.random.random() < 0.7}}),
            ("PUT", path, {"loadbalancer": {"vip_sg_ids": self.some("security-groups")}}),
            ("PUT", f"{path}/failover"),
            ("DELETE", f"{path}?cascade=true"),
            ("DELETE", f"listeners/{self.balanced('listeners')}"),
            ("DELETE", f"pools/{self.balanced('pools')}"),
            ("DELETE", f"healthmonitors/{self.balanced('healthmonitors')}"),
        )
        self.balance(*self.random.choice(changes))

    def floating_ip(self) -> None:
        body = {"floating_network_id": self.one("networks")}
        if self.random.random() < 0.7:
            body["port_id"] = self.one("ports")
        self.ask("POST", "floatingips", {"floatingip": body})

    def group(self) -> None:
        self.ask("POST", "security-groups", {"security_group": {"name": "g"}})

    def rule(self) -> None:
        remotes = (
            {"remote_group_id": self.one("security-groups")},
            {"remote_address_group_id": self.one("address-groups")},
            {"remote_ip_prefix": "10.0.0.0/16"},
        )
        body = {"security_group_id": self.one("security-groups"), "direction": "ingress", "protocol": "tcp"}
        self.ask("POST", "security-group-rules", {"security_group_rule": body | self.random.choice(remotes)})

    def addresses(self) -> None:
        new = {"name": "a", "addresses": [f"10.1.{self.random.randrange(9)}.0/24"]}
        self.ask("POST", "address-groups", {"address_group": new})
        more = {"addresses": [f"10.2.{self.random.randrange(3)}.0/24"]}
        verb = self.random.choice(("add", "remove"))
        self.ask("PUT", f"address-groups/{self.one('address-groups')}/{verb}_addresses", {"address_group": more})

    def delete(self) -> None:
        collections = (
            "ports", "ports", "subnets", "networks", "routers", "floatingips", "security-groups",
            "security-group-rules", "security-group-rules", "address-groups", "trunks",
        )  # fmt: skip
        collection = self.random.choice(collections)
        self.ask("DELETE", f"{collection}/{self.one(collection)}")

    def schedule(self) -> None:
        agent = self.one("agents")
        verbs = (
            ("POST", f"agents/{agent}/dhcp-networks", {"network_id": self.one("networks")}),
            ("DELETE", f"agents/{agent}/dhcp-networks/{self.one('networks')}", None),
            ("POST", f"agents/{agent}/l3-routers", {"router_id": self.one("routers")}),
            ("DELETE", f"agents/{agent}/l3-routers/{self.one('routers')}", None),
            ("PUT", f"agents/{agent}", {"agent": {"admin_state_up": self.random.random() < 0.7}}),
            ("DELETE", f"agents/{agent}", None),
        )
        self.ask(*self.random.choice(verbs))

    def reconnect(self) -> None:
        """An agent comes, or comes back with some of what it had."""
        host = self.random.choice(HOSTS)
        held = self.agents.pop(host, Agent(Slice(host, {}))).holds
        kept = {name: told for name, told in held.items() if self.random.random() < 0.8}
        self.agents[host] = Agent(Slice(host, dict(kept)), kept)

    def step(self) -> None:
        often = (self.port, self.change_port, self.interface, self.delete)
        seldom = (
            self.network, self.subnet, self.subnet, self.heartbeat, self.server, self.drop_server, self.router,
            self.gateway, self.ha, self.floating_ip, self.group, self.rule, self.rule, self.addresses, self.schedule,
            self.reconnect, self.trunk, self.bind_trunk, self.change_trunk, self.change_trunk,
            self.load_balancer, self.part_of_balancer, self.part_of_balancer, self.change_balancer,
        )  # fmt: skip
        self.random.choice((*often, *often, *seldom))()

    def follow(self) -> None:
        with self.store.read() as tx:
            updates = self.view.follow(tx, [agent.slice for agent in self.agents.values()])
        for agent in self.agents.values():
            if (update := updates.get(agent.slice)) is not None:
                agent.take(update)
                self.kinds.update(piece.name.partition("/")[0] for piece in update.pieces)

    def check(self) -> None:
        topology = Topology()
        with self.store.read() as tx:
            topology.load(tx)
            for host, agent in self.agents.items():
                rendered = render(tx, interest(topology, host), SETTINGS)
                wanted = {name: encode(each) for name, each in rendered.items() if each is not None}
                differing = {name for name, body in wanted.items() if agent.holds.get(name) != version(body)}
                wrong = differing | (agent.holds.keys() - wanted.keys())
                assert not wrong, "\n".join(map(str, [host, *self.done[-6:]]))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_differences_lead_to_the_same_as_starting_over(store, policy, seed):
    walk = Walk(store, policy, seed)
    for host in HOSTS:
        walk.agents[host] = Agent(Slice(host, {}))
    for _ in range(20):
        walk.heartbeat()
    steps = 0
    while steps < STEPS or not walk.kinds >= KINDS:
        assert steps < 4 * STEPS, f"never told of: {KINDS - walk.kinds}"
        walk.step()
        steps += 1
        if walk.random.random() < 0.6 or steps >= STEPS:
            walk.follow()
            walk.check()
    assert walk.accepted > STEPS / 3
