"""``netloom draw``: how this host is wired, as it is."""

import argparse
import sys
from pathlib import Path

from oslo_config import cfg

from netloom import picture
from netloom.agent.loop import layout
from netloom.cli.balancers import COLUMNS, Balancers
from netloom.cli.client import Client
from netloom.cli.settings import configuration
from netloom.cli.terminal import Trouble, require_root
from netloom.host.instances import Instances
from netloom.host.survey import survey
from netloom.settings.host import HostSettings
from netloom.settings.load import host_settings
from netloom.state import HostState, Instance

NAMED = ("networks", "ports", "routers")


def run(arguments: argparse.Namespace) -> int:
    """Print the picture, or write it to a file."""
    require_root("looking into network namespaces")
    conf = configuration(arguments)
    settings = host_settings(conf)
    state = _look(settings)
    names, balancers = _told(conf, state)
    trees = picture.whole(state, settings.integration_bridge, names)
    if not trees or trees[0].place.id != settings.integration_bridge:
        raise Trouble(f"there is no bridge {settings.integration_bridge} on this host; is its agent running?")
    members = balancers.members(arguments.thing)
    if arguments.thing:
        trees = [_only(trees, arguments.thing, names, [member.port_id for member in members])]
    shown = [cable for child in trees[0].children for cable in child.cables]
    table = picture.lines(picture.networks(state, settings.integration_bridge, names, shown))
    if members:
        table += ["", *picture.table(COLUMNS, [member.cells(names) for member in members])]
    drawing = picture.draw(trees)
    if arguments.svg:
        heading = f"{arguments.thing or 'Bridges, ports and VLANs'} on {settings.host}"
        _write(arguments.svg, picture.as_svg(drawing, heading, [picture.SVG_LEGEND, "", *table]))
    else:
        print(f"{picture.as_text(drawing)}{picture.TEXT_LEGEND}\n\n" + "\n".join(table))
    return 0


def _look(settings: HostSettings) -> HostState:
    place = layout(settings)
    try:
        state = survey(place)
    except ConnectionError as error:
        raise Trouble(f"Open vSwitch's database does not answer at {place.ovsdb}: {error}") from None
    state.update(Instances(place, settings.state_dir / "guest").observe())
    return state


def _told(conf: cfg.ConfigOpts, state: HostState) -> tuple[dict[str, str], Balancers]:
    """What people call things, by their ids, and the load balancers: without credentials, instances' names alone."""
    names = {instance.id: instance.hostname for instance in state.of(Instance).values() if instance.hostname}
    clouds = Path(conf.netloom.config_path) / "clouds.yaml"
    if not clouds.exists():
        return names, Balancers(None)
    try:
        client = Client(clouds, "netloom-admin")
        for kind in NAMED:
            names |= {one["id"]: one["name"] for one in client.get(f"/v2.0/{kind}?fields=id&fields=name")[kind]}
        servers = client.get(f"/compute/v2.1/{client.project_id}/servers?all_tenants=1")["servers"]
        names |= {one["id"]: one["name"] for one in servers}
        balancers = Balancers(client)
    except Trouble as trouble:
        print(f"netloom draw: without names: {trouble}", file=sys.stderr)
        return names, Balancers(None)
    return names | balancers.names, balancers


def _only(trees: list[picture.Branch], thing: str, names: dict[str, str], ports: list[str]) -> picture.Branch:
    found = picture.part(trees, thing, names, ports)
    if not found:
        raise Trouble(f"nothing on this host has the name, id or device '{thing}'; 'netloom draw' shows all")
    return found


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise Trouble(f"{path} cannot be written: {error.strerror}") from None
