"""``netloom host``: the hosts that may connect, each with its own key."""

import argparse
from typing import Any

import sqlalchemy as sa

from netloom.cli.settings import configuration
from netloom.cli.terminal import Trouble, table
from netloom.feed import keys
from netloom.settings.load import server_settings
from netloom.store.database import Store
from netloom.store.migrate import migrate
from netloom.store.tables.feed import HOSTS


def add_parser(commands: Any) -> None:
    """Declare the command and its verbs."""
    command = commands.add_parser("host", help="admit hosts, list or remove them", description=__doc__)
    verbs = command.add_subparsers(dest="verb", metavar="VERB", required=True)
    add = verbs.add_parser("add", help="print a new key for a host (an older one ends)")
    add.add_argument("name", help="the host's name, as its agent says it")
    add.set_defaults(run=run_add)
    remove = verbs.add_parser("remove", help="refuse a host from now on")
    remove.add_argument("name")
    remove.set_defaults(run=run_remove)
    verbs.add_parser("list", help="list the hosts that have a key").set_defaults(run=run_list)


def run_add(arguments: argparse.Namespace) -> int:
    """Print a new key."""
    store = _store(arguments)
    with store.write() as tx:
        print(keys.issue(tx, arguments.name))
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    """Forget a host's key."""
    with _store(arguments).write() as tx:
        if not tx.execute(sa.delete(HOSTS).where(HOSTS.c.name == arguments.name)).rowcount:
            raise Trouble(f"there is no host '{arguments.name}'; 'netloom host list' shows those that have a key")
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    """List the hosts."""
    with _store(arguments).read() as tx:
        table(["NAME"], [[row["name"]] for row in tx.rows(sa.select(HOSTS.c.name).order_by(HOSTS.c.name))])
    return 0


def _store(arguments: argparse.Namespace) -> Store:
    store = Store(server_settings(configuration(arguments)).database)
    migrate(store)
    return store
