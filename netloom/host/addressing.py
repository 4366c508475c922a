"""Addresses and routes inside namespaces, one netlink batch per namespace.

Ours are addresses with the protocol number of ``PROTOCOL`` (``ip -N address``, Linux 5.18 or newer), and routes
of the main table with ``proto boot`` inside namespaces of ours, with ``PROTOCOL`` in the host's own namespace. So
what the kernel, keepalived or the operator of the host put there stays as it is, and link-local addresses too
unless they are planned. ``proto boot`` is what ``ip route add`` writes: runbooks see ``ip route`` as they know it.
"""

import errno
import ipaddress
import socket
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from netloom.host.failures import failure
from netloom.host.namespaces import inside
from netloom.host.netlink import CREATE, EXCL, REPLACE, Request, Socket, attribute, attributes, number
from netloom.host.veths import links
from netloom.state import Address, Changes, Failure, Route

PROTOCOL = 0x6E
"""Ours ("n") among the origins of addresses and routes."""
_BOOT = 3
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST, _IFA_FLAGS, _IFA_PROTO = 1, 2, 4, 8, 11
_NODAD = 0x02
"""Addresses are unique by the server's allocation, so they are usable at once."""
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_MAIN, _UNICAST, _UNIVERSE, _LINK = 254, 1, 0, 253
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_GONE = {errno.ENODEV, errno.EADDRNOTAVAIL, errno.ESRCH, errno.ENOENT, errno.ENXIO}


@dataclass(slots=True)
class _Work:
    """What there is to do in one namespace."""

    add: list[Address] = field(default_factory=list)
    remove: list[Address] = field(default_factory=list)
    create: list[Route] = field(default_factory=list)
    replace: list[Route] = field(default_factory=list)
    drop: list[Route] = field(default_factory=list)


def observe(namespaces: Iterable[str]) -> Iterator[Address | Route]:
    """Our addresses and routes in these namespaces (``""``: the host's own)."""
    for namespace in namespaces:
        with inside(namespace), Socket() as netlink:
            names = {link.index: link.name for link in links()}
            yield from _addresses(netlink, namespace, names)
            yield from _routes(netlink, namespace, names)


def bearer(address: str) -> str | None:
    """The device of the calling thread's namespace that bears an address; None when there is none.

    Raises:
        ValueError: it is not an address.
    """
    ip = ipaddress.ip_address(address)
    with Socket() as netlink:
        for body in netlink.dump(_GETADDR, struct.pack("=B7x", _FAMILIES[ip.version])):
            found = attributes(body, 8)
            if found.get(_IFA_LOCAL, found[_IFA_ADDRESS]) == ip.packed:
                return socket.if_indextoname(struct.unpack_from("=I", body, 4)[0])
    return None


def present() -> set[tuple[str, str]]:
    """(Device, address with prefix length) of all in the calling thread's namespace, whoever put them there."""
    found = set()
    with Socket() as netlink:
        names = {link.index: link.name for link in links()}
        for body in netlink.dump(_GETADDR, bytes(8)):
            _, prefix, _, _, index = struct.unpack_from("=BBBBI", body)
            address = attributes(body, 8)
            ip = ipaddress.ip_address(address.get(_IFA_LOCAL, address[_IFA_ADDRESS]))
            found.add((names.get(index, ""), f"{ip}/{prefix}"))
    return found


def _addresses(netlink: Socket, namespace: str, names: dict[int, str]) -> Iterator[Address]:
    for body in netlink.dump(_GETADDR, bytes(8)):
        _, prefix, _, _, index = struct.unpack_from("=BBBBI", body)
        found = attributes(body, 8)
        if found.get(_IFA_PROTO) == bytes([PROTOCOL]) and index in names:
            ip = ipaddress.ip_address(found.get(_IFA_LOCAL, found[_IFA_ADDRESS]))
            yield Address(namespace=namespace, device=names[index], cidr=f"{ip}/{prefix}")


def _routes(netlink: Socket, namespace: str, names: dict[int, str]) -> Iterator[Route]:
    for body in netlink.dump(_GETROUTE, bytes(12)):
        family, length, _, _, table, protocol, _, _ = struct.unpack_from("=BBBBBBBB", body)
        found = attributes(body, 12)
        if table != _MAIN or protocol != _protocol(namespace) or _RTA_OIF not in found:
            continue
        version = 4 if family == socket.AF_INET else 6
        destination = f"{ipaddress.ip_address(found[_RTA_DST])}/{length}" if _RTA_DST in found else "default"
        yield Route(
            namespace=namespace,
            destination=destination,
            family=version,
            via=str(ipaddress.ip_address(found[_RTA_GATEWAY])) if _RTA_GATEWAY in found else "",
            device=names.get(struct.unpack("=I", found[_RTA_OIF])[0], ""),
        )


