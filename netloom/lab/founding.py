"""What a lab's cloud begins with: its database with the first users, and the hosts' keys. Runs on the first server."""

from collections.abc import Sequence
from pathlib import Path

from netloom.feed import keys
from netloom.settings.load import read, server_settings
from netloom.standalone import cloud, credentials
from netloom.store.database import Store
from netloom.store.migrate import migrate


def found(files: Sequence[Path], url: str, hosts: Sequence[str]) -> dict[str, str]:
    """Make it all, as the configuration ``files`` of this server say; returns a new key for each of ``hosts``.

    ``url`` is where clients reach this server.
    """
    conf = read(files)
    settings = server_settings(conf)
    passwords = credentials.ensure(Path(conf.netloom.config_path), f"{url}/identity/v3")
    store = Store(settings.database)
    try:
        migrate(store)
        cloud.bootstrap(store, settings, passwords)
        with store.write() as tx:
            return {host: keys.issue(tx, host) for host in hosts}
    finally:
        store.close()
