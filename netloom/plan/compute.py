"""Instances of the standalone compute role, and their ports on br-int as os-vif makes them.

A port is plugged here and, from then on, kept by switching like one that a real Nova has plugged.
"""

from collections.abc import Iterator, Mapping

from netloom.feed.fragments import Nic as NicFragment
from netloom.feed.fragments import Port, Server
from netloom.plan import names
from netloom.plan.intent import Intent
from netloom.plan.plugging import external_ids
from netloom.plan.settings import PlanSettings
from netloom.plan.vlans import DEAD, port_config
from netloom.state import Element, Facts, Instance, Nic, SwitchPort


def plan(intent: Intent, facts: Facts, settings: PlanSettings, vlans: Mapping[str, int]) -> Iterator[Element]:
    """The instances of this host, and the cards of running ones that are not plugged yet; a stopped one has none."""
    for server in intent.servers.values():
        yield _instance(server)
        for nic in server.nics if server.running else ():
            port = intent.ports.get(nic.port_id)
            if port and nic.port_id not in facts.interfaces:
                yield _plug(server, nic, port, intent=intent, settings=settings, vlans=vlans)


def _instance(server: Server) -> Instance:
    return Instance(
        id=server.id,
        hostname=server.hostname,
        image=server.image_id,
        memory_mb=server.memory_mb,
        vcpus=server.vcpus,
        running=server.running,
        boot=server.boot,
        nics=tuple(
            Nic(port_id=nic.port_id, device=names.tap(nic.port_id), mac=nic.mac, mtu=nic.mtu) for nic in server.nics
        ),
        origin=server.name,
    )


def _plug(
    server: Server,
    nic: NicFragment,
    port: Port,
    *,
    intent: Intent,
    settings: PlanSettings,
    vlans: Mapping[str, int],
) -> SwitchPort:
    """A port that may not talk yet is plugged without a network."""
    network = intent.networks.get(port.network_id)
    talks = port.admin_state_up and port.host == settings.host
    return SwitchPort(
        bridge=settings.integration_bridge,
        name=names.tap(nic.port_id),
        tag=vlans[network.id] if network and talks else DEAD,
        external_ids=external_ids(nic.port_id, nic.mac, server.id),
        other_config=port_config(network) if network and talks else (),
        origin=server.name,
    )
