"""How elections of active hosts stand here, and what speaks against this host.

keepalived holds the elections and needs no agent for that. It is told, by a file that it watches, what the hosts
cannot hear of each other: that an uplink of this host has lost its carrier, or that the router is not as planned.
A host that the others cannot hear resigns. One that merely serves badly resigns too, but only for the time that
another needs to take over; then it stands by with the least priority, for when there is no better one. So does an
active one that somebody took an address from: keepalived sets all of them when it is elected again.

A thread of its own watches, so that nothing that the agent is busy with delays a failover. How an election stands is
read off the addresses that are there.
"""

import contextlib
import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from netloom.host import addressing
from netloom.host.carrier import Carriers
from netloom.host.layout import Layout
from netloom.host.namespaces import RUN_NETNS, inside
from netloom.state import Election

FIT, LAST_RESORT, UNFIT = 0, -40, -254
"""What keepalived adds to its priority; the last one stands for resignation."""
ACTIVE, STANDBY, FAULT = "active", "standby", "fault"
_GROUPS = 0x10 | 0x100
"""Changes of IPv4 and IPv6 addresses."""
_PATIENCE = 1.0
"""Seconds that an active host may be without one of its addresses: they come one after the other."""


@dataclass(slots=True)
class _Seat:
    """Our part in one election."""

    election: Election
    events: socket.socket
    """Tells changes of addresses in the router's namespace."""
    inode: int
    """Of that namespace: one that was made anew is another one."""
    active: bool = False
    level: int | None = None
    """What the file says; None when it is not there."""
    whole: bool = False
    """Whether it had all its addresses since it is active with these."""
    broken_since: float = 0.0
    """Monotonic time at which it lost some of them; 0: it did not."""
    resigned_until: float = 0.0
    """Monotonic time; 0: it did not resign."""

    @property
    def state(self) -> str:
        if self.active:
            return ACTIVE
        return STANDBY if self.level == FIT else FAULT


