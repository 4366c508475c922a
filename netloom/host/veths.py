"""Veth pairs between the host and its namespaces.

Ours are the pairs whose outer end is in the agent's device group, a number made of its mark (``ip link show group``):
of all marks only the group is there from the device's birth, so no crash leaves a pair without it. A device of a
planned name that is not in it is somebody else's: it is not touched, and the pair planned under its name fails.
"""

import array
import errno
import fcntl
import os
import socket
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from netloom.host.failures import failure
from netloom.host.isolation import link_group
from netloom.host.layout import Layout
from netloom.host.namespaces import RUN_NETNS, inside
from netloom.host.netlink import (
    CREATE,
    EXCL,
    Request,
    Socket,
    attribute,
    attributes,
    number,
    string,
    text,
)
from netloom.state import Changes, Failure, Veth

NEWLINK, DELLINK, GETLINK = 16, 17, 18
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO, IFLA_IFALIAS, IFLA_GROUP, IFLA_NET_NS_FD = 1, 3, 4, 18, 20, 27, 28
IFLA_LINK, IFLA_MASTER, IFLA_LINK_NETNSID = 5, 10, 37
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
_IFF_UP = 1
_DOOMED = 0x6E6C
"""Device group of what is about to go: deleting a group waits once for the kernel, not once per device."""
_SIOCETHTOOL, _GET_TX, _SET_TX = 0x8946, 0x16, 0x17


@dataclass(frozen=True, slots=True)
class Link:
    """A device as the kernel lists it."""

    index: int
    name: str
    up: bool
    mtu: int
    mac: str
    alias: str
    group: int
    kind: str
    """As ``ip -details link`` names it; empty for a card."""
    master: int
    """Number of the bridge that it is in; 0: none."""
    peer: int
    """Number of the other end of a veth pair in the same namespace, or in one of another's numbering; 0: none."""
    peer_namespace: int
    """What this namespace calls the one of the other end; -1: it is the same."""

    @property
    def is_veth(self) -> bool:
        return self.kind == "veth"


def links() -> Iterator[Link]:
    """The devices of the namespace that the calling thread is in."""
    with Socket() as netlink:
        for body in netlink.dump(GETLINK, bytes(16)):
            index, flags = struct.unpack_from("=iI", body, 4)
            found = attributes(body, 16)
            info = attributes(found.get(IFLA_LINKINFO, b""))
            yield Link(
                index=index,
                name=string(found[IFLA_IFNAME]),
                up=bool(flags & _IFF_UP),
                mtu=struct.unpack("=I", found[IFLA_MTU])[0],
                mac=found.get(IFLA_ADDRESS, b"").hex(":"),
                alias=string(found.get(IFLA_IFALIAS, b"")),
                group=struct.unpack("=I", found[IFLA_GROUP])[0],
                kind=string(info.get(IFLA_INFO_KIND, b"")),
                master=struct.unpack("=I", found.get(IFLA_MASTER, bytes(4)))[0],
                peer=struct.unpack("=I", found.get(IFLA_LINK, bytes(4)))[0],
                peer_namespace=struct.unpack("=i", found.get(IFLA_LINK_NETNSID, b"\xff" * 4))[0],
            )


def transmit_checksum_offload(device: str, *, on: bool | None = None) -> bool:
    """Whether a device of the current namespace leaves checksums to its receiver; ``on`` sets it first."""
    value = array.array("I", [_GET_TX if on is None else _SET_TX, int(bool(on))])
    request = struct.pack("16sP", device.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, request)
    return bool(value[1])


