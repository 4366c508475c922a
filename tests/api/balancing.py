"""A world with load balancers: the API of Octavia beside that of networks, and hosts that say what they carry."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from netloom.api.load_balancing import octavia
from netloom.feed.protocol import Role
from netloom.rules import agents
from netloom.rules.context import Context
from netloom.settings.network import NetworkSettings
from netloom.store.database import Store
from netloom.store.tables.loadbalancers import LB_BINDINGS, LOADBALANCERS
from netloom.store.tables.network import AGENTS
from tests.api.client import Api, TestClient, authenticate

SWITCH = Role("Open vSwitch agent", "neutron-openvswitch-agent", "N/A", {"tunnel_types": ["vxlan", "gre", "geneve"]})
BALANCING = Role("Loadbalancer agent", "neutron-lbaas-agent", "n-lbaas_agent", {})


class Balancing(Api):
    """The load balancer API as one caller sees it."""

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, params: Any = None):
        """The whole answer to a request."""
        url = path if path.startswith("/") else f"/v2.0/lbaas/{path}"
        return super().ask(method, url, body, headers, params)

    def as_(self, role: str, project: str = "alpha") -> "Balancing":
        """The same API, seen by somebody else."""
        return Balancing(self.client, role, project)

    def refused(self, status: int, method: str, path: str, body: Any = None) -> str:
        """A request that must be refused so. Returns what the client is told."""
        answer = self.ask(method, path, body)
        assert answer.status_code == status, answer.text
        error = answer.json()
        assert error.keys() == {"faultcode", "faultstring", "debuginfo"}
        assert (error["faultcode"], error["debuginfo"]) == ("Client" if status < 500 else "Server", None)
        return str(error["faultstring"])

    def make(self, kind: str, path: str = "", **values: Any) -> dict[str, Any]:
        """A new object."""
        collection = path or ("l7policies" if kind == "l7policy" else f"{kind}s")
        return self.post(collection, {kind: values})[kind]


class Hosts(NamedTuple):
    """The hosts of a cloud, without agents: they are told what to say."""

    store: Store
    settings: NetworkSettings

    def come(self, *names: str) -> None:
        """Hosts that can carry load balancers make themselves known, or come back."""
        context = Context("", "", frozenset({"admin"}), True, settings=self.settings)
        with self.store.write() as tx:
            agents.heartbeats(tx, context, {name: ([SWITCH, BALANCING], True) for name in names})

    def die(self, name: str) -> None:
        """A host is heard no more."""
        with self.store.write() as tx:
            long_ago = datetime(2000, 1, 1, tzinfo=UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
            tx.execute(AGENTS.update().where(AGENTS.c.host == name).values(heartbeat_timestamp=long_ago))

    def tell(self, state: str = "applied") -> None:
        """All hosts say what became of what they are to carry."""
        now = sa.select(LOADBALANCERS.c.generation).where(LOADBALANCERS.c.id == LB_BINDINGS.c.loadbalancer_id)
        with self.store.write() as tx:
            tx.execute(LB_BINDINGS.update().values(revision=now.scalar_subquery(), state=state))

    def of(self, balancer_id: str) -> list[str]:
        """The hosts of a load balancer."""
        table = LB_BINDINGS.c
        with self.store.read() as tx:
            found = tx.tuples(sa.select(table.host).where(table.loadbalancer_id == balancer_id).order_by(table.host))
        return [host for (host,) in found]


def balancing(store: Store, settings: NetworkSettings, policy: Any) -> Balancing:
    """The load balancer API for a member of project alpha."""
    return Balancing(TestClient(octavia.create_app(store, settings, authenticate, policy)), "member", "alpha")
