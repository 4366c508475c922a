"""The watch over elections ends when it is told to, whatever happens at that moment."""

import fcntl
import socket
import struct
import threading

from netloom.host.elections import Elections

_SIOCSIFTXQLEN = 0x8943


def _stir(control: socket.socket, times: int) -> None:
    """Have the kernel tell that a device changed."""
    for length in range(times):
        fcntl.ioctl(control, _SIOCSIFTXQLEN, struct.pack("16si20x", b"lo", 1000 + length % 2))


def test_it_ends_while_devices_change(sandbox):
    """Many rounds: it is about the moment at which the word to end comes in beside other news."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for _ in range(100):
            elections = Elections(sandbox.layout, lambda: None)
            _stir(control, 20)
            end = threading.Thread(target=lambda one=elections: (_stir(control, 5), one.close()), daemon=True)
            end.start()
            end.join(10)
            assert not end.is_alive()
