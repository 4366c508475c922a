"""The intent as of one position of the change log, and what it means for each connected host.

Whatever the number of hosts: changes are read once, what they name is read once and rendered once, and each host
is told only what is another for it. A fragment that nobody connected wants is not rendered.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from netloom.feed import changes
from netloom.feed.interest import interest
from netloom.feed.protocol import Piece, Update
from netloom.feed.render import encode, render
from netloom.feed.render import version as version_of
from netloom.feed.topology import Topology, Touched
from netloom.settings.network import NetworkSettings
from netloom.store.database import Tx


@dataclass(eq=False)
class Slice:
    """What one connected host has of the intent."""

    host: str
    holds: Mapping[str, str] | None
    """Versions by name that its agent says it holds; None once it has been compared: then it holds ``wanted``."""
    wanted: set[str] = field(default_factory=set)
    """Names of all that it is to have, as far as there is such a fragment."""


class View:
    """What is known of the intent; not for two threads at once."""

    def __init__(self, settings: NetworkSettings) -> None:
        self._settings = settings
        self._position: str | None = None
        self._topology = Topology()
        self._pieces: dict[str, Piece | None] = {}
        """All that is in any slice, and perhaps more; None where there is no such fragment."""
        self._pending = Touched(set(), set())
        """What was touched since the slices were told."""

    def follow(self, tx: Tx, slices: Collection[Slice]) -> dict[Slice, Update]:
        """Take over what has changed, and tell what it means for each slice that it means something for.

        When it fails, for example because the database does not answer, the next call makes up for it.
        """
        position = self._read(tx, slices)
        if not self._pending.names and all(each.holds is None for each in slices):
            self._position = position
            return {}
        wanted = {
            each: interest(self._topology, each.host)
            for each in slices
            if each.holds is not None or each.host in self._pending.hosts
        }
        stale = self._stale(slices, wanted)
        missing = set().union(*(names.difference(self._pieces) for names in wanted.values()))
        rendered = self._render(tx, stale | missing)
        # From here on nothing can fail.
        before = {name: self._pieces[name] for name in stale}
        self._pieces |= rendered
        changed = {name for name in stale if before[name] != rendered[name]}
        updates = {each: self._update(each, wanted.get(each, each.wanted), changed, before) for each in slices}
        for name in self._pending.names - rendered.keys():
            self._pieces.pop(name, None)
        for each, names in wanted.items():
            each.wanted, each.holds = names, None
        self._position, self._pending = position, Touched(set(), set())
        return {each: update for each, update in updates.items() if update is not None}

    def _read(self, tx: Tx, slices: Collection[Slice]) -> str:
        """The position that the topology is brought to."""
        position, changed = changes.since(tx, self._position)
        if changed is None:
            topology = Topology()
            topology.load(tx)
            for each in slices:
                if each.holds is None:
                    each.holds = {piece.name: piece.version for piece in self._held(each)}
            self._topology, self._pieces = topology, {}
        elif changed:
            touched = self._topology.refresh(tx, changed)
            self._pending.hosts.update(touched.hosts)
            self._pending.names.update(touched.names)
        return position

    def _held(self, each: Slice) -> Iterator[Piece]:
        return (piece for name in each.wanted if (piece := self._pieces[name]) is not None)

    def _stale(self, slices: Collection[Slice], wanted: Mapping[Slice, set[str]]) -> set[str]:
        """Known fragments that were touched and that somebody wants."""
        stale: set[str] = set()
        if touched := self._pending.names & self._pieces.keys():
            for each in slices:
                stale |= touched & wanted.get(each, each.wanted)
        return stale

    def _render(self, tx: Tx, names: Collection[str]) -> dict[str, Piece | None]:
        return {
            name: None if fragment is None else Piece(name, version_of(body := encode(fragment)), body)
            for name, fragment in render(tx, names, self._settings).items()
        }

    def _update(
        self, each: Slice, wanted: set[str], changed: set[str], before: Mapping[str, Piece | None]
    ) -> Update | None:
        """What an agent must be told; None when there is nothing."""
        if each.holds is not None:
            return self._first(each.holds, wanted)
        known = changed & wanted & each.wanted
        fresh = wanted - each.wanted if wanted is not each.wanted else set()
        left = each.wanted - wanted if wanted is not each.wanted else set()
        removed = [name for name in known if self._pieces[name] is None]
        removed += [name for name in left if before.get(name, self._pieces.get(name)) is not None]
        pieces = self._sorted(known | fresh)
        return Update(pieces, sorted(removed), complete=True) if pieces or removed else None

    def _first(self, holds: Mapping[str, str], wanted: set[str]) -> Update:
        """The first update of a connection, also when there is nothing to tell: the agent holds all then."""
        pieces, kept = [], set()
        for name in wanted:
            if (piece := self._pieces[name]) is not None:
                kept.add(name)
                if holds.get(name) != piece.version:
                    pieces.append(piece)
        return Update(sorted(pieces, key=attrgetter("name")), sorted(holds.keys() - kept), complete=True)

    def _sorted(self, names: Collection[str]) -> list[Piece]:
        """The fragments of these names, as far as there are such."""
        return [piece for name in sorted(names) if (piece := self._pieces[name]) is not None]
