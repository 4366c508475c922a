"""What an instance said on its console."""

from typing import Any

from netloom.standalone.compute.context import Asked, Compute
from netloom.standalone.compute.servers import existing
from netloom.standalone.web import Problem, Reply


def console_output(compute: Compute, asked: Asked, argument: Any) -> Reply:
    """os-getConsoleOutput. The log is on the instance's host, which is asked for it."""
    length = argument.get("length") if isinstance(argument, dict) else None
    if length is not None and not str(length).lstrip("-").isdecimal():
        raise Problem(400, f"Invalid input for field/attribute length. Value: {length}. It must be a number of lines")
    with compute.store.read() as tx:
        row = existing(tx, asked)
    if row["vm_state"] == "building" or not row["host"]:
        raise Problem(409, f"Instance {row['id']} is not ready")
    try:
        said = compute.console_log(row["host"], row["id"])
    except ConnectionError as error:
        raise Problem(409, f"Unable to get console log of instance {row['id']}: {error}.") from None
    if said is None:
        raise Problem(404, f"Unable to get console log of instance {row['id']}: it is not on host {row['host']}.")
    if length is not None and int(length) >= 0:
        lines = said.splitlines(keepends=True)
        said = "".join(lines[max(0, len(lines) - int(length)) :])
    return Reply({"output": said})
