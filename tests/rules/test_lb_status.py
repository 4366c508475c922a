"""Load balancers show what their hosts tell: what is applied, how members are, what has passed."""

from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa

from netloom.rules import binding
from netloom.rules import status as fragments
from netloom.rules.load_balancing import explanation, provisioning, scheduling, statistics, trees
from netloom.rules.load_balancing import status as lb_status
from netloom.rules.load_balancing.status import Applied
from netloom.store.tables.loadbalancers import LB_BINDINGS, LISTENERS, LOADBALANCERS, MEMBERS, POOLS
from tests.rules.cloud import Cloud
from tests.statements import statements
from tests.unit.feed import cloud as rows

AGENT = "Loadbalancer agent"


class Town:
    """A load balancer on two hosts, with a listener, its pool and two members, and a pool that nobody uses."""

    def __init__(self, cloud: Cloud) -> None:
        self.store, self.context = cloud.store, cloud.admin
        with self.store.write() as tx:
            now = tx.now.strftime(binding.HEARTBEAT_FORMAT)
            for host in ("h1", "h2"):
                rows.agent(tx, host, AGENT)
            tx.execute(rows.AGENTS.update().values(heartbeat_timestamp=now))
            network = rows.network(tx)
            self.balancer = rows.load_balancer(tx, rows.port(tx, network), network, [("h1", None), ("h2", None)])
            self.pool, self.unused = rows.lb_pool(tx, self.balancer), rows.lb_pool(tx, self.balancer)
            self.listener = rows.lb_listener(tx, self.balancer, default_pool_id=self.pool)
            self.members = [rows.lb_member(tx, self.pool, f"10.0.0.{n}") for n in (1, 2)]

    def tell(self, host: str, state: str, revision: int = 1, reason: str = "") -> None:
        with self.store.write() as tx:
            lb_status.report(
                tx, {host: {self.balancer: Applied(revision, state, reason), "unknown": Applied(1, state)}}
            )

    def members_are(self, *states: str | None, host: str = "h1") -> None:
        told: Any = None if None in states else dict(zip(self.members, states, strict=True))
        with self.store.write() as tx:
            lb_status.report_members(tx, {host: {self.balancer: told, "unknown": {"m": "up"}}})

    def change(self, table: sa.Table, object_id: str, **values: Any) -> None:
        with self.store.write() as tx:
            tx.execute(table.update().where(table.c.id == object_id).values(**values))

    def operating(self) -> dict[str, Any]:
        """Of the balancer, its listener, its pool and that which nobody uses, and of the members."""
        with self.store.read() as tx:
            found = {
                key: status
                for table in (LOADBALANCERS, LISTENERS, POOLS, MEMBERS)
                for key, status in tx.tuples(sa.select(table.c.id, table.c.operating_status))
            }
        named = {"balancer": self.balancer, "listener": self.listener, "pool": self.pool, "unused": self.unused}
        return {name: found[key] for name, key in named.items()} | {"members": [found[key] for key in self.members]}

    def provisioning(self) -> str:
        with self.store.read() as tx:
            shown = provisioning.provisioning(sa.literal(self.balancer), binding.alive_since(tx, self.context))
            return str(tx.execute(sa.select(shown)).scalar_one())

    def passed(self, told: Mapping[str, Mapping[str, Mapping[str, int]]]) -> None:
        """Hosts tell bytes received and open connections of workers: {host: {worker: {...}}}."""
        nothing = dict.fromkeys(statistics.COUNTERS, 0)
        full = {
            host: {self.listener: {worker: nothing | counts for worker, counts in workers.items()}, "unknown": {}}
            for host, workers in told.items()
        }
        with self.store.write() as tx:
            statistics.report_traffic(tx, full)

    def statistics(self) -> tuple[int, int]:
        with self.store.read() as tx:
            found = trees.statistics(tx, [self.listener])["stats"]
        return found["bytes_in"], found["active_connections"]


@pytest.fixture
def town(cloud: Cloud) -> Town:
    return Town(cloud)


