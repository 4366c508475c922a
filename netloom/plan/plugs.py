"""Where an instance's card meets Open vSwitch: by which device, on which bridge, and as what on br-int.

The card of an ordinary port is on br-int. That of a trunk's parent is on the trunk's own bridge, from which patches
lead to br-int, one for the parent and one for each sub-port: on br-int a patch is what a card is elsewhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from netloom.feed.fragments import Port, SubPort, Trunk
from netloom.plan import names
from netloom.plan.intent import Intent
from netloom.plan.settings import PlanSettings
from netloom.state import Facts, Interface

HYBRID = "iptables_hybrid"
"""The firewall driver with a Linux bridge between an instance and the switch."""


@dataclass(frozen=True, slots=True)
class Plug:
    """What stands on br-int for a port whose instance is plugged."""

    device: str
    """A card, or the end of a patch."""
    port_id: str
    mac: str
    origin: str
    peer: str = ""
    """Other end of the patch, on the trunk's bridge; empty for a card."""


def device(port_id: str, settings: PlanSettings) -> str:
    """Device that an instance's card is for Open vSwitch: its tap, or what leads to its Linux bridge."""
    return names.hybrid_outer(port_id) if settings.firewall_driver == HYBRID else names.tap(port_id)


def bridge(port_id: str, intent: Intent, settings: PlanSettings) -> str:
    """Bridge that this device belongs on."""
    trunk = intent.trunk_of.get(port_id)
    return names.trunk_bridge(trunk.id) if trunk and trunk.port_id == port_id else settings.integration_bridge


def plugged(intent: Intent, facts: Facts, settings: PlanSettings) -> Mapping[str, Plug]:
    """What stands on br-int for each port that is plugged there, by port id. Sub-ports are when their parent is."""
    here = ("", settings.integration_bridge)
    cards = (card for card in facts.interfaces.values() if card.bridge in here)
    plugs = {card.port_id: Plug(card.device, card.port_id, card.mac, f"port/{card.port_id}") for card in cards}
    for trunk in intent.trunks.values():
        if card := card_of(trunk, intent, facts):
            plugs |= {plug.port_id: plug for plug in _patches(trunk, card.mac, intent)}
    return plugs


def filterable(port: Port, facts: Facts, settings: PlanSettings) -> bool:
    """Whether the firewall can filter a port as it is plugged: iptables need a Linux bridge between it and the switch.

    Sub-ports of trunks have no card; flows filter them.
    """
    card = facts.interfaces.get(port.id)
    unfiltered = settings.firewall_driver != HYBRID or not port.port_security
    return unfiltered or card is None or card.device == names.hybrid_outer(port.id)


def usable(intent: Intent, facts: Facts, settings: PlanSettings) -> Facts:
    """The facts without the cards that cannot be filtered: they are as good as not plugged."""
    ports = intent.ports
    there = {
        id: card for id, card in facts.interfaces.items() if id not in ports or filterable(ports[id], facts, settings)
    }
    return replace(facts, interfaces=there)


def card_of(trunk: Trunk, intent: Intent, facts: Facts) -> Interface | None:
    """The card of a trunk's parent, once it is on the trunk's bridge; nothing is made for a trunk before."""
    known = trunk.port_id in intent.ports and intent.trunk_of[trunk.port_id] is trunk
    return on_its_bridge(trunk, facts) if known else None


def on_its_bridge(trunk: Trunk, facts: Facts) -> Interface | None:
    """The card of a trunk's parent, when it is where Nova plugs it in answer to ``vif_details``."""
    card = facts.interfaces.get(trunk.port_id)
    return card if card and card.bridge in ("", names.trunk_bridge(trunk.id)) else None


def sub_ports(trunk: Trunk, intent: Intent) -> Iterator[tuple[SubPort, Port]]:
    """The sub-ports of a trunk that are known as ports, too.

    News come piece by piece: for a moment two trunks may have one port, and one of them is as good as the other.
    """
    for sub in trunk.sub_ports:
        port = intent.ports.get(sub.port_id)
        if port and intent.trunk_of[port.id] is trunk:
            yield sub, port


def _patches(trunk: Trunk, mac: str, intent: Intent) -> Iterator[Plug]:
    """Of the parent and the sub-ports. ``mac`` is that of the parent's card."""
    here, there = names.parent_on_integration(trunk.port_id), names.parent_on_trunk(trunk.port_id)
    yield Plug(here, trunk.port_id, mac, trunk.name, there)
    for _, port in sub_ports(trunk, intent):
        here, there = names.sub_port_on_integration(port.id), names.sub_port_on_trunk(port.id)
        yield Plug(here, port.id, port.mac.lower(), port.name, there)
