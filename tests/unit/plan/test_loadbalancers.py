"""Load balancers as their hosts plan them."""

import re
import shlex
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netloom.feed.fragments import Certificate, LoadBalancer, SessionPersistence
from netloom.plan import haproxy, l7, loadbalancers
from netloom.plan.intent import Intent
from netloom.state import (
    Address,
    Daemon,
    Election,
    Facts,
    File,
    FilterTable,
    Flow,
    HostState,
    LinuxBridge,
    Namespace,
    SwitchPort,
    Sysctl,
)
from tests.unit.plan import balancer_world as lb
from tests.unit.plan import golden
from tests.unit.plan.switching_world import (
    EGRESS_ALL,
    SETTINGS,
    TCP,
    UDP,
    VRRP,
    World,
    between,
    group,
    id_of,
    port,
    rule,
    tap,
)

OPEN = group(1, *EGRESS_ALL, rule())
WEB = group(2, *EGRESS_ALL, rule(protocol=TCP, first=80, last=80))
NAMESPACE = f"qlbaas-{lb.BALANCER}"


def world(balancer: LoadBalancer | None = None, **changes: object) -> World:
    """Guests 1 to 3, and a balancer whose VIP may be asked for HTTP alone."""
    guests = [port(number, [OPEN.id]) for number in (1, 2, 3)]
    return World().put(lb.net(), OPEN, WEB, *guests, lb.vip_port(WEB.id, **changes), balancer or lb.balancer())


def own(balancer: LoadBalancer, facts: Facts | None = None, **settings: object) -> HostState:
    """What the planner of load balancers alone makes of one."""
    fragments = [lb.net(), lb.own_port() if balancer.ha else lb.vip_port(), balancer]
    intent = Intent({fragment.name: fragment for fragment in fragments})
    here = replace(SETTINGS, **settings)  # type: ignore[arg-type]
    return HostState(loadbalancers.plan(intent, facts or Facts(), here, {lb.net().id: 1}))


def rules(state: HostState, table: str = "nat", family: int = 4) -> dict[str, tuple[str, ...]]:
    """Rules by chain, without chains that have none."""
    found = state.of(FilterTable).get((NAMESPACE, str(family), table))
    return {chain.name: chain.rules for chain in found.chains if chain.rules} if found else {}


def udp(*members: object, **more: object) -> LoadBalancer:
    return lb.balancer(lb.listener(4, protocol="UDP", port=53), lb.pool(4, *members, protocol="UDP", **more))  # type: ignore[arg-type]


def targets(state: HostState) -> list[str]:
    (chain,) = (chain for chain in rules(state) if chain.startswith("lbaas-"))
    return [re.sub(r".*--to-destination ", "", text) for text in rules(state)[chain]]


def test_the_whole_of_it() -> None:
    state = own(lb.balancer())
    files = "".join(f"--- {file.path}\n{file.text}" for file in state.of(File).values())
    golden.check("loadbalancer", str(state) + files)


def test_all_that_listeners_and_pools_can_be() -> None:
    state = own(lb.everything())
    files = "".join(f"--- {file.path} {file.mode:o}\n{file.text}" for file in state.of(File).values())
    golden.check("loadbalancer_everything", str(state) + files)


def test_its_card_is_plugged_like_an_instances() -> None:
    state = world().plan()
    card = state.of(SwitchPort)[(tap(lb.VIP),)]
    assert (card.bridge, card.tag) == ("br-int", 1)
    assert dict(card.external_ids)["iface-id"] == id_of(0xB0, lb.VIP)


def test_the_groups_of_the_vip_hold() -> None:
    here = world()
    assert here.passes(1, between(1, lb.VIP, TCP, 80), lb.VIP)
    assert not here.passes(1, between(1, lb.VIP, TCP, 22), lb.VIP)
    assert not here.passes(1, between(1, lb.VIP, UDP, 80), lb.VIP)