class Elections:
    """The elections that this host takes part in. ``on_change`` is called, from any thread, when one went otherwise."""

    def __init__(self, layout: Layout, on_change: Callable[[], None]) -> None:
        self._root = layout.state_dir
        self._on_change = on_change
        self._seats: dict[str, _Seat] = {}
        self._ailing: Collection[str] = ()
        self._leaving: Collection[str] = frozenset()
        self._lock = threading.Lock()
        self._carriers = Carriers()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(self._wake, select.EPOLLIN)
        self._epoll.register(self._carriers.fileno(), select.EPOLLIN)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="elections", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no more; the elections go on."""
        self._closed = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        for seat in self._seats.values():
            seat.events.close()
        self._carriers.close()
        self._epoll.close()
        os.close(self._wake)

    def states(self) -> dict[str, str]:
        """``active``, ``standby`` or ``fault`` by id of the router."""
        with self._lock:
            return {router: seat.state for router, seat in self._seats.items()}

    def follow(self, elections: Iterable[Election], uplinks: Mapping[str, Collection[str]]) -> None:
        """Watch these and no others. ``uplinks`` are the devices by which each bridge reaches the world."""
        wanted = {election.router: election for election in elections}
        with self._lock:
            media = {medium for e in wanted.values() for medium in (e.heard_over, *e.served_over) if medium}
            self._carriers.watch(media, uplinks)
            for router in self._seats.keys() - wanted.keys():
                self._leave(router)
            for router, election in wanted.items():
                with contextlib.suppress(OSError):  # its namespace has not come, which is somebody else's failure
                    self._join(router, election)
            self._consider()
        self._on_change()
        os.eventfd_write(self._wake, 1)

    def blame(self, origins: Collection[str]) -> None:
        """Routers (by the origin of their elections) that are not as planned on this host."""
        with self._lock:
            self._ailing = origins
            self._consider()
        os.eventfd_write(self._wake, 1)

    def hand_over(self, routers: Collection[str]) -> None:
        """Let other hosts have these routers (by id): they take over while this one still serves."""
        if self._leaving == frozenset(routers):
            return
        with self._lock:
            self._leaving = frozenset(routers)
            self._consider()

    def _join(self, router: str, election: Election) -> None:
        inode = (RUN_NETNS / election.namespace).stat().st_ino
        seat = self._seats.get(router)
        if seat and seat.inode != inode:
            self._leave(router)
            seat = None
        if seat is None:
            with inside(election.namespace):
                kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
                events = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
            events.bind((0, _GROUPS))
            self._seats[router] = seat = _Seat(election, events, inode)
            self._epoll.register(events, select.EPOLLIN)
        if seat.election.shared != election.shared:
            seat.whole = False
        seat.election = election
        self._look(seat)
        seat.level = self._read(election)

    def _leave(self, router: str) -> None:
        seat = self._seats.pop(router)
        self._epoll.unregister(seat.events)
        seat.events.close()

    def _run(self) -> None:
        while True:
            ready = {descriptor for descriptor, _ in self._epoll.poll(self._pause())}
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
            if self._closed:  # only now: what was read may have been the word of it
                return
            with self._lock:
                changed = self._take(ready)
            if changed:
                self._on_change()

    def _pause(self) -> float | None:
        """Seconds until a resignation, or what leads to one, has lasted long enough."""
        with self._lock:
            seats = self._seats.values()
            waits = [seat.resigned_until for seat in seats if seat.resigned_until]
            waits += [seat.broken_since + _PATIENCE for seat in seats if seat.broken_since]
        return max(0.0, min(waits) - time.monotonic()) if waits else None

    def _take(self, ready: Collection[int]) -> bool:
        """Take in what happened; whether an election stands otherwise now."""
        before = {router: seat.state for router, seat in self._seats.items()}
        if self._carriers.fileno() in ready:
            self._carriers.look()
        for seat in self._seats.values():
            if seat.events.fileno() in ready:
                _drain(seat.events)
                self._look(seat)
        self._consider()
        return before != {router: seat.state for router, seat in self._seats.items()}

    @staticmethod
    def _look(seat: _Seat) -> None:
        election = seat.election
        try:
            with inside(election.namespace):
                present = addressing.present()
        except OSError:  # it is about to go
            present = set()
        seat.active = any(on == election.device and cidr.startswith(f"{election.address}/") for on, cidr in present)
        whole = present.issuperset(election.shared)
        seat.whole = seat.active and (whole or seat.whole)
        if whole or not seat.whole:
            seat.broken_since = 0.0
        else:
            seat.broken_since = seat.broken_since or time.monotonic()

    # Fitness

    def _consider(self) -> None:
        """Bring what keepalived is told to what is."""
        now = time.monotonic()
        for seat in self._seats.values():
            fitness = self._fitness(seat.election)
            if seat.broken_since and now >= seat.broken_since + _PATIENCE:
                seat.broken_since, seat.whole = 0.0, False
                seat.resigned_until = now + seat.election.handover
            elif seat.active and seat.level in (FIT, None) and fitness != UNFIT and self._poor(seat.election):
                seat.resigned_until = now + seat.election.handover
            elif now >= seat.resigned_until:
                seat.resigned_until = 0.0
            self._write(seat, UNFIT if seat.resigned_until else fitness)

    def _fitness(self, election: Election) -> int:
        if self._carriers.lost(election.heard_over):
            return UNFIT
        return LAST_RESORT if self._poor(election) or election.router in self._leaving else FIT

    def _poor(self, election: Election) -> bool:
        """Whether there are others, and better none for a moment than this host."""
        poor = election.origin in self._ailing or any(map(self._carriers.lost, election.served_over))
        return poor and bool(election.heard_over)

    def _read(self, election: Election) -> int | None:
        try:
            return int((self._root / election.health).read_text())
        except (OSError, ValueError):
            return None

    def _write(self, seat: _Seat, level: int) -> None:
        if seat.level == level:
            return
        with contextlib.suppress(OSError):  # tried again at the next occasion
            (self._root / seat.election.health).write_text(f"{level}\n")
            seat.level = level


def _drain(events: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            try:
                events.recv(1 << 16)
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # some were lost: all the more reason to look
                    raise
