"""Questions to processes at their UNIX sockets."""

import os
import socket


def ask(path: str | os.PathLike[str], question: str, seconds: float = 1.0) -> bytes:
    """The answer of a process at its socket to a line or several, up to the end of the connection.

    Raises:
        OSError: it does not answer, or for so many seconds it says nothing.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(seconds)
        connection.connect(os.fspath(path))
        connection.sendall(f"{question}\n".encode())
        # That nothing else follows makes haproxy's master end the connection after its answer.
        connection.shutdown(socket.SHUT_WR)
        answer = bytearray()
        while part := connection.recv(1 << 16):
            answer += part
    return bytes(answer)
