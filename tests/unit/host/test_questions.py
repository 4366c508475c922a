"""Asking a process on its UNIX socket."""

import socket
import threading
from pathlib import Path

import pytest

from netloom.host.questions import ask


def test_the_answer_is_all_that_comes_up_to_the_end(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "asked"))
        server.listen()

        def answer() -> None:
            client, _ = server.accept()
            with client:
                question = b"".join(iter(lambda: client.recv(10), b""))
                client.sendall(question * 20000)

        thread = threading.Thread(target=answer)
        thread.start()
        assert ask(str(tmp_path / "asked"), "who are you") == b"who are you\n" * 20000
        thread.join()


def test_a_silent_process_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        ask(str(tmp_path / "asked"), "hello?")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "asked"))
        server.listen()
        with pytest.raises(TimeoutError):
            ask(str(tmp_path / "asked"), "hello?", seconds=0.05)