def test_it_says_nothing_in_the_name_of_others() -> None:
    here = world()
    assert here.passes(lb.VIP, between(lb.VIP, 2, TCP, 80), 2)
    assert not here.passes(lb.VIP, replace(between(lb.VIP, 2, TCP, 80), src="10.0.0.1"), 2)


@pytest.mark.parametrize("vip", [{"host": "elsewhere"}, {"network_id": id_of(0xAE, 7)}], ids=["host", "network"])
def test_it_is_where_its_port_is_bound_and_its_network_known(vip: dict[str, object]) -> None:
    assert not world(**vip).plan().of(Namespace)


def test_one_that_is_down_is_not_there() -> None:
    state = world(lb.balancer(admin_state_up=False)).plan()
    assert not state.of(Namespace)
    assert (tap(lb.VIP),) not in state.of(SwitchPort)


def test_without_listeners_there_is_the_address_but_nobody_answers() -> None:
    state = own(lb.balancer(lb.pool()))
    assert {address.cidr for address in state.of(Address).values()} == {"10.0.0.4/24", "2001:db8::4/64"}
    assert not state.of(Daemon)
    assert not state.of(File)


def test_a_new_member_is_a_reload_and_nothing_else() -> None:
    before, after = (own(lb.balancer(lb.listener(), pool)) for pool in (lb.pool(), lb.pool(1, lb.member(2))))
    (old,), (new,) = before.of(Daemon).values(), after.of(Daemon).values()
    assert old.reloads != new.reloads
    assert replace(old, reloads="") == replace(new, reloads="")


def test_a_new_certificate_is_a_reload() -> None:
    one, other = (
        own(lb.balancer(lb.listener(protocol="TERMINATED_HTTPS", certificates=(Certificate("c", pem),)), lb.pool()))
        for pem in ("A", "B")
    )
    assert [d.reloads for d in one.of(Daemon).values()] != [d.reloads for d in other.of(Daemon).values()]


def test_keys_are_for_root_alone_and_in_no_text() -> None:
    balancer = lb.everything(certificate="SECRET")
    state = own(balancer)
    secret = [file for file in state.of(File).values() if "SECRET" in file.text]
    assert {file.mode for file in secret} == {0o600}
    assert "SECRET" not in str(state) + repr(balancer)


@given(st.text())
def test_a_quoted_text_is_one_word_of_one_line(text: str) -> None:
    quoted = l7.quoted(text)
    plain = "".join(c for c in text if c >= " " and c != "\x7f")
    assert not set(quoted) & {"\n", "\r"}
    assert shlex.split(quoted) == [plain]


@given(st.text())
def test_a_token_ends_no_sample(text: str) -> None:
    assert not set(l7.token(text)) & set("(){},'\"\\ \n\t;:/")


def shape(balancer: LoadBalancer) -> list[str]:
    """The first words of each line of a configuration, without what the balancer's project chose."""
    lines = haproxy.configuration(balancer, "nobody", "nogroup").split("\n")
    return [" ".join(line.replace("[", " ").split()[: 1 if line.startswith(" ") else 2]) for line in lines]


@given(st.text(min_size=1).filter(lambda word: word not in (*haproxy.HEADERS, "X-Forwarded-For")))
def test_no_word_of_a_project_is_a_line(word: str) -> None:
    harmless, evil = (lb.worded(text) for text in ("x", word))
    assert shape(harmless) == shape(evil)


def test_a_policy_for_a_pool_that_is_not_there_is_left_out() -> None:
    text = haproxy.configuration(
        lb.balancer(msgspec.structs.replace(lb.everything().listeners[0]), lb.pool()), "nobody", "nogroup"
    )
    assert "use_backend" not in text


