"""What is attached to br-int: the guests that somebody plugged, and the devices that we make for services.

Each sub-port of a trunk is a guest of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from netloom.feed.fragments import Port, Router
from netloom.plan import dhcp, names, plugs, routing
from netloom.plan.intent import Intent
from netloom.plan.plugs import Plug
from netloom.plan.settings import PlanSettings
from netloom.state import Facts


@dataclass(frozen=True, slots=True)
class Service:
    """A device of a router or a DHCP server: trusted, neither filtered nor checked."""

    device: str
    port_id: str
    network_id: str
    mac: str
    origin: str
    shared: bool = False
    """Other hosts have a device of the same MAC: only the active one of them answers."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A plugged port that belongs here and is up."""

    plug: Plug
    port: Port

    @property
    def device(self) -> str:
        return self.plug.device

    @property
    def origin(self) -> str:
        return self.port.name

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(MAC, address or prefix) that it may send from, sorted, without the link-local addresses of its MACs."""
        own = {(self.port.mac.lower(), ip.address) for ip in self.port.fixed_ips}
        return tuple(sorted(own | {(pair.mac.lower(), pair.prefix) for pair in self.port.address_pairs}))

    @property
    def macs(self) -> tuple[str, ...]:
        """MACs that it may send from, its own first."""
        own = self.port.mac.lower()
        return (own, *sorted({mac for mac, _ in self.pairs} - {own}))


def services(intent: Intent, settings: PlanSettings) -> Iterator[Service]:
    """Devices that other planners make on this host for networks that are known."""
    for router in routing.active(intent):
        shared = router.ha is not None
        for device, port in routing.devices(router, intent):
            yield Service(device, port.port_id, port.network_id, port.mac.lower(), router.name, shared)
        elector = _elector(router, intent, settings)
        if elector:
            yield elector
    for served in dhcp.services(intent, settings):
        yield Service(served.device, served.port.id, served.network.id, served.port.mac.lower(), served.dhcp.name)


def _elector(router: Router, intent: Intent, settings: PlanSettings) -> Service | None:
    """The device by which a router of several hosts takes part here in the election of the active one."""
    group = router.ha
    if group is None or group.network_id not in intent.networks:
        return None
    for port in group.ports:
        if port.host == settings.host:
            device = names.router_ha(port.port_id)
            return Service(device, port.port_id, group.network_id, port.mac.lower(), router.name)
    return None


def guests(intent: Intent, facts: Facts, settings: PlanSettings) -> Iterator[Guest]:
    """Plugged ports that may talk, in the order of their ids."""
    for plug in _plugged(intent, facts, settings):
        port = intent.ports.get(plug.port_id)
        known = port and port.host == settings.host and port.network_id in intent.networks
        if port and known and port.admin_state_up and plugs.filterable(port, facts, settings):
            yield Guest(plug, port)


def strangers(intent: Intent, facts: Facts, settings: PlanSettings) -> Iterator[Plug]:
    """Plugged ports that may not talk.

    They are bound elsewhere or administratively down, their network or the port itself is unknown, or the firewall
    cannot filter what they say.
    """
    known = {guest.port.id for guest in guests(intent, facts, settings)}
    return (plug for plug in _plugged(intent, facts, settings) if plug.port_id not in known)


def networks_in_use(intent: Intent, settings: PlanSettings) -> set[str]:
    """Ids of the networks that need a local VLAN here: those of bound ports, plugged or not, and of services."""
    wanted = {port.network_id for port in intent.ports_on(settings.host)}
    wanted |= {service.network_id for service in services(intent, settings)}
    return wanted & intent.networks.keys()


def _plugged(intent: Intent, facts: Facts, settings: PlanSettings) -> Iterator[Plug]:
    ours = {service.port_id for service in services(intent, settings)}
    there = plugs.plugged(intent, facts, settings)
    return (there[port_id] for port_id in sorted(there) if port_id not in ours)
