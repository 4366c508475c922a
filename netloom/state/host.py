"""A whole host: the elements by key, the difference of two states, and what is known but not planned."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from netloom.state.element import Element, Key

E = TypeVar("E", bound=Element)


@dataclass(frozen=True, slots=True)
class Changes(Generic[E]):
    """What turns the actual elements of one class into the wanted ones, each list in key order."""

    create: tuple[E, ...]
    update: tuple[tuple[E, E], ...]
    """Pairs of (actual, wanted)."""
    delete: tuple[E, ...]

    def __bool__(self) -> bool:
        return bool(self.create or self.update or self.delete)


class HostState:
    """A set of elements, by class and key. Planned or observed; order of insertion does not matter."""

    def __init__(self, elements: Iterable[Element] = ()) -> None:
        self._elements: dict[type[Element], dict[Key, Element]] = {}
        for element in elements:
            self.add(element)

    def add(self, element: Element) -> None:
        """Add one element.

        Raises:
            ValueError: another element of the same class and key, but with other contents, is there: two
                planners disagree.
        """
        known = self._elements.setdefault(type(element), {})
        other = known.setdefault(element.key, element)
        if other != element:
            raise ValueError(f"two plans for one thing: {other} ({other.origin}) and {element} ({element.origin})")

    def update(self, elements: Iterable[Element]) -> None:
        """Add several elements."""
        for element in elements:
            self.add(element)

    def of(self, kind: type[E]) -> Mapping[Key, E]:
        """The elements of one class by key."""
        return self._elements.get(kind, {})  # type: ignore[return-value]  # keyed by class above

    def changes(self, kind: type[E], actual: "HostState") -> Changes[E]:
        """What must be done to ``actual`` so that its elements of one class are these."""
        want, have = self.of(kind), actual.of(kind)
        return Changes(
            create=tuple(want[k] for k in sorted(want.keys() - have.keys())),
            update=tuple((have[k], want[k]) for k in sorted(want.keys() & have.keys()) if have[k] != want[k]),
            delete=tuple(have[k] for k in sorted(have.keys() - want.keys())),
        )

    def __iter__(self) -> Iterator[Element]:
        for kind in sorted(self._elements, key=lambda kind: kind.__name__):
            yield from (self._elements[kind][key] for key in sorted(self._elements[kind]))

    def __len__(self) -> int:
        return sum(map(len, self._elements.values()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HostState) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __str__(self) -> str:
        """Canonical text, one line an element, sorted: what golden files hold."""
        return "".join(f"{element}\n" for element in self)


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface that somebody plugged into a bridge for a port (os-vif's ``iface-id``)."""

    device: str
    port_id: str
    mac: str
    bridge: str = ""
    """Where it is; empty when it is yet to come, and will be where it belongs."""
    ours: bool = False
    """Whether we plugged it ourselves, for a service or for an instance of our own."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What planners must know of the host as it is."""

    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    """Plugged interfaces by port id; flows are planned only for devices that are there."""
    vlans: Mapping[str, int] = field(default_factory=dict)
    """Local VLAN by network id, as found on the ports of br-int; they stay as they are."""
    zones: Mapping[str, int] = field(default_factory=dict)
    """Conntrack zone of each sub-port that has one of its own, by port id; they stay, too."""
    namespaces: Mapping[str, int] = field(default_factory=dict)
    """Inode of each network namespace that is there, by name: one that is made anew has another."""
    failing_members: frozenset[str] = frozenset()
    """Ids of members of load balancers that do not answer their monitors."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An element that could not be brought to its planned state."""

    origin: str
    element: str
    """Canonical text."""
    reason: str
    """What went wrong, for people."""
