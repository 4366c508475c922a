"""Standard streams and a socket, joined."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netloom.host import channels, relay


class Joined:
    """A relay in a thread: we type at one end, and play the machine at the other."""

    def __init__(self, **options: Any) -> None:
        ours, self.machine = socket.socketpair()
        source, self.keyboard = os.pipe()
        self.screen, sink = os.pipe()
        self.machine.settimeout(5)

        def run() -> None:
            with ours:
                relay.relay(ours, source, sink, **options)
            os.close(source)
            os.close(sink)

        self.thread = threading.Thread(target=run)
        self.thread.start()

    def ends(self) -> bool:
        self.thread.join(5)
        return not self.thread.is_alive()


@pytest.fixture
def joined() -> Callable[..., Joined]:
    return Joined


def test_both_ways_until_the_machine_ends(joined) -> None:
    each = joined()
    os.write(each.keyboard, b"ls\n")
    assert each.machine.recv(10) == b"ls\n"
    each.machine.sendall(b"file\n")
    assert os.read(each.screen, 10) == b"file\n"
    os.close(each.keyboard)
    assert each.machine.recv(10) == b""  # it is told
    each.machine.sendall(b"last")
    each.machine.close()
    assert each.ends()
    assert os.read(each.screen, 10) == b"last"


def test_the_escape_ends_it_and_is_kept(joined) -> None:
    each = joined(escape=b"\x1d", linger=5)
    os.write(each.keyboard, b"before\x1dafter")
    assert each.ends()
    assert each.machine.recv(100) == b"before"
    assert each.machine.recv(100) == b""


def test_what_is_still_said_after_the_end_of_the_input_is_heard(joined) -> None:
    each = joined(linger=0.3)
    os.write(each.keyboard, b"date\n")
    os.close(each.keyboard)
    assert each.machine.recv(10) == b"date\n"
    each.machine.sendall(b"today\n")
    assert each.ends()
    assert os.read(each.screen, 100) == b"today\n"


def test_sockets_with_long_paths(tmp_path: Path) -> None:
    place = tmp_path / ("deep" * 30)
    place.mkdir()
    with channels.listen(place, "console") as listener, relay.connect(place, "console") as connection:
        accepted, _ = listener.accept()
        with accepted:
            accepted.sendall(b"x")
            assert connection.recv(1) == b"x"
    with channels.listen(place, "console"):  # in place of the old one
        pass
    with pytest.raises(ConnectionRefusedError):
        relay.connect(place, "console")


def test_each_socket_is_for_one_at_a_time(tmp_path: Path) -> None:
    with channels.reserved(tmp_path, ["a", "b"]) as first, channels.reserved(tmp_path, ["a", "b"]) as second:
        assert (first, second) == ("a", "b")
        with pytest.raises(BlockingIOError, match="others use all of a, b"), channels.reserved(tmp_path, ["a", "b"]):
            pass
    with channels.reserved(tmp_path, ["a"]) as again:
        assert again == "a"
