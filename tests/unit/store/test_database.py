"""The database's file and transactions."""

import stat
import threading

import pytest
import sqlalchemy as sa

from netloom.store.database import Store
from netloom.store.migrate import migrate
from netloom.store.tables.feed import CHANGES, HOSTS


@pytest.fixture
def store(tmp_path):
    made = Store(f"sqlite:///{tmp_path}/netloom.db")
    migrate(made)
    yield made
    made.close()


def test_only_the_owner_can_read_the_database(store, tmp_path):
    with store.write() as tx:
        tx.execute(sa.insert(HOSTS).values(name="h1", key_digest="x"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes
    assert set(modes.values()) == {0o600}


def test_a_failed_transaction_leaves_nothing_and_wakes_nobody(store):
    woken = []
    store.listen(lambda: woken.append(True))

    def fail() -> None:
        with store.write() as tx:
            tx.execute(sa.insert(HOSTS).values(name="h1", key_digest="x"))
            tx.changed("host", "h1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with store.read() as tx:
        assert tx.rows(sa.select(HOSTS)) == tx.rows(sa.select(CHANGES)) == []
    assert woken == []


def test_changes_are_logged_once_each_with_what_they_are_about(store):
    with store.write() as tx:
        for _ in range(2):
            tx.changed("port", "p1")
        tx.changed("network", "n1")
    with store.read() as tx:
        assert [(row["kind"], row["object_id"]) for row in tx.rows(sa.select(CHANGES))] == [
            ("port", "p1"),
            ("network", "n1"),
        ]


def test_writers_wait_for_each_other_and_none_is_lost(store):
    def add(name):
        with store.write() as tx:
            tx.execute(sa.insert(HOSTS).values(name=name, key_digest="x"))

    threads = [threading.Thread(target=add, args=(f"h{i}",)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as tx:
        assert tx.row(sa.select(sa.func.count().label("n")).select_from(HOSTS)) == {"n": 20}