def test_provisioning_waits_for_all_hosts_that_live(town: Town, cloud: Cloud) -> None:
    assert town.provisioning() == "PENDING_CREATE"
    town.tell("h1", "applied")
    assert town.provisioning() == "PENDING_CREATE"
    town.tell("h2", "failed", reason="no room")
    assert town.provisioning() == "ERROR"
    town.tell("h2", "applied")
    assert town.provisioning() == "ACTIVE"
    town.change(LOADBALANCERS, town.balancer, generation=2)
    assert town.provisioning() == "PENDING_UPDATE"
    town.tell("h1", "applied", 2)
    assert town.provisioning() == "PENDING_UPDATE"
    cloud.silence("h2")
    assert town.provisioning() == "ACTIVE"
    cloud.silence("h1")
    assert town.provisioning() == "ERROR"


def test_late_news_of_an_older_generation(town: Town) -> None:
    town.change(LOADBALANCERS, town.balancer, generation=2)
    for host in ("h1", "h2"):
        town.tell(host, "applied", 1)
    assert town.provisioning() == "PENDING_UPDATE"


def test_what_a_host_does_not_carry_is_passed_over(town: Town) -> None:
    town.tell("h3", "applied")
    town.members_are("up", "up", host="h3")
    assert town.operating()["balancer"] == "OFFLINE"
    with town.store.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(LB_BINDINGS)).scalar() == 2


@pytest.mark.parametrize(
    ("states", "members", "pool", "balancer"),
    [
        (("up", "up"), ["ONLINE", "ONLINE"], "ONLINE", "ONLINE"),
        (("up", "down"), ["ONLINE", "ERROR"], "DEGRADED", "DEGRADED"),
        (("down", "down"), ["ERROR", "ERROR"], "ERROR", "ERROR"),
        (("unchecked", "draining"), ["NO_MONITOR", "DRAINING"], "ONLINE", "ONLINE"),
        (("off", "up"), ["OFFLINE", "ONLINE"], "ONLINE", "ONLINE"),
    ],
)
def test_operating_status_is_what_haproxy_finds(
    town: Town, states: tuple[str, str], members: list[str], pool: str, balancer: str
) -> None:
    town.tell("h1", "applied")
    town.members_are(*states)
    assert town.operating() == {
        "balancer": balancer, "listener": "ONLINE", "pool": pool, "unused": "OFFLINE", "members": members,
    }  # fmt: skip
    town.members_are("up", "up")
    assert town.operating()["balancer"] == "ONLINE", "it comes back"


def test_nothing_is_online_before_it_is_applied(town: Town) -> None:
    assert town.operating()["listener"] == "OFFLINE"
    town.tell("h1", "failed")
    assert town.operating()["listener"] == "OFFLINE"
    town.tell("h1", "applied")
    found = town.operating()
    assert (found["balancer"], found["listener"], found["pool"], found["unused"]) == (
        "ONLINE", "ONLINE", "ONLINE", "OFFLINE",
    )  # fmt: skip


def test_a_balancer_that_does_not_answer(town: Town) -> None:
    town.tell("h1", "applied")
    town.members_are("up", "up")
    town.members_are(None)
    assert town.operating() == {
        "balancer": "ERROR", "listener": "ERROR", "pool": "ERROR", "unused": "OFFLINE", "members": ["OFFLINE"] * 2,
    }  # fmt: skip
    town.members_are("up", "down")
    assert town.operating()["balancer"] == "DEGRADED"


def test_what_is_switched_off_is_offline(town: Town) -> None:
    town.tell("h1", "applied")
    town.members_are("up", "down")
    town.change(MEMBERS, town.members[1], admin_state_up=False)
    town.change(LOADBALANCERS, town.balancer, generation=2)
    town.tell("h1", "applied", 2)
    found = town.operating()
    assert (found["members"], found["pool"], found["balancer"]) == (["ONLINE", "OFFLINE"], "ONLINE", "ONLINE")
    town.change(POOLS, town.pool, admin_state_up=False)
    town.tell("h1", "applied", 3)
    found = town.operating()
    assert (found["members"], found["pool"], found["balancer"]) == (["OFFLINE", "OFFLINE"], "OFFLINE", "ONLINE")
    town.change(LOADBALANCERS, town.balancer, admin_state_up=False)
    town.tell("h1", "applied", 4)
    found = town.operating()
    assert (found["listener"], found["balancer"]) == ("OFFLINE", "OFFLINE")


