"""All that is wired on a host, whoever made it: what a picture of it shows. Nothing is changed."""

import os
import struct
from collections.abc import Iterator

from netloom.host.layout import Layout
from netloom.host.namespaces import RUN_NETNS, inside
from netloom.host.netlink import Socket, attributes, number
from netloom.host.ovsdb import Ovsdb
from netloom.host.veths import Link, links
from netloom.state import Device, HostState, Namespace

_NEWNSID, _GETNSID, _NETNSA_NSID, _NETNSA_FD = 88, 90, 1, 3
_HOST, _SAME, _NONE = "", -1, -1


def survey(layout: Layout) -> HostState:
    """Bridges and ports of Open vSwitch, namespaces, and the devices of all of them.

    Raises:
        ConnectionError: Open vSwitch's database does not answer.
        OSError: the kernel refused to tell.
    """
    switch = Ovsdb(layout.ovsdb, rundir=layout.ovs_rundir)
    try:
        state = HostState(switch.survey())
    finally:
        switch.close()
    names = sorted(os.listdir(RUN_NETNS)) if RUN_NETNS.is_dir() else []
    state.update(_devices([_HOST, *names]))
    there = {device.namespace for device in state.of(Device).values()}
    state.update(Namespace(name=name) for name in names if name in there)
    return state


def _devices(namespaces: list[str]) -> Iterator[Device]:
    """Devices of namespaces; those that go meanwhile, or are none, have none."""
    found: dict[tuple[str, int], Link] = {}
    for namespace in namespaces:
        try:
            with inside(namespace):
                found |= {(namespace, link.index): link for link in links()}
        except OSError:
            continue
    numbered = {_SAME: _HOST, **_numbered(namespaces)}
    for (namespace, _), link in found.items():
        master = found.get((namespace, link.master))
        there = numbered.get(link.peer_namespace) if link.is_veth and namespace == _HOST else None
        peer = None if there is None else found.get((there, link.peer))
        yield Device(
            namespace=namespace,
            name=link.name,
            kind=link.kind,
            mac=link.mac,
            mtu=link.mtu,
            up=link.up,
            master=master.name if master else "",
            peer=peer.name if peer else "",
            peer_namespace=there if there and peer else _HOST,
        )


def _numbered(namespaces: list[str]) -> dict[int, str]:
    """Names of namespaces by the numbers that the host's own has for them."""
    found: dict[int, str] = {}
    with Socket() as netlink:
        for name in filter(None, namespaces):
            try:
                file = os.open(RUN_NETNS / name, os.O_RDONLY)
            except FileNotFoundError:
                continue
            try:
                answer = netlink.ask(_GETNSID, bytes(4) + number(_NETNSA_FD, file), _NEWNSID)
                (known,) = struct.unpack("=i", attributes(answer, 4)[_NETNSA_NSID])
                found[known] = name
            except OSError:  # a plain file
                continue
            finally:
                os.close(file)
    found.pop(_NONE, None)
    return found
