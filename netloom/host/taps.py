"""Network cards of machines: tap devices, each behind a file descriptor that the machine holds.

Such a device lives as long as somebody holds its descriptor: with its machine it goes, and so it does when the agent
dies before it has handed it over. Ours are marked as those of containers are (``netloom.host.nics``).
"""

import errno
import fcntl
import os
import struct
from collections.abc import Sequence

from netloom.host.netlink import Socket
from netloom.host.nics import finishing, forbid_ipv6
from netloom.host.veths import links
from netloom.state import Nic

_TUNSETIFF = 0x400454CA
_TAP, _NO_PI, _EXCLUSIVE = 0x0002, 0x1000, 0x8000


def make(instance_id: str, nics: Sequence[tuple[str, Nic]], group: int) -> dict[str, int]:
    """Make the taps of cards, each given with its name inside; they are up. The descriptors by the names inside.

    ``group`` is the device group of the taps.

    Raises:
        OSError: a device cannot be made; then none is.
    """
    made: dict[str, int] = {}
    there = {link.name for link in links()}
    try:
        for inner, nic in nics:
            if nic.device in there:
                raise FileExistsError(errno.EEXIST, f"a device {nic.device} that is not ours is there")
            made[inner] = _tap(nic.device)
            forbid_ipv6(nic.device)
        with Socket() as netlink:
            netlink.do(*(request for inner, nic in nics for request in finishing(instance_id, inner, nic, group)))
    except OSError:
        for descriptor in made.values():
            os.close(descriptor)
        raise
    return made


def _tap(device: str) -> int:
    """A new tap, without headers of its own before the frames: those that QEMU asks for break TCP on such a switch."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _TAP | _NO_PI | _EXCLUSIVE))
    except OSError as error:
        os.close(descriptor)
        raise OSError(error.errno, f"device {device}: {error.strerror}") from None
    return descriptor