def test_counts_outlive_workers_and_hosts(town: Town) -> None:
    town.passed({"h1": {"a": {"bytes_in": 10, "active_connections": 2}}})
    town.passed({"h1": {"a": {"bytes_in": 15, "active_connections": 1}}})
    assert town.statistics() == (15, 1)
    town.passed({"h1": {"a": {"bytes_in": 15, "active_connections": 1}, "b": {"bytes_in": 4, "active_connections": 3}}})
    assert town.statistics() == (19, 4)
    town.passed({"h1": {"b": {"bytes_in": 5}}, "h2": {"a": {"bytes_in": 100}}})
    assert town.statistics() == (120, 0)
    town.passed({"h1": {}})
    town.passed({"h1": {"c": {"bytes_in": 1}}})
    assert town.statistics() == (121, 0)


def test_telling_the_same_again_writes_nothing(town: Town) -> None:
    told = {"h1": {"a": {"bytes_in": 10}}}
    town.passed(told)
    with statements(town.store) as seen:
        town.passed(told)
    assert len(seen) == 2
    town.tell("h1", "applied")
    town.members_are("up", "down")
    with statements(town.store) as seen:
        town.members_are("up", "down")
    assert not [each for each in seen if each.startswith("UPDATE")]


def test_number_of_statements_does_not_grow(town: Town) -> None:
    counts = []
    passed: dict[str, dict[str, dict[str, int]]] = {}
    for times in (1, 20):
        with town.store.write() as tx:
            network = rows.network(tx)
            told = {}
            for _ in range(times):
                balancer = rows.load_balancer(tx, rows.port(tx, network), network, [("h1", None)])
                pool = rows.lb_pool(tx, balancer)
                listener = rows.lb_listener(tx, balancer, default_pool_id=pool)
                told[balancer] = {rows.lb_member(tx, pool, f"10.0.0.{n}"): "down" for n in range(times)}
                passed[listener] = {"w": dict.fromkeys(statistics.COUNTERS, 1)}
        with statements(town.store) as seen, town.store.write() as tx:
            lb_status.report(tx, {"h1": dict.fromkeys(told, Applied(1, "applied"))})
            lb_status.report_members(tx, {"h1": told})
            statistics.report_traffic(tx, {"h1": passed})
        counts.append(len(seen))
    assert counts[0] == counts[1] < 40


def test_which_host_is_active(town: Town) -> None:
    with town.store.write() as tx:
        lb_status.report_states(tx, "h1", {town.balancer: "active", "some-router": "standby"})
        lb_status.report_states(tx, "h2", {town.balancer: "standby"})
    with town.store.read() as tx:
        told = sa.select(LB_BINDINGS.c.host, LB_BINDINGS.c.ha_state)
        assert dict(tx.tuples(told)) == {"h1": "active", "h2": "standby"}  # type: ignore[arg-type]


def test_the_reason_is_told_host_by_host(town: Town, cloud: Cloud) -> None:
    def reasons() -> list[tuple[str, str, str]]:
        with town.store.read() as tx:
            assert explanation.find(tx, f"qlbaas-{town.balancer[:8]}") == [town.balancer]
            found = explanation.explain(tx, town.context, town.balancer)
        return [(one.status, one.host, one.reason) for one in found]

    town.tell("h1", "applied")
    town.tell("h2", "failed", reason="file conf: no space left")
    assert reasons() == [
        ("ERROR", "h1", "it has applied it"), ("ERROR", "h2", "failed: file conf: no space left"),
    ]  # fmt: skip
    town.change(LOADBALANCERS, town.balancer, generation=2)
    cloud.silence("h2")
    (first, second) = (reason for _, _, reason in reasons())
    assert first == "it works on the change to generation 2; 1 is applied"
    assert second.startswith("its Loadbalancer agent is silent since")
    with town.store.write() as tx:
        tx.execute(LB_BINDINGS.delete())
    assert reasons() == [("ERROR", "", "no host carries it: there is no live Loadbalancer agent")]


def test_a_host_that_had_it_before_tells_again(town: Town) -> None:
    """It may never hear that the balancer was elsewhere meanwhile, and what it told then is forgotten."""
    for host in ("h1", "h2"):
        town.tell(host, "applied")
    with town.store.write() as tx:
        fragments.report(tx, "h1", {f"loadbalancer/{town.balancer}": ("applied", "1", "")})
        tx.execute(LB_BINDINGS.delete())
        scheduling.refresh(tx, town.context, [town.balancer])
    assert town.provisioning() == "PENDING_UPDATE"
    town.tell("h1", "applied", 2)
    assert town.provisioning() == "ACTIVE"
