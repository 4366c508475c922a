"""The change log: nothing is read twice, nothing is missed, however late it is committed."""

import sqlalchemy as sa

from netloom.feed.changes import since, trim
from netloom.store.database import Store
from netloom.store.tables.feed import CHANGES
from tests.statements import statements


def log(store: Store, *changes: tuple[str, str]) -> None:
    with store.write() as tx:
        for change in changes:
            tx.changed(*change)


def read(store: Store, last: str | None):
    with store.read() as tx:
        return since(tx, last)


def test_new_reader_compares_everything_and_then_sees_what_follows(store):
    log(store, ("port", "before"))
    position, changed = read(store, None)
    assert changed is None
    log(store, ("port", "a"), ("network", "n"), ("port", "a"))
    log(store, ("port", "b"))
    position, changed = read(store, position)
    assert changed == {("port", "a"), ("network", "n"), ("port", "b")}
    assert read(store, position)[1] == set()


def test_reading_is_one_statement(store):
    position, _ = read(store, None)
    log(store, *(("port", str(number)) for number in range(50)))
    with statements(store) as seen:
        assert len(read(store, position)[1]) == 50
    assert len(seen) == 1


def test_reader_of_an_empty_log_is_told_the_first_change(store):
    position, _ = read(store, None)
    assert read(store, position) == (position, set())
    log(store, ("port", "a"))
    assert read(store, position)[1] == {("port", "a")}


def test_rolled_back_changes_are_never_told(store):
    position, _ = read(store, None)
    try:
        with store.write() as tx:
            tx.changed("port", "lost")
            tx.execute(sa.text("SELECT broken"))
    except sa.exc.DBAPIError:
        pass
    log(store, ("port", "kept"))
    assert read(store, position)[1] == {("port", "kept")}


def test_late_committer_is_not_skipped_and_delays_nobody(postgresql_store):
    store = postgresql_store
    log(store, ("port", "first"))
    position, _ = read(store, None)
    with store.engine.connect() as late:
        # It takes its transaction number and its row's id before the others, and commits after them.
        number = sa.cast(sa.cast(sa.func.pg_current_xact_id(), sa.Text), sa.BigInteger)
        late.execute(CHANGES.insert().values(kind="port", object_id="late", transaction=number))
        log(store, ("port", "early"))
        position, changed = read(store, position)
        assert changed == {("port", "early")}
        log(store, ("port", "second"))
        position, changed = read(store, position)
        assert changed == {("port", "second")}
        late.commit()
    position, changed = read(store, position)
    assert changed == {("port", "late")}
    assert read(store, position)[1] == set()


def test_trimming_keeps_the_newest(store):
    for number in range(10):
        log(store, ("port", str(number)))
    with store.write() as tx:
        trim(tx, 4)
    with store.read() as tx:
        kept = set(tx.execute(sa.select(CHANGES.c.object_id)).scalars())
    # PostgreSQL keeps the oldest row's whole transaction as a mark.
    assert {"6", "7", "8", "9"} <= kept <= {"5", "6", "7", "8", "9"}


def test_reader_that_fell_behind_the_trimming_compares_everything(store):
    behind, _ = read(store, None)
    for number in range(10):
        log(store, ("port", str(number)))
    level, _ = read(store, None)
    with store.write() as tx:
        trim(tx, 1)
    log(store, ("port", "new"))
    assert read(store, level)[1] == {("port", "new")}
    position, changed = read(store, behind)
    assert changed is None
    assert read(store, position)[1] == set()


def test_trimming_leaves_what_an_open_transaction_could_still_precede(postgresql_store):
    store = postgresql_store
    log(store, ("port", "first"))
    with store.engine.connect() as late:
        number = sa.cast(sa.cast(sa.func.pg_current_xact_id(), sa.Text), sa.BigInteger)
        late.execute(CHANGES.insert().values(kind="port", object_id="late", transaction=number))
        position, _ = read(store, None)
        for key in "abc":
            log(store, ("port", key))
        with store.write() as tx:
            trim(tx, 1)
        late.commit()
    assert read(store, position)[1] == {("port", key) for key in ("a", "b", "c", "late")}


def test_trimming_an_empty_log_is_harmless(store):
    with store.write() as tx:
        trim(tx, 1000)
    position, _ = read(store, None)
    log(store, ("port", "a"))
    assert read(store, position)[1] == {("port", "a")}
