"""``netloom host``: the hosts that may connect, each with its own key."""

import argparse

import sqlalchemy as sa

from netloom.cli.settings import configuration
from netloom.cli.terminal import Trouble, table
from netloom.feed import keys
from netloom.settings.load import server_settings
from netloom.store.database import Store
from netloom.store.migrate import migrate
from netloom.store.tables.feed import HOSTS


def run(arguments: argparse.Namespace) -> int:
    """Do what the verb says."""
    verbs = {"add": run_add, "remove": run_remove, "list": run_list}
    return verbs[arguments.verb](arguments)


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
