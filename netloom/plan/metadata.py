"""The metadata proxy: one haproxy for the whole host, with a frontend in each namespace that needs one.

It tells the responder (netloom/agent/metadata.py) behind its UNIX socket through which router or network a
request came, as nothing else tells two instances of the same address apart, and lets no client say so itself.
Its master keeps root, as entering namespaces needs it; the workers that read requests do not.
A reload hands listening sockets on by the name of their namespace, and the old worker holds a deleted namespace
until then: one that is made anew under its name is served after a reload without it, or a restart.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from netloom.feed.fragments import Router
from netloom.plan import names
from netloom.plan.dhcp import Service, services
from netloom.plan.intent import Intent
from netloom.plan.nat import METADATA_PORT
from netloom.plan.routing import active, interfaces
from netloom.plan.settings import PlanSettings
from netloom.state import Address, Daemon, Element, Facts, File, Sysctl

ADDRESS4 = "169.254.169.254"
ADDRESS6 = "fe80::a9fe:a9fe"
SOCKET = "metadata.sock"
"""Of the responder, in the agent's run directory, which is the proxy's working directory."""
IDENTITY_HEADERS = (
    "X-Neutron-Router-ID",
    "X-Neutron-Network-ID",
    "X-Forwarded-For",
    "X-Instance-ID",
    "X-Instance-ID-Signature",
    "X-Tenant-ID",
)
CONNECTIONS_TO_RESPONDER = 64
"""Requests that it answers at once; more wait in the proxy."""
HEAD = """\
global
    user {user}
    group {group}
    maxconn 4096
    hard-stop-after 60s
defaults
    mode http
    option forwardfor
    timeout connect 30s
    timeout client 32s
    timeout server 32s
    timeout http-request 30s
    timeout http-keep-alive 30s
backend responder
    server responder unix@{socket} maxconn {connections}
"""


@dataclass(frozen=True, slots=True)
class _Frontend:
    namespace: str
    header: str
    binds: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"frontend {self.namespace}"]
        lines += [f"    bind {bind} namespace {self.namespace}" for bind in self.binds]
        lines += [f"    http-request del-header {name}" for name in IDENTITY_HEADERS]
        lines += [f"    http-request set-header {self.header}", "    default_backend responder", ""]
        return "\n".join(lines)


def plan(intent: Intent, facts: Facts, settings: PlanSettings, vlans: Mapping[str, int]) -> Iterator[Element]:
    """Addresses in the namespaces, and the proxy with its configuration; nothing when nobody needs it."""
    yield from _addresses(intent, settings)
    frontends = [*_routers(intent, settings), *_networks(intent, settings)]
    if not frontends:
        return
    head = HEAD.format(
        user=settings.metadata_proxy_user,
        group=settings.metadata_proxy_group,
        socket=SOCKET,
        connections=CONNECTIONS_TO_RESPONDER,
    )
    config = File(path="metadata/haproxy.cfg", text=head + "".join(map(str, frontends)))
    yield config
    yield Daemon(
        name="haproxy-metadata",
        namespace="",
        argv=("haproxy", "-W", "-C", "{run}", "-f", f"{{state}}/{config.path}"),
        reloads=config.digest,
        reload_signal="USR2",
    )


def _routers(intent: Intent, settings: PlanSettings) -> Iterator[_Frontend]:
    for router in active(intent) if settings.enable_metadata_proxy else ():
        bind6 = [_bind6(device) for device, port in interfaces(router, intent) if _has_ipv6(port.addresses)]
        yield _Frontend(
            namespace=names.router_namespace(router.id),
            header=f"X-Neutron-Router-ID {router.id}",
            binds=(f"0.0.0.0:{METADATA_PORT}", *bind6),  # of the namespace; its filter guards it
        )


def _networks(intent: Intent, settings: PlanSettings) -> Iterator[_Frontend]:
    for service in _proxied(intent, settings):
        bind6 = [_bind6(service.device)] if _has_ipv6(service.metadata(settings).values()) else []
        yield _Frontend(
            namespace=service.namespace,
            header=f"X-Neutron-Network-ID {service.network.id}",
            binds=(f"{ADDRESS4}:80", *bind6),
        )


def _addresses(intent: Intent, settings: PlanSettings) -> Iterator[Element]:
    for router in active(intent):
        namespace = names.router_namespace(router.id)
        for device, cidr in of_router(router, intent, settings):
            yield _may_bind(namespace, router.name)
            if router.ha is None:
                yield Address(namespace=namespace, device=device, cidr=cidr, origin=router.name)
    for service in _proxied(intent, settings):
        # Other servers of the network have these addresses, too, and each is as good as the others.
        namespace, device, origin = service.namespace, service.device, service.dhcp.name
        yield Address(namespace=namespace, device=device, cidr=f"{ADDRESS4}/32", origin=origin)
        if _has_ipv6(service.metadata(settings).values()):
            yield _may_bind(namespace, origin)
            yield Address(namespace=namespace, device=device, cidr=f"{ADDRESS6}/64", origin=origin)


def of_router(router: Router, intent: Intent, settings: PlanSettings) -> Iterator[tuple[str, str]]:
    """(Device, address with prefix length) of the service in a router's namespace.

    Where other hosts carry the router, too, they belong to the active one alone, as all its addresses do.
    """
    for device, port in interfaces(router, intent) if settings.enable_metadata_proxy else ():
        if _has_ipv6(port.addresses):
            yield device, f"{ADDRESS6}/64"


def _proxied(intent: Intent, settings: PlanSettings) -> Iterator[Service]:
    return (service for service in services(intent, settings) if service.metadata(settings))


def _may_bind(namespace: str, origin: str) -> Sysctl:
    """The proxy starts also where the address is not there yet, as in the namespace of a router's standby."""
    return Sysctl(namespace=namespace, name="net/ipv6/ip_nonlocal_bind", value="1", origin=origin)


def _bind6(device: str) -> str:
    return f"{ADDRESS6}:80 interface {device}"


def _has_ipv6(addresses: Iterable[str]) -> bool:
    return any(":" in address for address in addresses)
