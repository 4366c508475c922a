"""An ``openstack`` command for shells, behind which the client that is ready to run does the work.

It is the unmodified client all the same (see ``warm``); a tutorial's shell spares the seconds of its start.
"""

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

_COMMAND = """\
#!/usr/bin/python3 -SE
import json, os, socket, sys
asked = {name: value for name, value in os.environ.items() if name.startswith("OS_")} | {"PWD": os.getcwd()}
door = socket.socket(socket.AF_UNIX)
door.connect(SOCKET)
door.sendall(json.dumps([sys.argv[1:], asked]).encode() + b"\\n")
code, output, errors = json.loads(door.makefile().read())
sys.stdout.write(output)
sys.stderr.write(errors)
sys.exit(code)
"""


class Client(Protocol):
    """Runs commands."""

    def run(self, arguments: list[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
        """Exit code, output and errors of one."""


@contextlib.contextmanager
def doorway(client: Client, directory: Path) -> Iterator[Path]:
    """The directory, for a shell's path, with the command in it; for a block."""
    socket = str(directory / "door")

    class Visit(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            arguments, environment = json.loads(self.rfile.readline())
            self.wfile.write(json.dumps(client.run(arguments, environment)).encode())

    command = directory / "openstack"
    command.write_text(_COMMAND.replace("SOCKET", repr(socket)))
    command.chmod(0o755)
    with socketserver.UnixStreamServer(socket, Visit) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield directory
        finally:
            server.shutdown()
            thread.join()
