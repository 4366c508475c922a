"""Whether the devices by which this host reaches the world have a carrier."""

import contextlib
import errno
import fcntl
import socket
import struct
from collections.abc import Collection, Iterable, Mapping

from netloom.host import addressing

_GROUP_LINK = 1
_SIOCGIFFLAGS, _RUNNING = 0x8913, 0x40


class Carriers:
    """Media that are lost: bridges all of whose uplinks, or addresses whose device, have no carrier.

    For the network namespace that it is made in. A medium without an uplink cannot be lost.
    """

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._events = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self._events.bind((0, _GROUP_LINK))
        self._control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._devices: dict[str, Collection[str]] = {}
        self._lost: set[str] = set()

    def close(self) -> None:
        """Watch no more."""
        self._events.close()
        self._control.close()

    def fileno(self) -> int:
        """Readable when a device changed: then ``look``."""
        return self._events.fileno()

    def watch(self, media: Iterable[str], uplinks: Mapping[str, Collection[str]]) -> None:
        """Watch these: names of bridges, whose devices ``uplinks`` tells, or addresses of the host.

        An address on a bridge's local port is reached by the uplinks of that bridge.
        """
        self._devices = {medium: _devices(medium, uplinks) for medium in media}
        self.look()

    def look(self) -> None:
        """Take in what changed."""
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    self._events.recv(1 << 16)
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise
        self._lost = {m for m, devices in self._devices.items() if devices and not any(map(self._runs, devices))}

    def lost(self, medium: str) -> bool:
        """Whether nothing is heard or said by it."""
        return medium in self._lost

    def _runs(self, device: str) -> bool:
        try:
            answer = fcntl.ioctl(self._control, _SIOCGIFFLAGS, struct.pack("16s24x", device.encode()))
        except OSError:  # it is gone
            return False
        return bool(struct.unpack_from("=H", answer, 16)[0] & _RUNNING)


def _devices(medium: str, uplinks: Mapping[str, Collection[str]]) -> Collection[str]:
    if medium in uplinks:
        return uplinks[medium]
    try:
        device = addressing.bearer(medium)
    except ValueError:  # the name of a bridge that is not there
        return ()
    return uplinks.get(device, (device,)) if device else ()
