"""What became of each fragment: applied, waiting for something, or failed and why."""

from collections.abc import Collection, Mapping
from typing import Literal

from netloom.feed.fragments import Fragment, LoadBalancer, Network, Port, Trunk
from netloom.feed.protocol import Status
from netloom.plan import names
from netloom.plan.intent import by_port
from netloom.plan.plugs import on_its_bridge
from netloom.state import Facts, Failure

HOSTWIDE = ""
"""Origin of elements that no single fragment asked for, such as br-int."""


def judge(
    fragments: Mapping[str, Fragment],
    versions: Mapping[str, str],
    facts: Facts,
    failures: Collection[Failure],
    host: str,
) -> dict[str, Status]:
    """The status of every fragment after an apply.

    A failure of something hostwide (br-int) concerns the ports of this host, whose traffic it carries; that of a
    network, of a physical network's bridge or of a trunk concerns the ports in it, and that of a port the load balancer
    whose card it is.
    """
    trunks = by_port(fragment for fragment in fragments.values() if isinstance(fragment, Trunk))
    reasons: dict[str, str] = {}
    for failure in failures:
        reasons.setdefault(failure.origin, f"{' '.join(failure.element.split(' ', 2)[:2])}: {failure.reason}")
    statuses = {}
    for name, fragment in fragments.items():
        if (version := versions.get(name)) is not None:
            trunk = trunks.get(fragment.id) if isinstance(fragment, Port) else None
            reason = _reason(fragment, trunk, fragments, reasons, host)
            missing = _missing(fragment, trunk, facts, host) if reason is None else None
            state: Literal["applied", "waiting", "failed"] = "failed" if reason else "waiting" if missing else "applied"
            revision = fragment.revision if isinstance(fragment, LoadBalancer) else 0
            statuses[name] = Status(name, version, state, reason or missing or "", revision)
    return statuses


def _reason(
    fragment: Fragment, trunk: Trunk | None, fragments: Mapping[str, Fragment], reasons: Mapping[str, str], host: str
) -> str | None:
    """Why a fragment is not applied, as far as something failed."""
    origins = [fragment.name]
    if isinstance(fragment, LoadBalancer):
        card = fragments.get(f"port/{_card(fragment, host)}")
        origins += [*([card.name] if card else []), f"network/{fragment.vip.network_id}", HOSTWIDE]
    if isinstance(fragment, Port) and fragment.host == host:
        network = fragments.get(f"network/{fragment.network_id}")
        if isinstance(network, Network):
            origins += [names.origin_of_physical(network.physical_network), network.name]
        origins += [trunk.name, HOSTWIDE] if trunk else [HOSTWIDE]
    return next((reasons[origin] for origin in origins if origin in reasons), None)


def _card(balancer: LoadBalancer, host: str) -> str:
    """Id of the port whose device is a balancer's card on this host; empty when it has none."""
    if balancer.ha is None:
        return balancer.vip.port_id
    return next((port.port_id for port in balancer.ha.ports if port.host == host), "")


def _missing(fragment: Fragment, trunk: Trunk | None, facts: Facts, host: str) -> str | None:
    """What a fragment waits for. A trunk and its sub-ports wait for the card of the parent."""
    if isinstance(fragment, Port):
        if fragment.host != host or not _must_be_plugged(fragment):
            return None
        behind = trunk if trunk and trunk.port_id != fragment.id else None
    elif isinstance(fragment, Trunk):
        behind = fragment
    else:
        return None
    if behind:
        where = f"on bridge {names.trunk_bridge(behind.id)} for the parent of trunk {behind.id}"
        return None if on_its_bridge(behind, facts) else f"no interface is plugged {where} (iface-id {behind.port_id})"
    there = fragment.id in facts.interfaces
    return None if there else f"no interface is plugged for it ({names.tap(fragment.id)}, iface-id {fragment.id})"


def _must_be_plugged(port: Port) -> bool:
    """Whether somebody else (compute) brings the port's device; those of routers and DHCP are ours."""
    return not port.device_owner.startswith("network:")