def _protocol(namespace: str) -> int:
    return _BOOT if namespace else PROTOCOL


def apply(addresses: Changes[Address], routes: Changes[Route]) -> list[Failure]:
    """Bring addresses and routes to their planned state.

    New addresses come before old ones go: a device that loses its last address loses its routes as well.
    On-link routes come before those whose next hop they lead to, and go after them.
    """
    work: dict[str, _Work] = defaultdict(_Work)
    for address in addresses.create:
        work[address.namespace].add.append(address)
    for address in addresses.delete:
        work[address.namespace].remove.append(address)
    for route in routes.create:
        work[route.namespace].create.append(route)
    for _, route in routes.update:
        work[route.namespace].replace.append(route)
    for route in routes.delete:
        work[route.namespace].drop.append(route)
    return [failed for namespace in sorted(work) for failed in _apply(namespace, work[namespace])]


def _apply(namespace: str, work: _Work) -> list[Failure]:
    steps: list[tuple[int, int, Address | Route]] = [
        *((_DELROUTE, 0, route) for route in sorted(work.drop, key=lambda route: not route.via)),
        *((_NEWADDR, CREATE | REPLACE, address) for address in work.add),
        *((_DELADDR, 0, address) for address in work.remove),
        *((_NEWROUTE, CREATE | EXCL, route) for route in sorted(work.create, key=lambda route: bool(route.via))),
        *((_NEWROUTE, CREATE | REPLACE, route) for route in sorted(work.replace, key=lambda route: bool(route.via))),
    ]
    try:
        with inside(namespace), Socket() as netlink:
            failures, requests, sent = [], [], []
            for kind, flags, element in steps:
                try:
                    requests.append(Request(kind, _body(element), flags))
                    sent.append((kind, element))
                except OSError as error:
                    failures += _failure(kind, element, error)
            for (kind, element), result in zip(sent, netlink.send(requests), strict=True):
                failures += _failure(kind, element, result) if result else []
            return failures
    except OSError as error:
        return [failed for kind, _, element in steps for failed in _failure(kind, element, error)]


def _failure(kind: int, element: Address | Route, error: OSError) -> list[Failure]:
    if kind in (_DELADDR, _DELROUTE) and error.errno in _GONE:
        return []  # it went with its device
    return [failure(element, error)]


def _body(element: Address | Route) -> bytes:
    try:
        index = socket.if_nametoindex(element.device)
    except OSError:
        raise OSError(errno.ENODEV, f"there is no device {element.device}") from None
    return _address_body(element, index) if isinstance(element, Address) else _route_body(element, index)


def _address_body(address: Address, index: int) -> bytes:
    interface = ipaddress.ip_interface(address.cidr)
    family = _FAMILIES[interface.version]
    body = struct.pack("=BBBBI", family, interface.network.prefixlen, 0, _scope(interface), index)
    body += attribute(_IFA_LOCAL, interface.ip.packed) + attribute(_IFA_ADDRESS, interface.ip.packed)
    if interface.version == 6:
        body += number(_IFA_FLAGS, _NODAD)
    elif interface.network.prefixlen < 31:
        body += attribute(_IFA_BROADCAST, interface.network.broadcast_address.packed)
    return body + attribute(_IFA_PROTO, bytes([PROTOCOL]))


def _scope(interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> int:
    return _LINK if interface.version == 6 and interface.is_link_local else _UNIVERSE


def _route_body(route: Route, index: int) -> bytes:
    any_address = "0.0.0.0/0" if route.family == 4 else "::/0"
    network = ipaddress.ip_network(any_address if route.destination == "default" else route.destination)
    scope = _UNIVERSE if route.via or route.family == 6 else _LINK
    family, length = _FAMILIES[route.family], network.prefixlen
    body = struct.pack("=BBBBBBBBI", family, length, 0, 0, _MAIN, _protocol(route.namespace), scope, _UNICAST, 0)
    body += attribute(_RTA_DST, network.network_address.packed) if length else b""
    body += attribute(_RTA_GATEWAY, ipaddress.ip_address(route.via).packed) if route.via else b""
    return body + number(_RTA_OIF, index)
