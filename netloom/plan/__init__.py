"""What a host must look like: pure functions from intent to a host's state.

No I/O, no clock, no randomness: equal input gives an equal plan, whatever the order in which it came.
"""

from netloom.plan import (
    advertise,
    attachments,
    compute,
    dhcp,
    firewall,
    ha,
    hybrid,
    iptables_firewall,
    loadbalancers,
    metadata,
    nat,
    routing,
    switching,
    trunk_firewall,
    trunks,
    tunnels,
    vlans,
)
from netloom.plan.intent import Intent
from netloom.plan.settings import PlanSettings
from netloom.state import Facts, HostState

__all__ = ["Intent", "PlanSettings", "plan"]

PLANNERS = (
    switching.plan,
    trunks.plan,
    trunk_firewall.plan,
    firewall.plan,
    iptables_firewall.plan,
    hybrid.plan,
    tunnels.plan,
    routing.plan,
    ha.plan,
    nat.plan,
    advertise.plan,
    dhcp.plan,
    metadata.plan,
    loadbalancers.plan,
    compute.plan,
)


def plan(intent: Intent, facts: Facts, settings: PlanSettings) -> HostState:
    """The state that a host must have.

    Raises:
        ValueError: two planners disagree, or the host has more networks than local VLANs.
    """
    facts = loadbalancers.expected(intent, compute.expected(intent, facts, settings), settings)
    local = vlans.assign(attachments.networks_in_use(intent, settings), facts.vlans)
    state = HostState()
    for planner in PLANNERS:
        state.update(planner(intent, facts, settings, local))
    return state