@pytest.mark.parametrize(
    "lacking", [{"certificates": ()}, {"client_authentication": "MANDATORY", "client_ca": ""}], ids=["key", "authority"]
)
def test_what_cannot_be_kept_secret_or_closed_is_not_served(lacking: dict[str, Any]) -> None:
    full: dict[str, Any] = {"protocol": "TERMINATED_HTTPS", "port": 443, "certificates": (Certificate("c", "PEM"),)}
    assert "bind 10.0.0.4:443" in haproxy.configuration(lb.balancer(lb.listener(**full), lb.pool()), "u", "g")
    assert "bind 10.0.0.4:443" not in haproxy.configuration(
        lb.balancer(lb.listener(**(full | lacking)), lb.pool()), "u", "g"
    )


# UDP


def test_datagrams_go_to_members_in_turn_and_come_from_the_vip() -> None:
    state = own(udp())
    chain = f"lbaas-{id_of(0x11, 4)[:22]}"
    assert rules(state) == {
        "PREROUTING": (f"-d 10.0.0.4/32 -p udp -m udp --dport 53 -j {chain}",),
        "POSTROUTING": ("-p udp -m conntrack --ctstate DNAT -j SNAT --to-source 10.0.0.4",),
        chain: (
            "-p udp -m statistic --mode nth --every 2 --packet 0 -j DNAT --to-destination 10.0.0.2:80",
            "-p udp -j DNAT --to-destination 10.0.0.3:80",
        ),
    }
    assert state.of(Sysctl)[(NAMESPACE, "net/ipv4/ip_forward")].value == "1"
    assert own(lb.balancer()).of(Sysctl)[(NAMESPACE, "net/ipv4/ip_forward")].value == "0"


def test_weights_are_chances() -> None:
    chain = rules(own(udp(lb.member(2, weight=1), lb.member(3, weight=2))))[f"lbaas-{id_of(0x11, 4)[:22]}"]
    assert chain[0].startswith("-p udp -m statistic --mode random --probability 0.33333333349 ")


@pytest.mark.parametrize(
    "how", [{"algorithm": "SOURCE_IP"}, {"persistence": SessionPersistence("SOURCE_IP")}], ids=["algorithm", "session"]
)
def test_a_client_may_keep_its_member(how: dict[str, object]) -> None:
    state = own(udp(lb.member(2, weight=2), lb.member(3, weight=4), **how))
    (mark,) = rules(state, "mangle")["PREROUTING"]
    assert mark == (
        "-d 10.0.0.4/32 -p udp -m udp --dport 53 -j HMARK "
        "--hmark-src-prefix 32 --hmark-rnd 0x00006e6c --hmark-mod 3 --hmark-offset 1"
    )
    assert targets(state) == ["10.0.0.2:80", "10.0.0.3:80", "10.0.0.3:80"]


def test_only_members_that_serve_get_datagrams() -> None:
    down = Facts(failing_members=frozenset({id_of(0x3E, 2)}))
    assert targets(own(udp(), down)) == ["10.0.0.3:80"]
    assert targets(own(udp(lb.member(2, weight=0), lb.member(3)))) == ["10.0.0.3:80"]
    assert targets(own(udp(lb.member(2, admin_state_up=False), lb.member(3)))) == ["10.0.0.3:80"]
    backed = udp(lb.member(2), lb.member(3, backup=True))
    assert targets(own(backed)) == ["10.0.0.2:80"]
    assert targets(own(backed, down)) == ["10.0.0.3:80"]
    assert not own(udp(lb.member(2)), down).of(FilterTable)
    assert not own(udp(admin_state_up=False)).of(FilterTable)


def test_both_families_of_datagrams_stay_apart() -> None:
    state = own(udp(lb.member(2), lb.member(3, address="2001:db8::3")))
    assert targets(state) == ["10.0.0.2:80"]
    (to,) = rules(state, family=6)[f"lbaas-{id_of(0x11, 4)[:22]}"]
    assert to == "-p udp -j DNAT --to-destination [2001:db8::3]:80"


