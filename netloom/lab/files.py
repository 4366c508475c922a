"""The files of a lab's hosts, written from outside."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from netloom.lab import configuration, postgresql
from netloom.lab.configuration import DIRECTORY
from netloom.lab.layout import Layout
from netloom.lab.machine import Machine
from netloom.standalone.credentials import write_private

STATE = "/var/lib/netloom"
CREDENTIALS = ("clouds.yaml", "admin-openrc", "demo-openrc")


def write_configuration(layout: Layout, machines: Mapping[str, Machine], secret: str, database_password: str) -> None:
    """Write what every host has in /etc; ``secret`` is that of metadata."""
    where = layout.address(layout.servers[0])
    database = postgresql.url(where, database_password) if database_password else ""
    for host in layout.hosts.values():
        machine = machines[host.name]
        machine.place("/etc/hosts").write_text(configuration.hosts_file(layout))
        machine.place("/etc/hostname").write_text(f"{host.name}\n")
        for directory in (DIRECTORY, STATE):
            machine.place(directory).mkdir(exist_ok=True)
        text = configuration.configuration(layout, host, secret, database)
        write_private(machine.place(configuration.CONFIGURATION), text)
        for name, given in host.config_files.items():
            machine.place(f"{DIRECTORY}/{Path(name).name}").write_text(given)


def hand_out(layout: Layout, machines: Mapping[str, Machine], keys: Mapping[str, str]) -> None:
    """Give each host its key, and further servers what all servers must have alike."""
    for name, key in keys.items():
        write_private(machines[name].place(f"{STATE}/host.key"), key + "\n")
    first, *others = layout.servers
    for other in others:
        here, there = machines[first.name], machines[other.name]
        shutil.copytree(here.place(f"{STATE}/images"), there.place(f"{STATE}/images"), dirs_exist_ok=True)
        for name in CREDENTIALS:
            text = here.place(f"{DIRECTORY}/{name}").read_text()
            own = text.replace(configuration.url(first), configuration.url(other))
            write_private(there.place(f"{DIRECTORY}/{name}"), own)
