"""Random clouds and packets: what comes out of the flows is what the rules say, read without any flow."""

import ipaddress
import random
from collections.abc import Iterator

import pytest

from netloom.feed.fragments import AddressSet, Port, SecurityGroup, SecurityRule
from netloom.plan.packet import Packet
from netloom.plan.simulate import Switch
from tests.unit.plan.switching_world import (
    ICMP,
    ICMP6,
    TCP,
    UDP,
    World,
    between,
    group,
    id_of,
    network,
    port,
    rule,
    tap,
)

GUESTS = range(1, 7)
SETS = [id_of(0xADD, n) for n in range(3)]
WITH_PORTS = (TCP, UDP)


def random_rule(dice: random.Random) -> SecurityRule:
    version = dice.choice([4, 6])
    protocol = dice.choice([-1, TCP, UDP, ICMP if version == 4 else ICMP6, 47])
    first = last = -1
    if protocol in WITH_PORTS and dice.random() < 0.8:
        first, last = sorted((dice.randint(1, 40), dice.randint(1, 40)))
    elif protocol in (ICMP, ICMP6) and dice.random() < 0.5:
        first = 8 if version == 4 else 128
    remote, prefix = dice.choice([*SETS, "", ""]), ""
    if not remote and dice.random() < 0.5:
        prefix = f"10.0.0.{4 * dice.randint(0, 2)}/30" if version == 4 else f"2001:db8::{4 * dice.randint(0, 2)}/126"
    return rule(dice.choice(["ingress", "egress"]), version, protocol, first, last, prefix=prefix, remote=remote)


def random_cloud(dice: random.Random) -> World:
    groups = [group(n, *(random_rule(dice) for _ in range(dice.randint(2, 14)))) for n in range(4)]
    ports = [
        port(n, [g.id for g in dice.sample(groups, dice.choice([0, 1, 2, 2, 3]))], port_security=dice.random() < 0.85)
        for n in GUESTS
    ]
    cloud = World().put(network(), *groups, *ports)
    for name in SETS:
        members = [f"10.0.0.{n}" for n in GUESTS if dice.random() < 0.5]
        cloud.members(name, *members, *(f"2001:db8::{n}" for n in GUESTS if dice.random() < 0.5), "10.0.0.4/31")
    return cloud


def random_packets(dice: random.Random, count: int) -> Iterator[tuple[int, int, Packet]]:
    """(sender, receiver, packet)."""
    for _ in range(count):
        a, b = dice.sample(GUESTS, 2)
        six = dice.random() < 0.5
        protocol = dice.choice([TCP, UDP, 47, ICMP6 if six else ICMP])
        dport = {ICMP: 8, ICMP6: 128, 47: 0}.get(protocol, dice.randint(1, 45))
        yield a, b, between(a, b, protocol, dport, six=six)


def allows(cloud: World, wanted: SecurityRule, packet: Packet, remote: str) -> bool:
    """Whether one rule lets a packet through; ``remote`` is its far end."""
    if wanted.ip_version != (6 if ":" in remote else 4) or wanted.protocol not in (-1, packet.protocol):
        return False
    bounded = wanted.protocol in WITH_PORTS and wanted.port_min >= 0
    if bounded and not wanted.port_min <= packet.dport <= wanted.port_max:
        return False
    if packet.is_icmp and wanted.port_min not in (-1, packet.sport):
        return False
    prefixes = [wanted.remote_prefix or ("::/0" if ":" in remote else "0.0.0.0/0")]
    if wanted.remote_set:
        members = cloud.fragments[wanted.remote_set]
        assert isinstance(members, AddressSet)
        prefixes = list(members.prefixes)
    return any(ipaddress.ip_address(remote) in ipaddress.ip_network(prefix) for prefix in prefixes)


def passes(cloud: World, of: Port, direction: str, packet: Packet) -> bool:
    """Whether a port's groups let a new packet through in one direction."""
    groups = [cloud.fragments[f"security_group/{id}"] for id in of.security_groups]
    rules = [r for g in groups if isinstance(g, SecurityGroup) for r in g.rules if r.direction == direction]
    remote = packet.src if direction == "ingress" else packet.dst
    return not of.port_security or any(allows(cloud, r, packet, remote) for r in rules)


@pytest.mark.parametrize("seed", range(25))
def test_new_packets_go_where_the_rules_say(seed):
    dice = random.Random(seed)
    cloud = random_cloud(dice)
    state = cloud.plan()
    for a, b, packet in random_packets(dice, 80):
        sender, receiver = (cloud.fragments[port(n).name] for n in (a, b))
        assert isinstance(sender, Port)
        assert isinstance(receiver, Port)
        wanted = passes(cloud, sender, "egress", packet) and passes(cloud, receiver, "ingress", packet)
        outcome = Switch(state).send(tap(a), packet)
        assert (tap(b) in outcome.ports) == wanted, (packet, [str(flow) for flow in outcome.path])
        assert not {tap(n) for n in GUESTS if n != b} & outcome.ports
