"""Linux bridges between instances' cards and the switch, each with its veth pair.

Ours are the bridges in one device group of the agent and the pairs in another (see ``isolation``), in which they are
from birth. A device of a planned name that is not in them is somebody else's: it is not touched, and the plan fails.
A card is its instance's; here it only comes into the bridge, and out of it when the bridge goes.
"""

import errno
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from netloom.host.failures import failure
from netloom.host.isolation import bridge_group, pair_group
from netloom.host.layout import Layout
from netloom.host.netlink import CREATE, EXCL, Request, Socket, attribute, number, text
from netloom.host.veths import (
    IFLA_ADDRESS,
    IFLA_GROUP,
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    IFLA_MASTER,
    IFLA_MTU,
    NEWLINK,
    VETH_INFO_PEER,
    Link,
    links,
    remove,
    transmit_checksum_offload,
)
from netloom.state import Changes, Failure, LinuxBridge

_FORWARD_DELAY, _AGEING_TIME, _SPANNING_TREE, _MULTICAST_SNOOPING = 1, 4, 5, 23
_IFF_UP, _IFF_PROMISC = 0x1, 0x100
_IPV6 = Path("/proc/sys/net/ipv6/conf")


class LinuxBridges:
    """The driver of Linux bridges of instances' cards."""

    def __init__(self, layout: Layout) -> None:
        self._bridge_group = bridge_group(layout)
        self._pair_group = pair_group(layout)

    def observe(self) -> Iterator[LinuxBridge]:
        """Our bridges. One that is not whole (an end down or away, offload on) shows with MTU 0: never as planned."""
        there = {link.index: link for link in links()}
        pairs = {link.index: link for link in there.values() if link.is_veth and link.group == self._pair_group}
        ports: dict[int, list[Link]] = {}
        for link in there.values():
            ports.setdefault(link.master, []).append(link)
        for link in there.values():
            if link.kind == "bridge" and link.group == self._bridge_group:
                yield self._bridge(link, ports.get(link.index, []), pairs)
        # Pairs that lost their bridge: as bridges that are not there, so that they go or get one.
        for inner in pairs.values():
            outer = pairs.get(inner.peer)
            if outer and not inner.master and not outer.master and inner.index > outer.index:
                yield LinuxBridge(name=inner.name, card="", inner=inner.name, outer=outer.name, mtu=0)

    @staticmethod
    def _bridge(bridge: Link, ports: Iterable[Link], pairs: Mapping[int, Link]) -> LinuxBridge:
        inner = next((port for port in ports if port.index in pairs), None)
        outer = pairs.get(inner.peer) if inner else None
        card = next((port.name for port in ports if port.index not in pairs), "")
        whole = (
            inner is not None
            and outer is not None
            and all(link.up and link.mtu == bridge.mtu for link in (bridge, inner, outer))
            and not any(transmit_checksum_offload(link.name) for link in (inner, outer))
        )
        return LinuxBridge(
            name=bridge.name,
            card=card,
            inner=inner.name if inner else "",
            outer=outer.name if outer else "",
            mtu=bridge.mtu if whole else 0,
        )

    def apply(self, changes: Changes[LinuxBridge]) -> list[Failure]:
        """Remove the unwanted ones, make the missing, change the others; the cards of all that are wanted are there."""
        return [*self._delete(changes.delete), *self._make([*changes.create, *(want for _, want in changes.update)])]

    @staticmethod
    def _delete(bridges: Sequence[LinuxBridge]) -> list[Failure]:
        # The pair first: it is found by its bridge.
        pairs = remove([bridge.inner for bridge in bridges if bridge.inner])
        errors = remove([bridge.name for bridge in bridges if bridge.inner not in pairs])
        for bridge in bridges:
            _set_ipv6(bridge.card, on=False)
        errors |= {bridge.name: pairs[bridge.inner] for bridge in bridges if bridge.inner in pairs}
        return _failures(bridges, errors)

    def _make(self, bridges: list[LinuxBridge]) -> list[Failure]:
        if not bridges:
            return []
        there = {link.name: link for link in links()}
        errors = {bridge.name: error for bridge in bridges if (error := self._foreign(bridge, there))}
        wanted = [bridge for bridge in bridges if bridge.name not in errors]
        missing = [bridge for bridge in wanted if bridge.name not in there]
        errors |= _send(missing, [self._bridge_creation(bridge) for bridge in missing])
        for bridge in missing:
            _set_ipv6(bridge.name, on=False)
        indices = {link.name: link.index for link in links()} if missing else {n: e.index for n, e in there.items()}
        unpaired = [bridge for bridge in wanted if bridge.name in indices and not _paired(bridge, there)]
        remove([end for bridge in unpaired for end in (bridge.inner, bridge.outer) if end in there])
        errors |= _send(unpaired, [self._pair_creation(bridge, indices[bridge.name]) for bridge in unpaired])
        errors |= self._finish([bridge for bridge in wanted if bridge.name not in errors], indices)
        return _failures(bridges, errors)

    def _foreign(self, bridge: LinuxBridge, there: Mapping[str, Link]) -> OSError | None:
        groups = {bridge.name: self._bridge_group, bridge.inner: self._pair_group, bridge.outer: self._pair_group}
        for name, group in groups.items():
            if name in there and there[name].group != group:
                return FileExistsError(errno.EEXIST, f"a device {name} that is not ours is there: remove or rename it")
        return None

    def _bridge_creation(self, bridge: LinuxBridge) -> Request:
        data = number(_FORWARD_DELAY, 0) + number(_AGEING_TIME, 0) + number(_SPANNING_TREE, 0)
        data += attribute(_MULTICAST_SNOOPING, b"\0")
        info = text(IFLA_INFO_KIND, "bridge") + attribute(IFLA_INFO_DATA, data)
        settings = number(IFLA_MTU, bridge.mtu) + number(IFLA_GROUP, self._bridge_group)
        body = bytes(16) + text(IFLA_IFNAME, bridge.name) + settings + attribute(IFLA_LINKINFO, info)
        return Request(NEWLINK, body, CREATE | EXCL)

    def _pair_creation(self, bridge: LinuxBridge, index: int) -> Request:
        settings = number(IFLA_MTU, bridge.mtu) + number(IFLA_GROUP, self._pair_group)
        peer = bytes(16) + text(IFLA_IFNAME, bridge.outer) + settings
        # A bridge takes the lowest MAC of its ports, which shall not be the card's.
        mac = attribute(IFLA_ADDRESS, b"\x02" + os.urandom(5))
        info = text(IFLA_INFO_KIND, "veth") + attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, peer))
        body = bytes(16) + text(IFLA_IFNAME, bridge.inner) + settings + mac + number(IFLA_MASTER, index)
        return Request(NEWLINK, body + attribute(IFLA_LINKINFO, info), CREATE | EXCL)

    @staticmethod
    def _finish(bridges: Sequence[LinuxBridge], indices: Mapping[str, int]) -> dict[str, OSError]:
        """Bring all up, and the cards into their bridges."""
        for bridge in bridges:
            for device in (bridge.inner, bridge.outer, bridge.card):
                _set_ipv6(device, on=True)
        errors: dict[str, OSError] = {}
        for requests in zip(*(_settings(bridge, indices[bridge.name]) for bridge in bridges), strict=True):
            errors |= _send(bridges, requests)
        for device in (device for bridge in bridges for device in (bridge.inner, bridge.outer)):
            with suppress(OSError):  # it went meanwhile: the next look shows it
                transmit_checksum_offload(device, on=False)
        return errors


