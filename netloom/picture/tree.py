"""The cables of a host as trees: what hangs on the integration bridge, what hangs on that, and so on."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from netloom.picture.cables import Cable, Kind, Place, cables
from netloom.state import Bridge, HostState


@dataclass(frozen=True, slots=True)
class Branch:
    """A place, the cables that lead to it (``one`` is the nearer end), and what hangs on it."""

    place: Place
    title: str
    cables: tuple[Cable, ...] = ()
    children: tuple["Branch", ...] = ()
    leaves: tuple[Cable, ...] = ()
    """Cables that lead out of the picture."""

    def walk(self) -> Iterator["Branch"]:
        """It and all that hangs on it."""
        yield self
        for child in self.children:
            yield from child.walk()


def whole(state: HostState, root: str, names: Mapping[str, str]) -> list[Branch]:
    """Trees of all bridges: first that of the bridge ``root``, then those of bridges that have nothing to do with it.

    ``names`` are what people call things, by their ids.
    """
    grower = _Grower(cables(state), names)
    bridges = sorted((bridge.name for bridge in state.of(Bridge).values()), key=lambda name: (name != root, name))
    return [tree for name in bridges if (tree := grower.grow(Place(Kind.SWITCH, name)))]


def part(trees: Sequence[Branch], wanted: str, names: Mapping[str, str], ports: Collection[str] = ()) -> Branch | None:
    """What concerns one instance, port, network or namespace of the first tree, and what serves its networks.

    ``wanted`` is an id or its beginning, a name, or the name of a device; ``ports`` are ids of ports that belong to it.
    None when nothing is called so.
    """
    root, sought = trees[0], _Sought(wanted, names, frozenset(ports))
    below = [(cable, child) for child in root.children for cable in child.cables]
    chosen = {cable for cable, child in below if sought.cable(cable) or sought.branch(child)}
    if not chosen:
        return None
    vlans = {cable.one.tag for cable in chosen if cable.one.tag is not None}
    kept = [_pruned(child, [c for c in child.cables if c in chosen or _serves(c, vlans)]) for child in root.children]
    return replace(root, children=tuple(filter(None, kept)), leaves=())


@dataclass(frozen=True, slots=True)
class _Sought:
    """What somebody asked for, in words."""

    wanted: str
    names: Mapping[str, str]
    ports: frozenset[str]

    def text(self, text: str) -> bool:
        """Whether an id, or the name of a device, is meant."""
        return bool(text) and (text.startswith(self.wanted) or self.names.get(text) == self.wanted)

    def cable(self, cable: Cable) -> bool:
        """Whether an end is meant: its device, its port or its network."""
        ends = [end for end in (cable.one, cable.other) if end]
        return any(end.port_id in self.ports for end in ends) or any(
            self.text(text) for end in ends for text in (end.port, end.port_id, end.network)
        )

    def branch(self, branch: Branch) -> bool:
        """Whether the place or something behind it is meant."""
        here = self.text(branch.place.id) or self.text(_last(branch.place.id))
        behind = (self.branch(child) or any(map(self.cable, child.cables)) for child in branch.children)
        return here or any(behind)


def _serves(cable: Cable, vlans: Collection[int]) -> bool:
    """Whether it leads to DHCP, a router, or to other hosts."""
    kind = cable.other.place.kind if cable.other else None
    return cable.one.tag in vlans if kind == Kind.NAMESPACE else kind == Kind.SWITCH and not cable.one.port_id


def _pruned(branch: Branch, kept: Iterable[Cable]) -> Branch | None:
    left = tuple(kept)
    return replace(branch, cables=left) if left else None


def _last(namespace: str) -> str:
    """The id of what a namespace is for: ``qrouter-ID``."""
    return namespace.partition("-")[2]


class _Grower:
    """Grows trees; each bridge and namespace is in one of them."""

    def __init__(self, all_cables: Iterable[Cable], names: Mapping[str, str]) -> None:
        self._at: dict[Place, list[Cable]] = {}
        """Cables by the places that they have an end at, which is their ``one``."""
        for cable in all_cables:
            for end in filter(None, (cable.one, cable.other)):
                self._at.setdefault(end.place, []).append(cable.seen_from(end.place))
        self._names = names
        self._grown: set[Place] = set()

    def grow(self, place: Place) -> Branch | None:
        """The tree of a place; None when it is in another one."""
        if place in self._grown:
            return None
        self._grown.add(place)
        return self._branch(place, ())

    def _branch(self, place: Place, incoming: Sequence[Cable]) -> Branch:
        if place.kind == Kind.INSTANCE:  # what else it has cards in is drawn there
            return Branch(place, self._title(place), tuple(incoming))
        arrived = {(cable.one, cable.other) for cable in incoming}
        groups: dict[Place, list[Cable]] = {}
        leaves = []
        for cable in self._at.get(place, []):
            if cable.other is None:
                leaves.append(cable)
            elif (cable.other, cable.one) not in arrived and cable.other.place not in self._grown:
                groups.setdefault(cable.other.place, []).append(cable)
        self._grown |= {there for there in groups if there.kind != Kind.INSTANCE}
        children = [self._branch(there, sorted(group, key=_by_tag)) for there, group in groups.items()]
        return Branch(place, self._title(place), tuple(incoming), tuple(sorted(children, key=_order)), tuple(leaves))

    def _title(self, place: Place) -> str:
        if place.kind == Kind.INSTANCE:
            return self._names.get(place.id, place.id)
        name = self._names.get(_last(place.id)) if place.kind == Kind.NAMESPACE else None
        return f"{place.id} ({name})" if name else place.id


def _by_tag(cable: Cable) -> tuple[int, int, str]:
    far = cable.other.tag if cable.other else None
    return far or 0, cable.one.tag or 0, cable.one.port


def _order(branch: Branch) -> tuple[int, str, int, str]:
    """Instances first, then what serves them (DHCP, then routers), then the ways out."""
    vlan = branch.cables[0].one.tag or 0
    if any(one.place.kind == Kind.INSTANCE for one in branch.walk()):
        return 0, "", vlan, branch.place.id
    if branch.place.kind == Kind.NAMESPACE:
        return 1, branch.place.id.partition("-")[0], vlan, branch.place.id
    return 2, "", vlan, branch.place.id
