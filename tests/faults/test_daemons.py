"""What the agent runs dies, or is broken by hand, and is put right."""

import json
import time

import pytest

from tests.faults.town import Town
from tests.sandbox import eventually

BACK_SECONDS = 6.0
"""Longest silence after a crash of Open vSwitch, on a busy machine. Its userspace datapath stands still without it,
and also without its database."""
SWITCH = "ovsdb-server", "ovs-vswitchd"


@pytest.mark.parametrize("killed", [SWITCH[:1], SWITCH[1:], SWITCH], ids=" and ".join)
def test_open_vswitch_killed_traffic_comes_back(town: Town, killed: tuple[str, ...]) -> None:
    pids = [int(town.place(f"/run/openvswitch/{name}.pid").read_text()) for name in killed]
    with town.traffic() as traffic:
        town.kill(*pids)
        eventually(town.reaches, what="an answer after the crash")
    assert traffic.gap < BACK_SECONDS
    assert {way: told["broken"] for way, told in traffic.told.items() if told["broken"]} == {}
    town.at_rest()
    with town.unchanged():
        town.restart_agent("TERM")


@pytest.mark.parametrize("program", ["dnsmasq", "haproxy", "radvd"])
def test_a_daemon_killed_is_back_and_answers(town: Town, program: str) -> None:
    before, pids = town.look(), town.daemons(program)
    with town.traffic() as traffic:
        began = time.monotonic()
        town.kill(*pids)
        eventually(lambda: len(town.daemons(program)) == len(pids), what=f"{program} again")
        print(f"{program} is back after {time.monotonic() - began:.2f} s")
        if program == "dnsmasq":
            lease = "udhcpc -n -q -f -i eth0 -s /bin/true -t 5 -T 2 2>&1 && echo leased"
            eventually(lambda: "leased" in town.inside("town-2", lease), what="a lease")
        elif program == "haproxy":
            ask = "wget -q -O - http://169.254.169.254/latest/meta-data/instance-id"
            eventually(lambda: "i-" in town.inside("town-2", ask), what="an answer of the metadata service")
        else:
            assert town.probe("solicit", "eth0", inside=town.two).end() == "advertised\n"
    assert traffic.losses == {}
    town.becomes(before, "daemons", "files", "changes of the switch")


def recorded(town: Town) -> set[int]:
    """Daemons that a restarted agent would know for its own."""
    records = town.place("/run/netloom/daemons").glob("*/record")
    return {json.loads(record.read_text())["pid"] for record in records}


def test_a_daemon_that_cannot_be_recorded_is_not_left_behind(town: Town) -> None:
    pids = town.daemons("dnsmasq")
    with town.no_room("/run"):
        with town.logged("agent", "not applied.*No space left", 2):
            town.kill(*pids)
        eventually(lambda: set(town.daemons("dnsmasq")) <= recorded(town), what="no other dnsmasq than recorded ones")
    eventually(lambda: len(town.daemons("dnsmasq")) == len(pids), what="dnsmasq again")
    town.at_rest()


BREAKAGES = {
    "a flow": "ovs-ofctl del-flows br-int table=0",
    "all flows": "ovs-ofctl del-flows br-int",
    "a port's VLAN": "ovs-vsctl clear port $(ovs-vsctl list-ports br-int | grep ^qr- | head -1) tag",
    "an address": "$inside ip address del 10.7.0.1/24 dev $($inside ip -o -4 address | grep -o 'qr-[^ ]*' | head -1)",
    "a route": "$inside ip route del default",
    "the NAT rules": "$inside iptables -t nat -F",
    "a rule": "$inside iptables -t nat -D POSTROUTING 1",
    "a link": "$inside ip link set $($inside ip -o link | grep -o 'qr-[^@]*' | head -1) down",
    "a file": "for f in /var/lib/netloom/host/dhcp/*/*; do echo broken > $f; done",
}


@pytest.mark.parametrize("what", BREAKAGES)
def test_what_is_broken_by_hand_is_put_right(town: Town, what: str) -> None:
    before = town.look()
    inside = f"inside='ip netns exec qrouter-{town.router}'"
    began = time.monotonic()
    town.machine.run("sh", "-c", f"{inside}; {BREAKAGES[what]}")
    town.becomes(before, "changes of the switch", "files", "daemons")
    print(f"{what}: put right within {time.monotonic() - began:.2f} s")
    eventually(town.reaches, what="packets on all ways")
