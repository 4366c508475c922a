"""UDP listeners of a load balancer: the kernel balances, because haproxy carries no datagrams.

Address translation in the balancer's namespace gives each new client to a member, in turn or by a hash of its
address, and conntrack keeps it there. Members see the balancer's address, so that answers come back this way. Without
IPVS in the kernel there are no counts of connections to go by: the least busy member is not known.

Each rule's text is that of iptables-save (1.8.9, nft backend).
"""

from collections.abc import Collection, Iterator, Sequence
from functools import reduce
from ipaddress import ip_network
from math import gcd

from netloom.feed.fragments import Listener, LoadBalancer, Member, Pool
from netloom.plan.haproxy import UDP
from netloom.plan.nat import BUILT_IN
from netloom.state import Chain, FilterTable

CHAIN, ID_CHARACTERS = "lbaas-", 22
"""Names of chains have 28 characters at most."""
SEED = "0x00006e6c"
"""Of the hash: the same on all hosts that carry a balancer."""
PROBABILITIES = 1 << 31
"""Steps in which the kernel knows probabilities."""


def listeners(balancer: LoadBalancer) -> list[Listener]:
    """The UDP listeners of a balancer."""
    return [listener for listener in balancer.listeners if listener.protocol == UDP]


def tables(balancer: LoadBalancer, namespace: str, down: Collection[str]) -> Iterator[FilterTable]:
    """The tables that balance. ``down`` are ids of members that do not answer their monitor."""
    pools = {pool.id: pool for pool in balancer.pools}
    for family in (4, 6):
        addresses = [host for host in _addresses(balancer) if _family(host) == family]
        served = {
            listener: (pools[listener.pool_id], members)
            for listener in (listeners(balancer) if addresses else ())
            if listener.pool_id in pools and (members := _serving(pools[listener.pool_id], family, down))
        }
        if not served:
            continue
        nat: dict[str, list[str]] = {"PREROUTING": [], "POSTROUTING": []}
        mangle: dict[str, list[str]] = {"PREROUTING": []}
        for listener, (pool, members) in served.items():
            chain = f"{CHAIN}{listener.id[:ID_CHARACTERS]}"
            nat["PREROUTING"] += [f"{match} -j {chain}" for match in _matches(listener, addresses, family)]
            if _sticky(pool):
                slots = _slots(members)
                nat[chain] = [f"-p udp -m mark --mark {n:#x} {_to(member)}" for n, member in enumerate(slots, 1)]
                mangle["PREROUTING"] += [f"{_match(listener, host)} {_hash(len(slots), host)}" for host in addresses]
            else:
                nat[chain] = list(_in_turn(members))
        nat["POSTROUTING"] = [f"-p udp -m conntrack --ctstate DNAT -j SNAT --to-source {addresses[0]}"]
        yield _table(namespace, family, "nat", nat, balancer.name)
        if mangle["PREROUTING"]:
            yield _table(namespace, family, "mangle", mangle, balancer.name)


def _table(namespace: str, family: int, name: str, rules: dict[str, list[str]], origin: str) -> FilterTable:
    built_in = BUILT_IN[name]
    chains = [Chain(name=chain, policy="ACCEPT", rules=tuple(rules.get(chain, ()))) for chain in built_in]
    chains += [Chain(name=chain, rules=tuple(rules[chain])) for chain in sorted(rules.keys() - set(built_in))]
    return FilterTable(namespace=namespace, family=family, table=name, chains=tuple(chains), origin=origin)


def _addresses(balancer: LoadBalancer) -> list[str]:
    return [cidr.partition("/")[0] for cidr in balancer.vip.addresses]


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _serving(pool: Pool, family: int, down: Collection[str]) -> list[Member]:
    """The members that new clients go to; backups only when there are no others."""
    fit = [
        member
        for member in (pool.members if pool.admin_state_up else ())
        if member.admin_state_up and member.weight and member.id not in down and _family(member.address) == family
    ]
    return [member for member in fit if not member.backup] or fit


def _sticky(pool: Pool) -> bool:
    kept = pool.persistence is not None and pool.persistence.type == "SOURCE_IP"
    return kept or pool.algorithm == "SOURCE_IP"


def _match(listener: Listener, host: str) -> str:
    return f"-d {ip_network(host)} -p udp -m udp --dport {listener.port}"


def _matches(listener: Listener, addresses: Sequence[str], family: int) -> Iterator[str]:
    """What a listener lets in."""
    prefixes = [ip_network(cidr, strict=False) for cidr in listener.allowed_cidrs]
    allowed = [prefix for prefix in prefixes if prefix.version == family]
    for host in addresses:
        for prefix in allowed:
            yield (f"-s {prefix} " if prefix.prefixlen else "") + _match(listener, host)
        if not listener.allowed_cidrs:
            yield _match(listener, host)


def _hash(slots: int, host: str) -> str:
    length = ip_network(host).prefixlen
    return f"-j HMARK --hmark-src-prefix {length} --hmark-rnd {SEED} --hmark-mod {slots} --hmark-offset 1"


def _slots(members: Sequence[Member]) -> list[Member]:
    """Each member as often as its weight tells."""
    unit = reduce(gcd, (member.weight for member in members))
    return [member for member in members for _ in range(member.weight // unit)]


def _in_turn(members: Sequence[Member]) -> Iterator[str]:
    """Strictly in turn when all weigh the same, else by chance; whom no rule before takes is the last one's."""
    alike = len({member.weight for member in members}) == 1
    for number, member in enumerate(members[:-1]):
        if alike:
            share = f"--mode nth --every {len(members) - number} --packet 0"
        else:
            part = member.weight / sum(other.weight for other in members[number:])
            share = f"--mode random --probability {round(part * PROBABILITIES) / PROBABILITIES:.11f}"
        yield f"-p udp -m statistic {share} {_to(member)}"
    yield f"-p udp {_to(members[-1])}"


def _to(member: Member) -> str:
    host = f"[{member.address}]" if ":" in member.address else member.address
    return f"-j DNAT --to-destination {host}:{member.port}"
