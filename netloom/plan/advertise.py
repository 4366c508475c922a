"""Router advertisements: one radvd per router with an IPv6 subnet that wants them (RFC 4861, 4862, 8106).

They come from the link-local address that belongs to each interface's MAC. Where several hosts carry the router,
the active one alone has it; the daemons of the others wait for it.
"""

from collections.abc import Iterator, Mapping

from netloom.feed.fragments import Network, Router, RouterPort, Subnet
from netloom.plan import names, routing
from netloom.plan.intent import Intent
from netloom.plan.routing import active, interfaces
from netloom.plan.settings import PlanSettings
from netloom.state import Daemon, Element, Facts, File


def plan(intent: Intent, facts: Facts, settings: PlanSettings, vlans: Mapping[str, int]) -> Iterator[Element]:
    """Configuration and process of each router that advertises something."""
    for router in active(intent):
        stanzas = [
            _interface(device, port, intent.networks[port.network_id], subnets, settings)
            for device, port in interfaces(router, intent)
            if (subnets := _advertised(port, intent.networks[port.network_id]))
        ]
        if stanzas:
            yield from _daemon(router, "".join(stanzas), settings)


def _advertised(port: RouterPort, network: Network) -> list[Subnet]:
    return [subnet for subnet in network.subnets if subnet.id in port.subnets and subnet.ra_mode]


def _daemon(router: Router, text: str, settings: PlanSettings) -> Iterator[Element]:
    config = File(path=f"radvd/{router.id}.conf", text=text, origin=router.name)
    yield config
    yield Daemon(
        name=f"radvd-{router.id}",
        namespace=names.router_namespace(router.id),
        argv=(
            "radvd",
            "--nodaemon",
            "--logmethod=stderr_clean",
            f"--username={settings.radvd_user}",
            f"--pidfile={{run}}/radvd-{router.id}.pid",
            f"--config={{state}}/{config.path}",
        ),
        reloads=config.digest,
        # The last words of a daemon that is asked to end withdraw the router, which other hosts still carry.
        stop_signal="KILL" if router.ha else "TERM",
        origin=router.name,
    )


def _interface(device: str, port: RouterPort, network: Network, subnets: list[Subnet], settings: PlanSettings) -> str:
    modes = {subnet.ra_mode for subnet in subnets}
    servers = list(dict.fromkeys(server for subnet in subnets for server in subnet.dns_nameservers if ":" in server))
    lines = [
        "AdvSendAdvert on;",
        f"MinRtrAdvInterval {settings.min_rtr_adv_interval};",
        f"MaxRtrAdvInterval {settings.max_rtr_adv_interval};",
        f"AdvLinkMTU {network.mtu};",
        *(["AdvManagedFlag on;"] if "dhcpv6-stateful" in modes else []),
        *(["AdvOtherConfigFlag on;"] if "dhcpv6-stateless" in modes else []),
        *([f"RDNSS {' '.join(servers)} {{}};"] if servers else []),
        *(line for subnet in subnets for line in _prefix(subnet)),
        # Not that of the metadata service, which DHCP servers have, too.
        f"AdvRASrcAddress {{ {routing.link_local(port.mac)}; }};",
    ]
    return "\n".join([f"interface {device} {{", *(f"    {line}" for line in lines), "};", ""])


def _prefix(subnet: Subnet) -> list[str]:
    autonomous = "off" if subnet.ra_mode == "dhcpv6-stateful" else "on"
    return [f"prefix {subnet.cidr} {{", "    AdvOnLink on;", f"    AdvAutonomous {autonomous};", "};"]
