"""Network cards of instances; those of containers are veth pairs whose inner end is born there, named eth0, eth1, ….

Ours are the devices that have an alias ``netloom-instance:<instance id>:<inner name>``: outer ends of veths here, taps
of machines (``netloom.host.taps``).
"""

import contextlib
import errno
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from netloom.host.namespaces import inside
from netloom.host.netlink import CREATE, EXCL, Request, Socket, attribute, number, text
from netloom.host.veths import (
    DELLINK,
    IFLA_ADDRESS,
    IFLA_GROUP,
    IFLA_IFALIAS,
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    IFLA_MTU,
    IFLA_NET_NS_FD,
    NEWLINK,
    VETH_INFO_PEER,
    links,
    transmit_checksum_offload,
)
from netloom.state import Nic

_MARK = "netloom-instance"
_IFF_UP = 1
_UP = struct.pack("=BxHiII", 0, 0, 0, _IFF_UP, _IFF_UP)


@dataclass(frozen=True, slots=True)
class Card:
    """A card that an instance has."""

    instance_id: str
    inner: str
    """Name inside: ``eth0`` and so on."""
    mtu: int


def cards() -> dict[str, Card]:
    """The cards of all instances by the name of their outer end."""
    found = {}
    for link in links():
        mark, _, rest = link.alias.partition(":")
        if mark == _MARK:
            instance_id, _, inner = rest.partition(":")
            found[link.name] = Card(instance_id, inner, link.mtu)
    return found


def plug(instance_id: str, pid: int, nics: Sequence[tuple[str, Nic]], group: int) -> None:
    """Give a container cards, each with its inner name. The outer ends come up; the inner ones are the guest's.

    ``group`` is the device group of the outer ends.

    Raises:
        OSError: a device cannot be made; the others are.
    """
    made: list[tuple[str, Nic]] = []
    there = {link.name for link in links()}
    free = [(inner, nic) for inner, nic in nics if nic.device not in there]
    errors: list[OSError] = [
        FileExistsError(errno.EEXIST, f"a device {nic.device} that is not ours is there")
        for _, nic in nics
        if nic.device in there
    ]
    home = f"/proc/{pid}/ns/net"
    target = os.open(home, os.O_RDONLY)
    try:
        with Socket() as netlink:
            # The alias is not taken at creation. Both go in one write, so that no crash can come between them.
            requests = [request for inner, nic in free for request in _creation(instance_id, inner, nic, target, group)]
            for (inner, nic), error in zip(free, netlink.send(requests)[::2], strict=True):
                if error is None:
                    made.append((inner, nic))
                else:
                    errors.append(OSError(error.errno, f"device {nic.device}: {error.strerror}"))
            with inside(home):
                for inner, _ in made:
                    transmit_checksum_offload(inner, on=False)  # a userspace switch passes partial checksums on
            for _, nic in made:
                forbid_ipv6(nic.device)
            netlink.do(*(Request(NEWLINK, _UP + text(IFLA_IFNAME, nic.device)) for _, nic in made))
    finally:
        os.close(target)
    for error in errors:
        raise error


def _creation(instance_id: str, inner: str, nic: Nic, target: int, group: int) -> list[Request]:
    peer = bytes(16) + text(IFLA_IFNAME, inner) + number(IFLA_MTU, nic.mtu) + number(IFLA_NET_NS_FD, target)
    peer += attribute(IFLA_ADDRESS, bytes.fromhex(nic.mac.replace(":", "")))
    data = attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, peer))
    body = bytes(16) + _outer(nic, group) + attribute(IFLA_LINKINFO, text(IFLA_INFO_KIND, "veth") + data)
    return [Request(NEWLINK, body, CREATE | EXCL), _mark(instance_id, inner, nic)]


def finishing(instance_id: str, inner: str, nic: Nic, group: int) -> list[Request]:
    """What makes a device that is there a card's outer end, and brings it up."""
    return [_mark(instance_id, inner, nic), Request(NEWLINK, _UP + _outer(nic, group))]


def _outer(nic: Nic, group: int) -> bytes:
    # As hypervisors do: the port's MAC, but begun with fe, so that it is told from the guest's and never the lowest.
    mac = attribute(IFLA_ADDRESS, bytes.fromhex("fe" + nic.mac.replace(":", "")[2:]))
    return text(IFLA_IFNAME, nic.device) + number(IFLA_MTU, nic.mtu) + number(IFLA_GROUP, group) + mac


def _mark(instance_id: str, inner: str, nic: Nic) -> Request:
    return Request(
        NEWLINK, bytes(16) + text(IFLA_IFNAME, nic.device) + text(IFLA_IFALIAS, f"{_MARK}:{instance_id}:{inner}")
    )


def forbid_ipv6(device: str) -> None:
    """Keep the kernel from talking IPv6 on a device that it has for somebody else."""
    with contextlib.suppress(FileNotFoundError):  # a host without IPv6
        Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6").write_text("1")


def unplug(devices: Iterable[str]) -> None:
    """Take cards away, by the names of their outer ends; those that are gone already do not matter.

    Raises:
        OSError: the kernel refused.
    """
    with Socket() as netlink:
        for error in netlink.send([Request(DELLINK, bytes(16) + text(IFLA_IFNAME, device)) for device in devices]):
            if error is not None and error.errno != errno.ENODEV:
                raise error
