"""Packets from host to host, by the planned flows of all of them."""

import random
from dataclasses import replace
from itertools import permutations

import pytest

from netloom.plan.packet import Packet
from netloom.plan.pipeline import FROM_TUNNEL
from tests.unit.plan.hosts_world import HA_NETWORK, Hosts, router
from tests.unit.plan.switching_world import (
    BROADCAST,
    EGRESS_ALL,
    ICMP,
    ICMP6,
    OUTSIDE_MAC,
    TCP,
    VRRP,
    between,
    group,
    id_of,
    link_local,
    network,
    port,
    rule,
    tap,
)

OPEN = group(1, *EGRESS_ALL, rule(), rule(version=6))
VXLAN = network(7, "vxlan", 77)
ROUTER_MAC, GATEWAY, GATEWAY6 = OUTSIDE_MAC, "10.0.0.254", "2001:db8::fe"
QR = "qr-00400001-00"
ALL = {"host1": True, "host2": True, "host3": True}


def asks(guest: int, address: str) -> Packet:
    """A guest's question for the MAC of an address, as ARP or as neighbour solicitation."""
    me = port(guest)
    if ":" not in address:
        return Packet(dl_src=me.mac, dl_dst=BROADCAST, src=me.fixed_ips[0].address, dst=address)
    return Packet(
        dl_src=me.mac,
        dl_dst="33:33:ff:00:00:01",
        src=me.fixed_ips[1].address,
        dst="ff02::1:ff00:1",
        protocol=ICMP6,
        sport=135,
        target=address,
    )


def two_guests(populated: dict[str, bool] = ALL, **changes: object) -> Hosts:
    """Guests 1 and 2 on hosts 1 and 2; guest 3, of another network, on host 3."""
    hosts = Hosts(populated).put(VXLAN, network(8, "vxlan", 78))
    for number in (1, 2):
        hosts.put(port(number, host=f"host{number}", network_id=VXLAN.id, port_security=False, **changes))
    return hosts.put(port(3, host="host3", network_id=network(8).id, port_security=False)).plug()


# Known neighbours


def test_a_frame_goes_to_the_one_host_that_has_the_receiver_and_nothing_is_learned_before():
    hosts = two_guests().put(port(4, host="host3", network_id=VXLAN.id)).plug()
    came = hosts.send("host1", tap(1), between(1, 2, TCP, 80))
    assert [(host, device) for host, device, _ in came] == [("host2", tap(2))]
    assert hosts.crossed == {("host1", "host2"): 1}


@pytest.mark.parametrize("address", ["10.0.0.2", "2001:db8::2"])
def test_a_known_address_is_told_on_the_spot(address):
    hosts = two_guests()
    ((host, device, answer),) = hosts.send("host1", tap(1), asks(1, address))
    assert (host, device, answer.dl_src, answer.dl_dst) == ("host1", tap(1), port(2).mac, port(1).mac)
    assert (answer.src, answer.told) == (address, port(2).mac)
    if ":" in address:
        assert (answer.sport, answer.target, answer.dst) == (136, address, "2001:db8::1")
    else:
        assert (answer.operation, answer.dst) == (2, "10.0.0.1")
    assert not hosts.crossed


@pytest.mark.parametrize("address", ["10.0.0.77", "2001:db8::77", link_local(2)])
def test_an_unknown_address_is_asked_for_on_the_hosts_of_the_network_alone(address):
    hosts = two_guests()
    assert {(host, device) for host, device, _ in hosts.send("host1", tap(1), asks(1, address))} == {("host2", tap(2))}
    assert hosts.crossed == {("host1", "host2"): 1}


def test_a_probe_for_a_duplicate_address_reaches_its_owner():
    hosts = two_guests()
    probe = replace(asks(1, "2001:db8::2"), src="::")
    assert {(host, device) for host, device, _ in hosts.send("host1", tap(1), probe)} == {("host2", tap(2))}


def test_a_probe_of_a_known_neighbour_reaches_it():
    probe = replace(asks(1, "10.0.0.2"), dl_dst=port(2).mac)
    assert [(h, d) for h, d, _ in two_guests().send("host1", tap(1), probe)] == [("host2", tap(2))]


def test_a_mac_that_intent_does_not_place_is_learned():
    hosts = two_guests().put(port(4, host="host3", network_id=VXLAN.id, port_security=False)).plug()
    nested = "fa:16:3e:00:00:77"
    out, back = replace(between(1, 2, TCP, 80), dl_dst=nested), replace(between(2, 1, TCP, 80), dl_src=nested)
    assert {device for _, device, _ in hosts.send("host1", tap(1), out)} == {tap(2), tap(4)}
    hosts.send("host2", tap(2), back)
    assert {device for _, device, _ in hosts.send("host1", tap(1), out)} == {tap(2)}


def test_what_is_heard_does_not_move_a_mac_that_intent_places():
    hosts = two_guests().put(port(4, host="host3", network_id=VXLAN.id, port_security=False)).plug()
    hosts.send("host3", tap(4), replace(between(4, 1, TCP, 80), dl_src=port(2).mac))
    assert {device for _, device, _ in hosts.send("host1", tap(1), between(1, 2, TCP, 80))} == {tap(2)}


