"""Forgetting connections of an address that went away (ctnetlink, linux/netfilter/nfnetlink_conntrack.h).

Else established connections of a removed floating IP would go on through the translation they began with.
Nothing here is kept, so nothing needs a mark.
"""

import ipaddress
import socket
from collections.abc import Collection

from netloom.host.namespaces import inside
from netloom.host.netlink import NETLINK_NETFILTER, Request, Socket, attribute, attributes

_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2
_ORIGINAL, _REPLY, _ID, _ZONE = 1, 2, 12, 18
_TUPLE_IP, _NESTED = 1, 0x8000


def forget(namespace: str, addresses: Collection[str]) -> int:
    """Remove a namespace's connections to and from these addresses, before or after translation; how many.

    Raises:
        OSError: the namespace is gone, or the kernel refused.
    """
    packed = {ipaddress.ip_address(address).packed for address in addresses}
    families = {socket.AF_INET if len(address) == 4 else socket.AF_INET6 for address in packed}
    with inside(namespace), Socket(NETLINK_NETFILTER) as netlink:
        doomed = [
            Request(_DELETE, header + _identity(found))
            for family in sorted(families)
            for header in [bytes([family, 0, 0, 0])]
            for found in (attributes(body, 4) for body in netlink.dump(_GET, header))
            if not packed.isdisjoint(_ends(found))
        ]
        return sum(error is None for error in netlink.send(doomed))  # one may have ended by itself


def _ends(connection: dict[int, bytes]) -> set[bytes]:
    """The addresses of both directions."""
    return {
        address
        for direction in (_ORIGINAL, _REPLY)
        for address in attributes(attributes(connection[direction])[_TUPLE_IP]).values()
    }


def _identity(connection: dict[int, bytes]) -> bytes:
    original = attribute(_ORIGINAL | _NESTED, connection[_ORIGINAL])
    return original + b"".join(attribute(kind, connection[kind]) for kind in (_ZONE, _ID) if kind in connection)
