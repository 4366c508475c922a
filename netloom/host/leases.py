"""Leases that outlived their port: dnsmasq refuses an address to its new port for as long as the old lease lasts.

Reading its files again does not make dnsmasq forget a lease, so the leases that the plan does not know any more
are given back to it, in the name of the client that is gone (DHCPRELEASE, RFC 2131 section 4.4.6).
"""

import random
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_interface
from pathlib import PurePosixPath

from netloom.host.layout import Layout
from netloom.host.namespaces import inside
from netloom.state import Address, Daemon, File, HostState

_SERVER_PORT = 67
_MAGIC = bytes([99, 130, 83, 99])
_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_REQUEST, _ETHERNET = 1, 1


@dataclass(frozen=True, slots=True)
class Lease:
    """An IPv4 lease as dnsmasq wrote it down."""

    mac: str
    address: str


class Leases:
    """Gives leases back that are not planned any more. IPv4; one look per change of a network's hosts."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._seen: dict[str, str] = {}
        """Digest of the hosts of each network when it was last looked at."""

    def release(self, desired: HostState) -> int:
        """To be called when the plan is applied; returns how many leases were given back.

        Raises:
            OSError: a namespace cannot be entered, or a packet not sent; the next call tries again.
        """
        released = 0
        hosts = {key[0]: file for key, file in desired.of(File).items() if PurePosixPath(key[0]).name == "host"}
        for daemon in desired.of(Daemon).values():
            file = hosts.get(f"dhcp/{daemon.name.removeprefix('dnsmasq-')}/host")
            if file and self._seen.get(file.path) != file.digest:
                known = planned(file.text)
                stale = [lease for lease in self._held(file) if lease not in known]
                servers = [a for a in desired.of(Address).values() if a.namespace == daemon.namespace]
                released += _give_back(stale, servers) if stale and servers else 0
                self._seen[file.path] = file.digest
        self._seen = {path: digest for path, digest in self._seen.items() if path in hosts}
        return released

    def _held(self, file: File) -> Iterator[Lease]:
        path = self._layout.state_dir / PurePosixPath(file.path).with_name("leases")
        for line in path.read_text().splitlines() if path.exists() else ():
            words = line.split()  # when it ends, MAC, address, name, client id; IPv6 has a number for the MAC
            if len(words) == 5 and words[1].count(":") == 5 and "." in words[2]:
                yield Lease(words[1], words[2])


def planned(hosts: str) -> set[Lease]:
    """The leases that a ``--dhcp-hostsfile`` allows."""
    fields = (line.split(",") for line in hosts.splitlines())
    return {Lease(words[0], word) for words in fields for word in words[1:] if word.count(".") == 3}


def _give_back(leases: list[Lease], servers: list[Address]) -> int:
    networks = [(ip_interface(address.cidr), address.device) for address in servers if ":" not in address.cidr]
    with inside(servers[0].namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        sent = 0
        for lease in leases:
            for server, device in networks:
                if ip_interface(lease.address).ip in server.network:
                    out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
                    out.sendto(_release(lease, str(server.ip)), (str(server.ip), _SERVER_PORT))
                    sent += 1
    return sent


def _release(lease: Lease, server: str) -> bytes:
    mac, none = bytes.fromhex(lease.mac.replace(":", "")), bytes(4)
    header = _HEADER.pack(
        *(_REQUEST, _ETHERNET, len(mac), 0),
        *(random.getrandbits(32), 0, 0),  # a transaction number, not a secret
        *(socket.inet_aton(lease.address), none, none, none),
        *(mac, b"", b""),
    )
    kind, server_id = bytes([53, 1, 7]), bytes([54, 4]) + socket.inet_aton(server)
    return header + _MAGIC + kind + server_id + bytes([255])
