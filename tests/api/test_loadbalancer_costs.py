"""What requests about load balancers cost the database: the same for any number of their parts."""

from collections.abc import Callable

from tests.statements import statements

SMALL, LARGE = 2, 7


class Costs:
    """Statements by what was done."""

    def __init__(self, store, hosts) -> None:
        self._store, self._hosts = store, hosts
        self.counts: dict[str, int] = {}

    def of(self, what: str, work: Callable[[], object]) -> object:
        """Do it, count what it costs, and have the hosts tell."""
        with statements(self._store) as seen:
            found = work()
        self.counts[what] = len(seen)
        self._hosts.tell()
        return found


def pools(size: int) -> list[dict[str, object]]:
    """So many, with as many members each."""
    watch = {"type": "HTTP", "delay": 1, "timeout": 1, "max_retries": 1, "tags": ["m"]}
    members = [{"address": f"10.0.0.{number}", "protocol_port": 80, "tags": ["m"]} for number in range(10, 10 + size)]
    plain = {"protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": members, "healthmonitor": watch}
    return [plain | {"name": f"p{number}", "tags": ["p"]} for number in range(size)]


def listeners(size: int) -> list[dict[str, object]]:
    """So many, with as many policies each and as many rules."""
    rules = [{"type": "PATH", "compare_type": "EQUAL_TO", "value": f"/{number}"} for number in range(size)]
    leads = {"action": "REDIRECT_TO_POOL", "rules": rules}
    policies = [leads | {"redirect_pool": {"name": f"p{number}"}} for number in range(size)]
    plain = {"protocol": "HTTP", "l7policies": policies, "default_pool": {"name": "p0"}}
    return [plain | {"protocol_port": 80 + number, "tags": ["l"]} for number in range(size)]


def a_life(costs: Costs, lb, subnet, size: int) -> dict[str, int]:
    """What it costs to make a load balancer of a size, to look at it, to change it and to delete it."""
    body = {"vip_subnet_id": subnet["id"], "listeners": listeners(size), "pools": pools(size), "tags": ["a"]}
    made = costs.of("create", lambda: lb.make("loadbalancer", **body))
    path = f"loadbalancers/{made['id']}"
    for collection in ("loadbalancers", "listeners", "pools", "healthmonitors", "l7policies"):
        (first, *_) = costs.of(f"list {collection}", lambda each=collection: lb.get(each))[collection]
        costs.of(f"show {collection}", lambda each=f"{collection}/{first['id']}": lb.get(each))
    pool, listener, policy = (lb.get(each)[each][0]["id"] for each in ("pools", "listeners", "l7policies"))
    member = costs.of("list members", lambda: lb.get(f"pools/{pool}/members"))["members"][0]["id"]
    costs.of("list rules", lambda: lb.get(f"l7policies/{policy}/rules"))
    costs.of("status tree", lambda: lb.get(f"{path}/status"))
    costs.of("statistics", lambda: lb.get(f"{path}/stats"))
    costs.of("update", lambda: lb.put(path, {"loadbalancer": {"name": "x"}}))
    costs.of("update pool", lambda: lb.put(f"pools/{pool}", {"pool": {"lb_algorithm": "SOURCE_IP"}}))
    costs.of("update member", lambda: lb.put(f"pools/{pool}/members/{member}", {"member": {"weight": 3}}))
    one = {"protocol": "HTTP", "protocol_port": 443, "loadbalancer_id": made["id"]}
    costs.of("create listener", lambda: lb.make("listener", **one))
    first = {"action": "REJECT", "listener_id": listener, "position": 1}
    costs.of("create policy", lambda: lb.make("l7policy", **first))
    costs.of("delete policy", lambda: lb.delete(f"l7policies/{policy}"))
    costs.of("delete member", lambda: lb.delete(f"pools/{pool}/members/{member}"))
    costs.of("delete listener", lambda: lb.delete(f"listeners/{listener}"))
    costs.of("delete with all", lambda: lb.delete(f"{path}?cascade=true"))
    assert lb.get("l7policies") == {"l7policies": []}
    return costs.counts


def test_no_request_costs_more_for_more_parts(lb, store, hosts, subnet):
    small = a_life(Costs(store, hosts), lb, subnet, SMALL)
    large = a_life(Costs(store, hosts), lb, subnet, LARGE)
    assert large == small


def test_nor_does_one_of_lbaas_v1(lb, alice, store, hosts, subnet):
    def cost(size: int) -> dict[str, int]:
        costs = Costs(store, hosts)
        body = {"lb_method": "ROUND_ROBIN", "name": "a", "protocol": "HTTP", "subnet_id": subnet["id"]}
        pool = costs.of("create", lambda: alice.post("lb/pools", {"pool": body}))["pool"]["id"]
        for number in range(size):
            member = {"address": f"10.0.0.{10 + number}", "protocol_port": 80, "pool_id": pool}
            costs.of("create member", lambda each=member: alice.post("lb/members", {"member": each}))
        vip = {"protocol": "HTTP", "protocol_port": 80, "subnet_id": subnet["id"], "pool_id": pool, "name": "v"}
        vip = costs.of("create vip", lambda: alice.post("lb/vips", {"vip": vip}))["vip"]["id"]
        for collection in ("pools", "members", "vips", "health_monitors"):
            costs.of(f"list {collection}", lambda each=collection: alice.get(f"lb/{each}"))
        costs.of("delete vip", lambda: alice.delete(f"lb/vips/{vip}"))
        costs.of("delete pool", lambda: alice.delete(f"lb/pools/{pool}"))
        return costs.counts

    assert cost(SMALL) == cost(LARGE)
