"""Tables 72 and 82: the rules of security groups, by profile.

A profile is the set of groups of a port. Stateful ones track connections in the zone of their network:
replies and related errors pass without a rule, a connection whose rule went away is marked and stops in
both directions. Stateless ones never look at connections: rules alone decide, for each direction.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from netloom.feed.fragments import SecurityGroup, SecurityRule
from netloom.plan import matches
from netloom.plan import pipeline as p
from netloom.plan.intent import Intent
from netloom.plan.numbers import number
from netloom.state import Flow

METADATA_ADDRESSES = ("169.254.169.254", "fe80::a9fe:a9fe")
METADATA_PORT = 80
SOLICITATIONS = (131, 132, 143, 133, 135)
"""ICMPv6 that a guest may send: multicast listener reports and done, router and neighbour solicitations."""


class Direction(NamedTuple):
    """One of the two rule tables."""

    name: str
    table: int
    accept: int
    remote: Literal["src", "dst"]


DIRECTIONS = (
    Direction("egress", p.RULES_EGRESS, p.ACCEPT_EGRESS, "dst"),
    Direction("ingress", p.RULES_INGRESS, p.ACCEPT_INGRESS, "src"),
)


@dataclass(frozen=True, slots=True)
class Profile:
    """The groups that apply together; a group that is not known yet has no rules."""

    register: int
    groups: tuple[SecurityGroup, ...]
    origin: str

    @property
    def stateful(self) -> bool:
        """A port has groups of one kind only; one without groups is stateful."""
        return all(group.stateful for group in self.groups)

    @property
    def match(self) -> str:
        return f"reg{p.REG_PROFILE}={self.register:#x}"

    def rules(self, direction: Direction) -> Iterator[tuple[SecurityRule, str]]:
        """Rules of one direction, each with the name of its group."""
        for group in self.groups:
            yield from ((rule, group.name) for rule in group.rules if rule.direction == direction.name)


def key(groups: Iterable[str]) -> str:
    """What names a profile: the ids of its groups; one group's own id, so that its number is easy to read."""
    return "+".join(sorted(set(groups)))


def profiles(keys: Iterable[str], intent: Intent) -> Mapping[str, Profile]:
    """Profiles by key."""
    found = {}
    for name, register in number(key or "none" for key in keys).items():
        ids = [] if name == "none" else name.split("+")
        groups = tuple(intent.security_groups[id] for id in ids if id in intent.security_groups)
        found["" if name == "none" else name] = Profile(register, groups, f"security_group/{ids[0]}" if ids else "")
    return found


def flows(wanted: Iterable[Profile], intent: Intent, bridge: str) -> Iterator[Flow]:
    """All flows of the rule tables for these profiles."""
    ordered = sorted(wanted, key=lambda profile: profile.register)
    for direction in DIRECTIONS:
        for profile in ordered:
            special = _tracking if profile.stateful else _untracked
            yield from special(profile, direction, bridge)
            yield from _plain_rules(profile, direction, bridge)
        yield from _conjunctions(ordered, intent, direction, bridge)
    for address in METADATA_ADDRESSES:
        match = (*_tcp(address), matches.address("dst", address), f"tp_dst={METADATA_PORT}")
        yield p.flow(bridge, p.RULES_EGRESS, p.METADATA, match, p.resubmit(p.ACCEPT_EGRESS))
    for kind in SOLICITATIONS:
        solicitation = f"icmp6,icmp_type={kind}"
        yield p.flow(bridge, p.RULES_EGRESS, p.NEIGHBOUR, solicitation, p.resubmit(p.ACCEPT_EGRESS))


