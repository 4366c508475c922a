"""QEMU's monitor, as much of it as we need: commands one after the other (QEMU Machine Protocol specification)."""

import array
import socket
import time
from types import TracebackType
from typing import Any, Self

import msgspec


class Monitor:
    """A connection to the monitor of a machine."""

    def __init__(self, connection: socket.socket, timeout: float) -> None:
        """Agree with the machine on how to talk.

        Args:
            connection: to its monitor; ours from now on.
            timeout: seconds that an answer may take.

        Raises:
            OSError: it does not answer.
        """
        self._socket, self._timeout = connection, timeout
        self._socket.settimeout(timeout)
        self._input = self._socket.makefile("rb")
        try:
            self._message()
            self.execute("qmp_capabilities")
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._input.close()
        self._socket.close()

    def execute(self, command: str, arguments: dict[str, Any] | None = None, descriptor: int | None = None) -> Any:
        """Carry out a command, with which a file descriptor may go; what it returns.

        Raises:
            OSError: the machine refused, and why; or it does not answer.
        """
        message = msgspec.json.encode({"execute": command, "arguments": arguments or {}})
        rights = [] if descriptor is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        self._socket.sendmsg([message], rights)
        while True:
            answer = self._message()
            if "error" in answer:
                raise OSError(0, f"{command}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

    def wait(self, event: str, device: str) -> bool:
        """Wait for an event of a device; whether it came in time."""
        until = time.monotonic() + self._timeout
        try:
            while time.monotonic() < until:
                told = self._message()
                if told.get("event") == event and told.get("data", {}).get("device") == device:
                    return True
        except TimeoutError:
            pass
        return False

    def _message(self) -> dict[str, Any]:
        line = self._input.readline()
        if not line:
            raise ConnectionResetError("the machine has ended")
        return msgspec.json.decode(line, type=dict[str, Any])
