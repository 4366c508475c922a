"""``netloom exec``: run a command inside an instance of this machine."""

import argparse
import sys
import uuid
from pathlib import Path
from urllib.parse import quote

from netloom.cli.client import Client
from netloom.cli.settings import configuration
from netloom.cli.terminal import Trouble, require_root
from netloom.settings.load import host_settings


def run(arguments: argparse.Namespace) -> int:
    """Run the command; its exit code is ours."""
    require_root("entering an instance")
    conf = configuration(arguments)
    server_id = arguments.server
    if not _is_id(server_id):
        server_id = _find(Client(Path(conf.netloom.config_path) / "clouds.yaml", "netloom-admin"), server_id)
    from netloom.agent.loop import layout
    from netloom.host.instances import Instances

    settings = host_settings(conf)
    tty = sys.stdin.isatty() and sys.stdout.isatty()
    try:
        return Instances(layout(settings), settings.state_dir / "guest").exec_in(server_id, arguments.argv, tty=tty)
    except ProcessLookupError as error:
        raise Trouble(str(error)) from None


def _is_id(text: str) -> bool:
    """Whether it needs no question to the API; hosts of compute alone have no credentials for one."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _find(client: Client, wanted: str) -> str:
    servers = client.get(f"/compute/v2.1/{client.project_id}/servers?all_tenants=1&name={quote(wanted, safe='')}")[
        "servers"
    ]
    matching = [entry["id"] for entry in servers if entry["name"] == wanted]
    if not matching:
        everything = client.get(f"/compute/v2.1/{client.project_id}/servers?all_tenants=1")["servers"]
        matching = [entry["id"] for entry in everything if entry["id"] == wanted]
    if len(matching) != 1:
        many = "several instances bear the name; give the id of one" if matching else "there is no such instance"
        raise Trouble(f"'{wanted}': {many} ('openstack server list --all-projects' shows them)")
    return str(matching[0])
