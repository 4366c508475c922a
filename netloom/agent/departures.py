"""Routers that leave this host for others: taken down here only after another host has taken over."""

import time
from collections.abc import Collection, Mapping

from netloom.feed.fragments import Fragment, Router
from netloom.host.elections import ACTIVE


class Departures:
    """Keeps fragments of routers that left this host while it is still the active one."""

    def __init__(self) -> None:
        self._known: Mapping[str, Fragment] = {}
        """As told last."""
        self._until: dict[str, float] = {}
        """Monotonic time up to which a router is kept, by its id."""

    @property
    def routers(self) -> Collection[str]:
        """Ids of those that are kept, which this host should hand over."""
        return self._until.keys()

    def keep(
        self, fragments: Mapping[str, Fragment], states: Mapping[str, str], patience: float
    ) -> Mapping[str, Fragment]:
        """The fragments, and those of routers that should go to other hosts first, with their networks.

        Args:
            fragments: what this host should have.
            states: what it is for its highly available routers, by id.
            patience: seconds that others may take; nobody does when the router is deleted.
        """
        now = time.monotonic()
        left = [
            fragment
            for name, fragment in self._known.items()
            if name not in fragments and isinstance(fragment, Router) and _shared(fragment)
        ]
        self._until = {
            router.id: self._until.get(router.id, now + patience) for router in left if states.get(router.id) == ACTIVE
        }
        kept = {router.name: router for router in left if self._until.get(router.id, 0.0) > now}
        self._until = {router.id: self._until[router.id] for router in kept.values()}
        needed = {f"network/{network}" for router in kept.values() for network in _networks(router)}
        networks = {name: self._known[name] for name in needed if name in self._known}
        self._known = {**networks, **kept, **fragments}
        return self._known

    def due_in(self) -> float | None:
        """Seconds until the first of them goes in any case; None when there are none."""
        return max(0.0, min(self._until.values()) - time.monotonic()) if self._until else None


def _shared(router: Router) -> bool:
    return router.ha is not None and len(router.ha.ports) > 1


def _networks(router: Router) -> list[str]:
    ports = [*router.interfaces, *([router.gateway] if router.gateway else [])]
    return [port.network_id for port in ports] + ([router.ha.network_id] if router.ha else [])
