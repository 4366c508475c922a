"""Tags."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from netloom.model.errors import BadRequest, HTTPBadRequest
from netloom.model.networks import NETWORK
from netloom.rules import reading, tags
from tests.unit.feed import cloud
from tests.unit.rules.callers import admin


@pytest.fixture
def network(store):
    with store.write() as tx:
        return cloud.network(tx, revision_number=1)


def state(store, key):
    with store.read() as tx:
        view = reading.get(tx, admin(), NETWORK, key)
    return view["tags"], view["revision_number"]


def test_tags_come_and_go_and_bump_the_revision_when_they_change(store, network):
    for action, given, expected in (
        (tags.replace, ["b", "a"], (["a", "b"], 2)),
        (tags.replace, ["a", "b"], (["a", "b"], 2)),
        (tags.add, ["b", "c"], (["a", "b", "c"], 3)),
        (tags.add, ["c"], (["a", "b", "c"], 3)),
        (tags.remove, "a", (["b", "c"], 4)),
        (tags.replace, ["c", "d"], (["c", "d"], 5)),
        (tags.replace, [], ([], 6)),
    ):
        with store.write() as tx:
            action(tx, NETWORK, network, given)
        assert state(store, network) == expected
    with pytest.raises(tags.TagNotFound), store.write() as tx:
        tags.remove(tx, NETWORK, network, "c")
    assert state(store, network) == ([], 6)


def test_at_most_fifty(store, network):
    with store.write() as tx:
        tags.replace(tx, NETWORK, network, [str(number) for number in range(50)])
    for action, given in ((tags.add, ["more"]), (tags.replace, [str(number) for number in range(51)])):
        with pytest.raises(BadRequest), store.write() as tx:
            action(tx, NETWORK, network, given)
    assert state(store, network)[1] == 2


def test_many_at_once(store, network):
    def add(number):
        with store.write() as tx:
            tags.add(tx, NETWORK, network, ["all", str(number)])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, range(12)))
    found, revision = state(store, network)
    assert len(found) == 13
    assert revision == 13


@pytest.mark.parametrize(
    "body", [{}, {"tags": "a"}, {"tags": ["a", "a"]}, {"tags": ["x" * 256]}, {"tags": [7]}, {"tags": None}, [], None]
)
def test_nonsense_is_refused(body):
    with pytest.raises(HTTPBadRequest):
        tags.parse(body)


def test_parse():
    assert tags.parse({"tags": ["b", "a"]}) == ["b", "a"]
