"""Values by id that are found by what they have in common, too."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Generic, TypeVar

V = TypeVar("V")
NOTHING: frozenset[str] = frozenset()


class Indexed(Generic[V]):
    """A table in memory."""

    def __init__(self, **keys: Callable[[V], Iterable[str]]) -> None:
        """An empty one; for each index, the keys under which it has a value (empty ones do not count)."""
        self.values: dict[str, V] = {}
        self._keys = keys
        self._ids: dict[str, dict[str, set[str]]] = {name: {} for name in keys}

    def ids(self, index: str, key: str) -> Collection[str]:
        """Ids of what has a key; the caller changes nothing meanwhile."""
        return self._ids[index].get(key, NOTHING)

    def find(self, index: str, key: str) -> Iterable[V]:
        """What has a key."""
        return (self.values[each] for each in self.ids(index, key))

    def differing(self, found: Mapping[str, V], asked: Collection[str]) -> set[str]:
        """Ids of what is not here as it was found; what was asked for and not found is gone."""
        changed = {each for each, value in found.items() if self.values.get(each) != value}
        return changed | {each for each in asked if each in self.values and each not in found}

    def take(self, found: Mapping[str, V], ids: Iterable[str]) -> None:
        """Have the values of ``ids`` be as they were found, or none where nothing was."""
        for each in ids:
            if each in self.values:
                self._index(each, self.values.pop(each), set.discard)
            if each in found:
                self.values[each] = found[each]
                self._index(each, found[each], set.add)

    def _index(self, each: str, value: V, change: Callable[[set[str], str], None]) -> None:
        for name, keys in self._keys.items():
            index = self._ids[name]
            for key in filter(None, keys(value)):
                ids = index.setdefault(key, set())
                change(ids, each)
                if not ids:
                    del index[key]
