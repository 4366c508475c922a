"""How a port comes to a bridge: by an instance's card, by a patch, or by a veth pair into a namespace of a service."""

from collections.abc import Iterator, Mapping

from netloom.feed.fragments import Network, Port
from netloom.plan import vlans as local_vlans
from netloom.plan.intent import Intent
from netloom.plan.settings import PlanSettings
from netloom.state import Element, SwitchPort, Veth


def external_ids(port_id: str, mac: str, instance: str = "") -> tuple[tuple[str, str], ...]:
    """Of an interface, as os-vif writes them; ``instance`` is the id of the one behind it, empty for a service."""
    ids = (("attached-mac", mac), ("iface-id", port_id), ("iface-status", "active"))
    return (*ids, ("vm-uuid", instance)) if instance else ids


def of_card(port: Port, mac: str, intent: Intent) -> tuple[tuple[str, str], ...]:
    """``external_ids`` of a card that we plug for an instance of our own or a load balancer.

    What others plug bears what they wrote.
    """
    if port.id in intent.balancer_ports:
        return external_ids(port.id, mac)
    return external_ids(port.id, mac, port.device_id) if port.device_id in intent.servers else ()


def into_namespace(
    *,
    device: str,
    namespace: str,
    port_id: str,
    mac: str,
    network: Network,
    settings: PlanSettings,
    vlans: Mapping[str, int],
    origin: str,
) -> Iterator[Element]:
    """A veth pair from br-int into a namespace; both ends bear the name of the device."""
    yield Veth(name=device, namespace=namespace, mac=mac, mtu=network.mtu, origin=origin)
    yield SwitchPort(
        bridge=settings.integration_bridge,
        name=device,
        tag=vlans[network.id],
        external_ids=external_ids(port_id, mac),
        other_config=local_vlans.port_config(network),
        origin=origin,
    )