@pytest.mark.parametrize("sender", ["host1", "host2"])
def test_a_host_with_l2population_and_one_without_talk(sender):
    hosts = two_guests({**ALL, "host2": False})
    a, b = (1, 2) if sender == "host1" else (2, 1)
    for packet, back in ((asks(a, f"10.0.0.{b}"), None), (between(a, b, ICMP, 8), between(b, a, ICMP, 0))):
        came = hosts.send(sender, tap(a), packet)
        assert came
        assert {device for _, device, _ in came} <= {tap(a), tap(b)}
        assert not back or [d for _, d, _ in hosts.send(f"host{b}", tap(b), back)] == [tap(a)]
    assert {there for _, there in hosts.crossed} <= {"host1", "host2"}


# Routers that several hosts carry


def carried(populated: dict[str, bool] = ALL) -> Hosts:
    """A router on hosts 1 and 2; guest 1 beside it, guest 3 on host 3."""
    shared = router(1, VXLAN, f"{GATEWAY}/24", f"{GATEWAY6}/64")
    hosts = Hosts(populated).put(VXLAN).carry(shared, ["host1", "host2"], network(HA_NETWORK, "vxlan", 99))
    for number in (1, 3):
        hosts.put(port(number, [OPEN.id], host=f"host{number}", network_id=VXLAN.id))
        hosts.worlds[f"host{number}"].put(OPEN)
    return hosts.plug()


def announcement() -> Packet:
    return Packet(dl_src=ROUTER_MAC, dl_dst=BROADCAST, src=GATEWAY, dst=GATEWAY)


def to_router(guest: int) -> Packet:
    return replace(between(guest, 9, TCP, 80), dl_dst=ROUTER_MAC, dst="198.51.100.1")


@pytest.mark.parametrize("population", [True, False])
def test_the_host_that_announced_the_router_last_gets_its_frames(population):
    hosts = carried(dict.fromkeys(ALL, population))
    for active in ("host1", "host2", "host1"):
        hosts.send(active, QR, announcement())
        assert [(h, d) for h, d, _ in hosts.send("host3", tap(3), to_router(3))] == [(active, QR)]
        # A guest beside a router does not know whether that one is the active one.
        beside = {(h, d) for h, d, _ in hosts.send("host1", tap(1), to_router(1))}
        assert {(active, QR)} <= beside <= {("host1", QR), ("host2", QR)}


def test_a_router_that_nobody_has_heard_is_looked_for_where_it_is_carried():
    hosts = carried().put(port(4, [OPEN.id], host="host3", network_id=VXLAN.id)).plug()
    assert {(h, d) for h, d, _ in hosts.send("host3", tap(3), to_router(3))} == {("host1", QR), ("host2", QR)}


def test_the_mac_of_a_router_is_told_on_the_spot_but_not_where_it_is_carried():
    hosts = carried()
    for address in (GATEWAY, GATEWAY6):
        ((host, device, answer),) = hosts.send("host3", tap(3), asks(3, address))
        assert (host, device, answer.told) == ("host3", tap(3), ROUTER_MAC)
        assert {(h, d) for h, d, _ in hosts.send("host1", tap(1), asks(1, address))} >= {("host1", QR), ("host2", QR)}


def test_announcements_of_a_router_reach_guests_and_standbys_everywhere():
    came = {(host, device) for host, device, _ in carried().send("host2", QR, announcement())}
    assert came == {("host1", QR), ("host1", tap(1)), ("host3", tap(3))}


@pytest.mark.parametrize(
    ("group_mac", "source", "to"),
    [
        ("01:00:5e:00:00:12", "169.254.192.1", "224.0.0.18"),
        ("33:33:00:00:00:12", "fe80::1", "ff02::12"),
    ],
)
def test_electors_hear_each_other(group_mac, source, to):
    ours, theirs = "ha-004a0001-00", "ha-004a0002-00"
    advertisement = Packet(dl_src="fa:16:3e:4a:00:01", dl_dst=group_mac, src=source, dst=to, protocol=VRRP)
    assert [(h, d) for h, d, _ in carried().send("host1", ours, advertisement)] == [("host2", theirs)]
    assert id_of(0x4A, 1).startswith(ours[3:])


# Everything at once


@pytest.mark.parametrize("seed", range(12))
def test_packets_arrive_at_exactly_their_receivers(seed):
    dice = random.Random(seed)
    hosts = Hosts({f"host{n}": dice.random() < 0.5 for n in range(1, 5)})
    kinds = ["vxlan", "gre", "geneve", "vlan", "flat"]
    numbered = [network(n, kind, 50 if kind in ("vxlan", "gre") else None) for n, kind in enumerate(kinds, 1)]
    networks = {net.id: net for net in numbered}
    hosts.put(*numbered)
    guests = {}
    for number in range(1, 16):
        secure = dice.random() < 0.7
        guests[number] = guest = port(
            number,
            [OPEN.id] if secure else [],
            host=f"host{dice.randint(1, 4)}",
            network_id=dice.choice(numbered).id,
            port_security=secure,
        )
        hosts.put(guest)
        hosts.worlds[guest.host].put(OPEN)
    hosts.plug()
    for a, b in permutations(guests, 2):
        me, other = guests[a], guests[b]
        came = hosts.send(me.host, tap(a), between(a, b, TCP, 80, six=dice.random() < 0.5, sport=1000 * a + b))
        same = me.network_id == other.network_id
        assert [(h, d) for h, d, _ in came if d == tap(b)] == [(other.host, tap(b))] * same
        # A guest without port security may have any MAC, so it sees what intent does not place.
        nosy = {tap(n) for n, g in guests.items() if g.network_id == me.network_id and not g.port_security}
        assert {device for _, device, _ in came} <= nosy | {tap(b)}
        population = hosts.worlds[me.host].settings.l2_population
        if same and population and networks[me.network_id].network_type in FROM_TUNNEL:
            assert len(came) == 1
