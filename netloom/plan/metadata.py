"""The metadata proxy: one haproxy for the whole host, with a frontend in each namespace that needs one.

It tells the responder (netloom/agent/metadata.py) behind its UNIX socket through which router or network a
request came, as nothing else tells two instances of the same address apart, and refuses who says so itself.
Its master keeps root, as entering namespaces needs it; the workers that read requests do not.
It is told of a namespace once that is there, so that one that cannot be made takes nothing from the others.
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
ROUTER_HEADER, NETWORK_HEADER = "X-Neutron-Router-ID", "X-Neutron-Network-ID"
IDENTITY_HEADERS = (ROUTER_HEADER, NETWORK_HEADER, "X-Instance-ID", "X-Instance-ID-Signature", "X-Tenant-ID")
"""What the service believes: no honest instance sends them, so one that does is refused."""
FORWARDED_HEADER = "X-Forwarded-For"
"""Another one that it believes, but a web proxy that an instance asks through adds it in good faith: overwritten."""
CONNECTIONS_TO_RESPONDER = 64
"""Requests that it answers at once; more wait in the proxy."""
CONNECTIONS, OF_ONE_NAMESPACE = 4096, 1024
"""Of instances at a time; more wait in the kernel. Those of one network leave room for the others'."""
HEAD = """\
global
    user {user}
    group {group}
    maxconn {connections}
    hard-stop-after 60s
defaults
    mode http
    maxconn {of_one_namespace}
    option forwardfor
    timeout connect 30s
    timeout client 32s
    timeout server 32s
    timeout http-request 30s
    timeout http-keep-alive 30s
backend responder
    retry-on conn-failure empty-response
    http-request disable-l7-retry unless METH_GET
    server responder unix@{socket} maxconn {connections_to_responder}
"""


@dataclass(frozen=True, slots=True)
class _Frontend:
    name: str
    namespace: str
    header: str
    binds: tuple[str, ...]

    def text(self, inode: int) -> str:
        """Its configuration, with the inode of its namespace."""
        lines = [f"frontend {self.name}"]
        lines += [f"    bind {bind} namespace {_path(self.namespace, inode)}" for bind in self.binds]
        lines += [f"    acl forged req.fhdr_cnt({name}) gt 0" for name in IDENTITY_HEADERS]
        lines += [
            "    http-request deny deny_status 403 if forged",
            f"    http-request del-header {FORWARDED_HEADER}",
            f"    http-request set-header {self.header}",
            "    default_backend responder",
            "",
        ]
        return "\n".join(lines)


def plan(intent: Intent, facts: Facts, settings: PlanSettings, vlans: Mapping[str, int]) -> Iterator[Element]:
    """Addresses in the namespaces, and the proxy with its configuration; nothing when nobody needs it."""
    yield from _addresses(intent, settings)
    there = facts.namespaces
    wanted = [*_routers(intent, settings), *_networks(intent, settings)]
    frontends = [each.text(there[each.namespace]) for each in wanted if each.namespace in there]
    if not frontends:
        return
    head = HEAD.format(
        user=settings.metadata_proxy_user,
        group=settings.metadata_proxy_group,
        socket=SOCKET,
        connections=CONNECTIONS,
        of_one_namespace=OF_ONE_NAMESPACE,
        connections_to_responder=CONNECTIONS_TO_RESPONDER,
    )
    config = File(path="metadata/haproxy.cfg", text=head + "".join(frontends))
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
        namespace = names.router_namespace(router.id)
        # All addresses of the namespace; its filter guards them.
        yield _Frontend(namespace, namespace, f"{ROUTER_HEADER} {router.id}", (f"0.0.0.0:{METADATA_PORT}",))
        for device, port in interfaces(router, intent):
            # Link-local addresses are unique on a network alone, not among those of a router.
            if _has_ipv6(port.addresses):
                header = f"{NETWORK_HEADER} {port.network_id}"
                yield _Frontend(f"{namespace}-{device}", namespace, header, (_bind6(device),))


def _networks(intent: Intent, settings: PlanSettings) -> Iterator[_Frontend]:
    for service in _proxied(intent, settings):
        bind6 = [_bind6(service.device)] if _has_ipv6(service.metadata(settings).values()) else []
        header = f"{NETWORK_HEADER} {service.network.id}"
        yield _Frontend(service.namespace, service.namespace, header, (f"{ADDRESS4}:80", *bind6))


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


def _path(namespace: str, inode: int) -> str:
    """A path of a namespace, below the directory of all, that no other of its name had.

    At a reload haproxy takes over the sockets of the worker before that are in a namespace of the same path, and those
    of a namespace that was made anew since hear nothing. Dots and slashes that change nothing for the kernel tell
    them apart; nothing else has the inode of the former for as long as the worker holds it.
    """
    return "".join("./" if bit == "1" else "/" for bit in f"{inode:b}") + namespace


def _bind6(device: str) -> str:
    return f"{ADDRESS6}:80 interface {device}"


def _has_ipv6(addresses: Iterable[str]) -> bool:
    return any(":" in address for address in addresses)
