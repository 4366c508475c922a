"""All that is wired on a host, whoever made it: what a picture of it shows. Nothing is changed."""

import os
import struct
from collections.abc import Iterator

from netloom.host.layout import Layout
from netloom.host.namespaces import RUN_NETNS, inside
from netloom.host.netlink import Socket, attributes, number, string
from netloom.host.ovsdb import Ovsdb
from netloom.host.veths import GETLINK, IFLA_ADDRESS, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINKINFO, IFLA_MTU
from netloom.state import Device, HostState, Namespace

_IFLA_LINK, _IFLA_MASTER, _IFLA_LINK_NETNSID = 5, 10, 37
_NEWNSID, _GETNSID, _NETNSA_NSID, _NETNSA_FD = 88, 90, 1, 3
_IFF_UP = 1
_HOST = ""
_NOWHERE = (_HOST, -1)


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
    links: dict[tuple[str, int], tuple[int, dict[int, bytes]]] = {}
    for namespace in namespaces:
        try:
            with inside(namespace), Socket() as netlink:
                dumped = netlink.dump(GETLINK, bytes(16))
        except OSError:
            continue
        for body in dumped:
            index, flags = struct.unpack_from("=iI", body, 4)
            links[namespace, index] = flags, attributes(body, 16)
    names = {place: string(found[IFLA_IFNAME]) for place, (_, found) in links.items()}
    numbered = _numbered(namespaces)
    for (namespace, _), (flags, found) in links.items():
        kind = string(attributes(found.get(IFLA_LINKINFO, b"")).get(IFLA_INFO_KIND, b""))
        other = _other_end(found, numbered) if kind == "veth" and namespace == _HOST else _NOWHERE
        yield Device(
            namespace=namespace,
            name=string(found[IFLA_IFNAME]),
            kind=kind,
            mac=found.get(IFLA_ADDRESS, b"").hex(":"),
            mtu=_integer(found[IFLA_MTU]),
            up=bool(flags & _IFF_UP),
            master=names.get((namespace, _integer(found.get(_IFLA_MASTER, bytes(4)))), ""),
            peer=names.get(other, ""),
            peer_namespace=other[0] if other in names else _HOST,
        )


def _other_end(link: dict[int, bytes], numbered: dict[int, str]) -> tuple[str, int]:
    """Namespace and number of the other end of a veth pair of the host."""
    if _IFLA_LINK not in link:
        return _NOWHERE
    index = _integer(link[_IFLA_LINK])
    if _IFLA_LINK_NETNSID not in link:
        return _HOST, index
    there = numbered.get(_integer(link[_IFLA_LINK_NETNSID]))
    return _NOWHERE if there is None else (there, index)


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
                found[_integer(attributes(answer, 4)[_NETNSA_NSID])] = name
            except OSError:  # a plain file
                continue
            finally:
                os.close(file)
    found.pop(-1, None)  # those that have none
    return found


def _integer(payload: bytes) -> int:
    return int(struct.unpack("=i", payload)[0])
