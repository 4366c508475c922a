"""Standard input and output to a UNIX socket and back.

Also a program: ``python relay.py DESCRIPTOR``, for clients that want one to reach their server. So it imports nothing
of ours.
"""

import os
import select
import socket
import sys
from pathlib import Path

_CHUNK = 1 << 16


def connect(directory: Path, name: str) -> socket.socket:
    """Connect to a socket in a directory, however long its path is.

    Raises:
        OSError: nobody listens there.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        connection.connect(f"/proc/self/fd/{place}/{name}")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(place)
    return connection


def relay(
    connection: socket.socket, source: int, sink: int, *, escape: bytes = b"", linger: float | None = None
) -> None:
    """Pass on what comes, both ways, until the other end is closed.

    Args:
        connection: the other end.
        source: descriptor to read from.
        sink: descriptor to write to.
        escape: a byte that ends it when it is read from the source.
        linger: seconds for which the other end must be silent after the end of the source; without it, that end is
            told to the other end.
    """
    reading = [connection.fileno(), source]
    while True:
        ended = source not in reading
        ready = select.select(reading, [], [], linger if ended else None)[0]
        if not ready:
            return
        if connection.fileno() in ready:
            said = connection.recv(_CHUNK)
            if not said:
                return
            _write(sink, said)
        if source in ready:
            typed = os.read(source, _CHUNK)
            if escape and escape in typed:
                connection.sendall(typed.partition(escape)[0])
                return
            if typed:
                connection.sendall(typed)
            else:
                reading.remove(source)
                if linger is None:
                    connection.shutdown(socket.SHUT_WR)


def _write(sink: int, data: bytes) -> None:
    while data:
        data = data[os.write(sink, data) :]


if __name__ == "__main__":
    relay(socket.socket(fileno=int(sys.argv[1])), 0, 1)
