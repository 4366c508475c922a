"""The hybrid plug: a Linux bridge between an instance's card and the switch, where iptables see what passes.

::

    instance ── tapP ── qbrP ── qvbP ═ qvoP ── br-int, or the bridge of a trunk

Nova plugs its instances so when ``vif_details`` say ``ovs_hybrid_plug``; here it is done for our own.
"""

from collections.abc import Iterator, Mapping

from netloom.plan import names, plugs
from netloom.plan.intent import Intent
from netloom.plan.settings import PlanSettings
from netloom.state import Element, Facts, LinuxBridge


def plan(intent: Intent, facts: Facts, settings: PlanSettings, vlans: Mapping[str, int]) -> Iterator[Element]:
    """The Linux bridges of the cards of running instances, where iptables are the firewall."""
    if settings.firewall_driver == plugs.HYBRID:
        for server in intent.servers.values():
            for nic in server.nics if server.running else ():
                yield LinuxBridge(
                    name=names.hybrid_bridge(nic.port_id),
                    card=names.tap(nic.port_id),
                    inner=names.hybrid_inner(nic.port_id),
                    outer=names.hybrid_outer(nic.port_id),
                    mtu=nic.mtu,
                    origin=f"port/{nic.port_id}",
                )