def _settings(bridge: LinuxBridge, index: int) -> tuple[Request, ...]:
    """What the devices of a bridge must be: up, of one MTU, in the bridge; the ends of the pair promiscuous."""
    mtu, master = number(IFLA_MTU, bridge.mtu), number(IFLA_MASTER, index)
    promiscuous = _IFF_UP | _IFF_PROMISC
    return (
        _change(bridge.inner, promiscuous, mtu + master),
        _change(bridge.outer, promiscuous, mtu),
        _change(bridge.name, _IFF_UP, mtu),
        _change(bridge.card, _IFF_UP, master),
    )


def _change(device: str, flags: int, settings: bytes) -> Request:
    header = struct.pack("=BxHiII", 0, 0, 0, flags, flags)
    return Request(NEWLINK, header + text(IFLA_IFNAME, device) + settings)


def _paired(bridge: LinuxBridge, there: Mapping[str, Link]) -> bool:
    inner, outer = there.get(bridge.inner), there.get(bridge.outer)
    return inner is not None and outer is not None and inner.peer == outer.index


def _set_ipv6(device: str, *, on: bool) -> None:
    """Whether a device has a link-local address. None takes routes or addresses of what it hears."""
    with suppress(OSError):  # a host without IPv6, or a device that is gone
        (_IPV6 / device / "accept_ra").write_text("0")
        (_IPV6 / device / "disable_ipv6").write_text("0" if on else "1")


def _send(bridges: Sequence[LinuxBridge], requests: Sequence[Request]) -> dict[str, OSError]:
    with Socket() as netlink:
        results = netlink.send(requests)
    return {bridge.name: error for bridge, error in zip(bridges, results, strict=True) if error is not None}


def _failures(bridges: Iterable[LinuxBridge], errors: Mapping[str, OSError]) -> list[Failure]:
    return [failure(bridge, errors[bridge.name]) for bridge in bridges if bridge.name in errors]
