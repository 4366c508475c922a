"""Instances of this machine, by the names that people give them."""

import argparse
import uuid
from pathlib import Path
from urllib.parse import quote

from netloom.agent.loop import layout
from netloom.cli.client import Client
from netloom.cli.settings import configuration
from netloom.cli.terminal import Trouble, require_root
from netloom.host.instances import Instances
from netloom.settings.load import host_settings


def reach(arguments: argparse.Namespace) -> tuple[Instances, str]:
    """The instances of this machine, and the id of the one that ``arguments.server`` names.

    Raises:
        Trouble: we are not root, or no single instance bears the name.
    """
    require_root("reaching an instance")
    conf = configuration(arguments)
    server_id = arguments.server
    if not _is_id(server_id):
        server_id = _find(Client(Path(conf.netloom.config_path) / "clouds.yaml", "netloom-admin"), server_id)
    settings = host_settings(conf)
    return Instances(layout(settings), settings.state_dir / "guest"), server_id


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
