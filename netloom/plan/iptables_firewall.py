"""The iptables firewall: chains of the host's own namespace that see what passes the Linux bridge of each instance.

The chains are those that operators know: by ``neutron-openvswi-FORWARD`` and ``-sg-chain`` a frame comes to what is
for its card alone, ``-i…`` (to the instance), ``-o…`` (from it) and ``-s…`` (its addresses), and meets
``-sg-fallback`` when no rule lets it through. Each card has a conntrack zone of its own, because a frame between two
instances of one host is tracked twice. Members of remote groups and address groups are in ipsets: one that joins
changes no rule.

ARP, and which address a neighbour advertisement is about, only the switch can see: tables 24 and 25 (``antispoof``).
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from netloom.plan import attachments, iptables_rules, matches, names, plugs, profiles
from netloom.plan.attachments import Guest
from netloom.plan.intent import Intent
from netloom.plan.iptables_rules import set_name
from netloom.plan.numbers import number
from netloom.plan.profiles import DIRECTIONS, Profile
from netloom.plan.settings import PlanSettings
from netloom.state import Chain, Element, Facts, FilterTable, IpSet, Sysctl
from netloom.state.filters import SHARED_MARK

EGRESS, INGRESS = DIRECTIONS
FIRST_ZONE, LAST_ZONE = 4097, 0x7FFF
"""Conntrack zones of cards; lower ones are those of networks, higher ones of sub-ports, where flows filter."""
SENT, ADDRESSES, RECEIVED = "o", "s", "i"
ALL, FALLBACK = f"{SHARED_MARK}sg-chain", f"{SHARED_MARK}sg-fallback"
BRIDGED = "--physdev-is-bridged"
BRIDGE_SETTINGS = {"bridge-nf-call-iptables": "1", "bridge-nf-call-ip6tables": "1", "bridge-nf-filter-vlan-tagged": "0"}
"""Frames of Linux bridges meet iptables, but not those that an instance behind a trunk tags: flows filter them."""


def plan(intent: Intent, facts: Facts, settings: PlanSettings, vlans: Mapping[str, int]) -> Iterator[Element]:
    """Filter tables, sets and settings of the host's own namespace."""
    if settings.firewall_driver != plugs.HYBRID:
        return
    guests = [guest for guest in attachments.guests(intent, facts, settings) if filters(guest, facts, settings)]
    filtered = [guest for guest in guests if guest.port.port_security]
    wanted = profiles.profiles({profiles.key(guest.port.security_groups) for guest in filtered}, intent)
    yield from _sets(wanted.values(), intent)
    yield from _raw(guests, wanted)
    for version in (4, 6):
        yield _table(version, "filter", _filter_chains(guests, wanted, version))
    for name, value in BRIDGE_SETTINGS.items() if guests else ():
        yield Sysctl(namespace="", name=f"net/bridge/{name}", value=value)


def filters(guest: Guest, facts: Facts, settings: PlanSettings) -> bool:
    """Whether iptables filter a guest: its card is behind a Linux bridge, and it is no sub-port of a trunk."""
    card = facts.interfaces.get(guest.port.id)
    return (
        settings.firewall_driver == plugs.HYBRID
        and card is not None
        and card.device == names.hybrid_outer(guest.port.id)
    )


def _table(version: int, name: str, chains: Iterable[Chain]) -> FilterTable:
    return FilterTable(namespace="", family=version, table=name, chains=tuple(chains))


def _raw(guests: Iterable[Guest], wanted: Mapping[str, Profile]) -> Iterator[FilterTable]:
    """In which zone a card's connections are tracked, from whichever side a frame comes, or that they are not."""
    zones = number((guest.port.id for guest in guests), FIRST_ZONE, LAST_ZONE)
    rules = []
    for guest in guests:
        tracked = guest.port.port_security and wanted[profiles.key(guest.port.security_groups)].stateful
        target = f"--zone {zones[guest.port.id]}" if tracked else "--notrack"
        for device in (names.hybrid_inner(guest.port.id), names.tap(guest.port.id)):
            rules.append(f"-m physdev --physdev-in {device} -j CT {target}")
    ours = f"{SHARED_MARK}PREROUTING"
    chains = Chain(name="PREROUTING", policy="ACCEPT", rules=(f"-j {ours}",)), Chain(name=ours, rules=tuple(rules))
    yield from (_table(version, "raw", chains) for version in (4, 6))