def test_allowed_prefixes_bound_datagrams_too() -> None:
    listener = lb.listener(4, protocol="UDP", port=53, allowed_cidrs=("10.0.0.0/30", "2001:db8::/64"))
    state = own(lb.balancer(listener, lb.pool(4, protocol="UDP")))
    assert [text.split(" -j")[0] for text in rules(state)["PREROUTING"]] == [
        "-s 10.0.0.0/30 -d 10.0.0.4/32 -p udp -m udp --dport 53"
    ]


# Two hosts


def two(**more: object) -> LoadBalancer:
    return lb.balancer(ha=lb.GROUP, **more)


def test_the_whole_of_one_of_two_hosts() -> None:
    state = own(two(), ha_vrrp_advert_int=0.1)
    texts = state.of(File)
    golden.check("loadbalancer_ha", str(state) + texts[(f"ha/{lb.BALANCER}/keepalived.conf",)].text)


def test_the_vip_is_keepaliveds_and_the_host_has_an_address_of_its_own() -> None:
    state = own(two())
    assert [address.cidr for address in state.of(Address).values()] == ["10.0.0.5/24"]
    (election,) = state.of(Election).values()
    assert [cidr for _, cidr in election.shared] == ["10.0.0.4/24", "2001:db8::4/64"]


def test_hosts_of_a_balancer_hear_each_other_whatever_its_groups_say() -> None:
    here = World().put(lb.net(), WEB, OPEN, port(1, [OPEN.id]), lb.own_port(WEB.id), two())
    out = between(5, 6, VRRP)
    assert here.send(5, replace(out, dst="224.0.0.18", dl_dst="01:00:5e:00:00:12")).ports == {"br-eth1", "eth1"}
    assert here.receive(replace(between(6, 5, VRRP), dst="224.0.0.18", dl_dst="01:00:5e:00:00:12")) == {tap(5)}
    assert not here.passes(1, between(1, 5, VRRP), 5)
    assert here.passes(1, replace(between(1, 5, TCP, 80), dst="10.0.0.4"), 5)


def test_hosts_hear_each_other_by_the_protocol_of_their_addresses() -> None:
    ports = tuple(
        msgspec.structs.replace(port, address=f"2001:db8::{n}/64") for n, port in enumerate(lb.GROUP.ports, 5)
    )
    six = lb.balancer(ha=msgspec.structs.replace(lb.GROUP, ports=ports))
    state = own(six, ha_vrrp_advert_int=2.0)
    text = state.of(File)[(f"ha/{lb.BALANCER}/keepalived.conf",)].text
    assert "vrrp_version 3" in text
    assert "virtual_ipaddress {\n        fe80::6e6c:9/64 dev" in text
    assert "0.0.0.0/0 via 10.0.0.254" in text, "the way out from the VIP"
    assert {flow.match.partition("ipv6,")[2] for flow in state.of(Flow).values()} == {"nw_proto=112"}
    assert [election.address for election in state.of(Election).values()] == ["fe80::6e6c:9"]


def test_another_host_of_it_has_its_own_part() -> None:
    assert not own(two(), host="host3").of(Namespace)
    assert not own(two(), host="host2").of(Namespace), "its port's fragment has not come"


def test_iptables_see_its_card_on_a_linux_bridge() -> None:
    state = own(lb.balancer(), firewall_driver="iptables_hybrid")
    (bridge,) = state.of(LinuxBridge).values()
    assert (bridge.card, bridge.outer) == (tap(lb.VIP), f"qvo{id_of(0xB0, lb.VIP)[:11]}")
    assert not own(two(), firewall_driver="iptables_hybrid").of(Namespace), "all hosts would be active"


def test_every_flow_and_file_says_whose_it_is() -> None:
    state = own(two())
    shared = [element for element in state if isinstance(element, (Flow, File, Daemon)) and not element.origin]
    assert [str(element).split()[1] for element in shared] == ["ha/keepalived.sh"]