def _tracking(profile: Profile, direction: Direction, bridge: str) -> Iterator[Flow]:
    """What connection tracking decides before and after the rules."""

    def flow(priority: int, match: tuple[str, ...], actions: str) -> Flow:
        return p.flow(bridge, direction.table, priority, (*match, profile.match), actions, origin=profile.origin)

    accept = p.resubmit(direction.accept)
    revoke = f"ct(commit,{p.ZONE},exec(load:{p.MARK_REVOKED:#x}->NXM_NX_CT_MARK[]))"
    for ip in ("ip", "ipv6"):
        yield flow(p.UNTRACKED, ("ct_state=-trk", ip), f"ct(table={direction.table},{p.ZONE})")
        yield flow(p.NO_RULE, ("ct_state=+est-rpl+trk", ip), revoke)
    yield flow(p.INVALID, ("ct_state=+inv+trk",), "drop")
    yield flow(p.REPLY, ("ct_state=+est+rpl+trk", "ct_mark=0"), accept)
    yield flow(p.REPLY, ("ct_state=+rel+trk", "ct_mark=0"), accept)
    yield flow(p.REVOKED, ("ct_state=+rpl+trk",), "drop")
    yield flow(p.REVOKED, ("ct_state=+rel+trk",), "drop")


def _untracked(profile: Profile, direction: Direction, bridge: str) -> Iterator[Flow]:
    """Metadata's replies, which no connection tracking lets in."""
    if direction.remote == "src":
        for address in METADATA_ADDRESSES:
            match = (*_tcp(address), profile.match, matches.address("src", address), f"tp_src={METADATA_PORT}")
            accept = p.resubmit(direction.accept)
            yield p.flow(bridge, direction.table, p.METADATA, match, accept, origin=profile.origin)


def _plain_rules(profile: Profile, direction: Direction, bridge: str) -> Iterator[Flow]:
    """Rules for everybody or for a prefix: a flow for each mask of their ports."""
    seen = set()
    for rule, origin in profile.rules(direction):
        if rule.remote_set:
            continue
        remote = matches.address(direction.remote, rule.remote_prefix) if rule.remote_prefix else ""
        for protocol, *rest in matches.of_rule(rule):
            match = (protocol, profile.match, remote, *rest)
            if match not in seen:
                seen.add(match)
                yield p.flow(bridge, direction.table, p.RULE, match, p.resubmit(direction.accept), origin=origin)


def _conjunctions(ordered: Iterable[Profile], intent: Intent, direction: Direction, bridge: str) -> Iterator[Flow]:
    """Rules for remote sets: (address of the set) and (protocol and ports of a profile), by the set's number.

    One conjunction a set is enough for all profiles, because the second clause holds the profile.
    """
    clauses: dict[tuple[str, ...], tuple[set[str], str]] = {}
    versions: dict[str, set[int]] = {}
    for profile in ordered:
        for rule, origin in profile.rules(direction):
            if rule.remote_set:
                versions.setdefault(rule.remote_set, set()).add(rule.ip_version)
                for protocol, *rest in matches.of_rule(rule):
                    clauses.setdefault((protocol, profile.match, *rest), (set(), origin))[0].add(rule.remote_set)
    numbers = _set_numbers(versions)
    addresses: dict[tuple[str, ...], tuple[set[str], str]] = {}
    for name, wanted in sorted(versions.items()):
        members = intent.address_sets.get(_set_id(name))
        for prefix in members.prefixes if members else ():
            if matches.version(prefix) in wanted:
                where = (matches.ethertype(matches.version(prefix)), matches.address(direction.remote, prefix))
                addresses.setdefault(where, (set(), f"addresses/{_set_id(name)}"))[0].add(name)
    for dimension, parts in ((1, addresses), (2, clauses)):
        for match, (names, origin) in parts.items():
            actions = p.actions(*sorted(f"conjunction({numbers[name]},{dimension}/2)" for name in names))
            yield p.flow(bridge, direction.table, p.RULE_REMOTE_SET, match, actions, origin=origin)
    for name, conjunction in numbers.items():
        origin, both = f"addresses/{_set_id(name)}", f"conj_id={conjunction}"
        yield p.flow(bridge, direction.table, p.RULE_REMOTE_SET, both, p.resubmit(direction.accept), origin=origin)


def _set_numbers(names: Iterable[str]) -> Mapping[str, int]:
    by_id = {_set_id(name): name for name in names}
    return {by_id[id]: value for id, value in number(by_id).items()}


def _set_id(name: str) -> str:
    return name.removeprefix("addresses/")


def _tcp(address: str) -> tuple[str]:
    return ("tcp",) if matches.version(address) == 4 else ("tcp6",)