def _filter_chains(guests: Iterable[Guest], wanted: Mapping[str, Profile], version: int) -> Iterator[Chain]:
    forward, all_cards, local = [], [], []
    for guest in guests:
        tap = names.tap(guest.port.id)
        to, of = f"-m physdev --physdev-out {tap} {BRIDGED}", f"-m physdev --physdev-in {tap} {BRIDGED}"
        local.append(f"-m physdev --physdev-in {tap} -j DROP")
        if guest.port.port_security:
            forward += [f"{to} -j {ALL}", f"{of} -j {ALL}"]
            all_cards += [f"{to} -j {_chain(RECEIVED, guest)}", f"{of} -j {_chain(SENT, guest)}"]
            yield from _of_card(guest, wanted[profiles.key(guest.port.security_groups)], version)
        else:
            forward += [f"{to} -j ACCEPT", f"{of} -j ACCEPT"]
    for name, rules in (("INPUT", local), ("FORWARD", forward)):
        yield Chain(name=name, policy="ACCEPT", rules=(f"-j {SHARED_MARK}{name}",))
        yield Chain(name=f"{SHARED_MARK}{name}", rules=tuple(rules))
    yield Chain(name=ALL, rules=(*all_cards, *iptables_rules.accepted()))
    yield Chain(name=FALLBACK, rules=tuple(iptables_rules.refused()))


@lru_cache(maxsize=8192)
def _of_card(guest: Guest, profile: Profile, version: int) -> tuple[Chain, ...]:
    """The three chains of a card; from one plan to the next most are the same."""
    pairs = sorted({*guest.pairs, *((mac, matches.link_local(mac)) for mac in guest.macs)})
    check = _chain(ADDRESSES, guest)
    return (
        Chain(name=check, rules=tuple(iptables_rules.genuine(pairs, version))),
        Chain(
            name=_chain(SENT, guest),
            rules=tuple(iptables_rules.sent(profile, EGRESS, version, check, FALLBACK)),
        ),
        Chain(
            name=_chain(RECEIVED, guest),
            rules=tuple(iptables_rules.received(profile, INGRESS, version, FALLBACK)),
        ),
    )


def _chain(kind: str, guest: Guest) -> str:
    return f"{SHARED_MARK}{kind}{guest.port.id[:10]}"


def _sets(wanted: Iterable[Profile], intent: Intent) -> Iterator[IpSet]:
    """The sets that rules look into, also of members that are not known yet."""
    for profile in wanted:
        for direction in DIRECTIONS:
            for rule, _ in profile.rules(direction):
                if rule.remote_set:
                    id = rule.remote_set.removeprefix("addresses/")
                    members = intent.address_sets.get(id)
                    yield _set(id, rule.ip_version, members.prefixes if members else ())


@lru_cache(maxsize=1024)
def _set(id: str, version: int, prefixes: tuple[str, ...]) -> IpSet:
    own = [prefix for prefix in prefixes if matches.version(prefix) == version]
    members = tuple(sorted({member for prefix in own for member in _halves(prefix)}))
    return IpSet(name=set_name(id, version), family=version, members=members, origin=f"addresses/{id}")


def _halves(prefix: str) -> Iterator[str]:
    """The prefix as an ipset has it: the whole address space, which cannot be a member, is two."""
    network = ipaddress.ip_network(prefix, strict=False)
    if network.prefixlen == network.max_prefixlen:
        yield str(network.network_address)
    else:
        yield from map(str, [network] if network.prefixlen else network.subnets())
