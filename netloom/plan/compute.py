"""Instances of the standalone compute role, and their ports on the switch as os-vif makes them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from netloom.feed.fragments import Server
from netloom.plan import names, plugs
from netloom.plan.intent import Intent
from netloom.plan.settings import PlanSettings
from netloom.state import Element, Facts, Instance, Interface, Nic


def plan(intent: Intent, facts: Facts, settings: PlanSettings, vlans: Mapping[str, int]) -> Iterator[Element]:
    """The instances of this host. Ports of their cards are planned by switching, like those that Nova plugs."""
    yield from map(_instance, intent.servers.values())


def expected(intent: Intent, facts: Facts, settings: PlanSettings) -> Facts:
    """The facts as they will be once the instances of this plan run.

    Their cards count as plugged, so that flows are there before a guest sends its first packet; those of
    instances that are to stop, or to go, count no more.
    """
    cards = {
        nic.port_id: Interface(plugs.device(nic.port_id, settings), nic.port_id, nic.mac.lower())
        for server in intent.servers.values()
        for nic in server.nics
        if server.running
    }
    others = {port_id: there for port_id, there in facts.interfaces.items() if not there.ours}
    return replace(facts, interfaces=others | cards)


def _instance(server: Server) -> Instance:
    return Instance(
        id=server.id,
        # The kernel takes no more (see sethostname(2)); the domain is for name services.
        hostname=server.hostname.partition(".")[0][:64],
        image=server.image_id,
        memory_mb=server.memory_mb,
        vcpus=server.vcpus,
        running=server.running,
        boot=server.boot,
        life=server.life,
        hypervisor_type=server.hypervisor_type,
        nics=tuple(
            Nic(port_id=nic.port_id, device=names.tap(nic.port_id), mac=nic.mac, mtu=nic.mtu) for nic in server.nics
        ),
        origin=server.name,
    )