class Veths:
    """The driver of veth pairs."""

    def __init__(self, layout: Layout) -> None:
        self._group = link_group(layout)
        self._made: list[Veth] = []

    def observe(self, namespaces: Iterable[str]) -> Iterator[Veth]:
        """Our pairs. One that is not whole (an end down or away, offload on) shows with MTU 0: never as planned."""
        outer = {link.name: link for link in links() if link.is_veth and link.group == self._group}
        for namespace in namespaces if outer else ():
            with inside(namespace):
                for inner in links():
                    if inner.is_veth and inner.name in outer:
                        yield self._pair(outer.pop(inner.name), inner, namespace)
        for link in outer.values():
            yield Veth(name=link.name, namespace="", mac="", mtu=0)

    @staticmethod
    def _pair(outer: Link, inner: Link, namespace: str) -> Veth:
        whole = outer.up and inner.up and outer.mtu == inner.mtu and not transmit_checksum_offload(inner.name)
        return Veth(name=inner.name, namespace=namespace, mac=inner.mac, mtu=inner.mtu if whole else 0)

    def create(self, changes: Changes[Veth]) -> list[Failure]:
        """Make the missing pairs, still down, and change the others; ``bring_up`` finishes them."""
        moved = [have for have, want in changes.update if have.namespace != want.namespace]
        errors = self._delete(moved)
        fresh = [*changes.create, *(want for have, want in changes.update if have.namespace != want.namespace)]
        errors |= self._create(fresh)
        kept = [want for have, want in changes.update if have.namespace == want.namespace]
        with Socket() as netlink:
            errors |= _named(kept, netlink.send([self._settings(veth.name, veth.mtu) for veth in kept]))
        self._made = [veth for veth in (*fresh, *kept) if veth.name not in errors]
        return _failures([*moved, *fresh, *kept], errors)

    def _create(self, veths: list[Veth]) -> dict[str, OSError]:
        errors: dict[str, OSError] = {}
        targets: dict[str, int] = {}
        requests, sent = [], []
        try:
            for veth in veths:
                try:
                    if veth.namespace not in targets:
                        targets[veth.namespace] = os.open(RUN_NETNS / veth.namespace, os.O_RDONLY)
                except OSError:
                    errors[veth.name] = OSError(errno.ENOENT, f"namespace {veth.namespace} does not exist")
                else:
                    requests.append(self._creation(veth, targets[veth.namespace]))
                    sent.append(veth)
            with Socket() as netlink:
                errors |= _named(sent, netlink.send(requests))
        finally:
            for target in targets.values():
                os.close(target)
        made = [veth for veth in sent if veth.name not in errors]
        for veth in made:  # before it is up: an outer end must not speak for itself
            _disable_ipv6(veth.name)
        return errors

    def _creation(self, veth: Veth, target: int) -> Request:
        """Both ends at once, the inner one born in its namespace."""
        peer = bytes(16) + text(IFLA_IFNAME, veth.name) + number(IFLA_MTU, veth.mtu)
        peer += attribute(IFLA_ADDRESS, bytes.fromhex(veth.mac.replace(":", ""))) + number(IFLA_NET_NS_FD, target)
        data = attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, peer))
        body = bytes(16) + text(IFLA_IFNAME, veth.name) + number(IFLA_MTU, veth.mtu) + number(IFLA_GROUP, self._group)
        body += attribute(IFLA_LINKINFO, text(IFLA_INFO_KIND, "veth") + data)
        return Request(NEWLINK, body, CREATE | EXCL)

    def _settings(self, name: str, mtu: int) -> Request:
        return Request(NEWLINK, bytes(16) + text(IFLA_IFNAME, name) + number(IFLA_MTU, mtu))

    def bring_up(self) -> list[Failure]:
        """Bring both ends of what ``create`` made up, the inner ones as planned; their kernel settings are there."""
        inner: dict[str, list[Veth]] = defaultdict(list)
        errors: dict[str, OSError] = {}
        for veth in self._made:
            inner[veth.namespace].append(veth)
        for namespace, those in inner.items():
            try:
                with inside(namespace):
                    errors |= self._bring_up_inner(those)
            except OSError as error:
                errors |= {veth.name: error for veth in those}
        with Socket() as netlink:
            errors |= _named(self._made, netlink.send([_up(veth.name) for veth in self._made]))
        return _failures(self._made, errors)

    @staticmethod
    def _bring_up_inner(veths: list[Veth]) -> dict[str, OSError]:
        requests = []
        for veth in veths:
            mac = attribute(IFLA_ADDRESS, bytes.fromhex(veth.mac.replace(":", "")))
            requests.append(_up(veth.name, mac + number(IFLA_MTU, veth.mtu)))
        with Socket() as netlink:
            errors = _named(veths, netlink.send(requests))
        for veth in veths:
            if veth.name not in errors:
                transmit_checksum_offload(veth.name, on=False)
        return errors

    def delete(self, changes: Changes[Veth]) -> list[Failure]:
        """Remove the unwanted pairs, which the kernel then waits for only once."""
        return _failures(changes.delete, self._delete(changes.delete))

    @staticmethod
    def _delete(veths: Iterable[Veth]) -> dict[str, OSError]:
        return remove([veth.name for veth in veths])


def remove(names: Sequence[str]) -> dict[str, OSError]:
    """Remove devices, which the kernel then waits for only once; why, by name, for those that are still there."""
    if not names:
        return {}
    doom = [Request(NEWLINK, bytes(16) + text(IFLA_IFNAME, name) + number(IFLA_GROUP, _DOOMED)) for name in names]
    with Socket() as netlink:
        results = netlink.send(doom)
        netlink.send([Request(DELLINK, bytes(16) + number(IFLA_GROUP, _DOOMED))])
    errors = {name: error for name, error in zip(names, results, strict=True) if error is not None}
    return {name: error for name, error in errors.items() if error.errno != errno.ENODEV}


def _up(name: str, settings: bytes = b"") -> Request:
    return Request(NEWLINK, struct.pack("=BxHiII", 0, 0, 0, _IFF_UP, _IFF_UP) + text(IFLA_IFNAME, name) + settings)


def _disable_ipv6(device: str) -> None:
    setting = Path("/proc/sys/net/ipv6/conf") / device / "disable_ipv6"
    if setting.exists():  # not on a host without IPv6
        setting.write_text("1")


def _named(veths: list[Veth], results: list[OSError | None]) -> dict[str, OSError]:
    return {veth.name: error for veth, error in zip(veths, results, strict=True) if error is not None}


def _failures(veths: Iterable[Veth], errors: dict[str, OSError]) -> list[Failure]:
    found = {veth.name: veth for veth in veths if veth.name in errors}  # one name fails once
    return [failure(veth, errors[veth.name]) for veth in found.values()]
