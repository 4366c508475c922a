"""What the load balancers of this host find and count, as their haproxy tells over its socket, beside the loop.

Source: haproxy 2.6 management guide, 9.3 (commands) and 9.4 (master socket).
"""

import csv
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from netloom.feed.fragments import LoadBalancer
from netloom.feed.protocol import Traffic
from netloom.host.elections import ACTIVE
from netloom.host.questions import ask
from netloom.plan import loadbalancers
from netloom.plan.haproxy import UDP
from netloom.plan.intent import Intent
from netloom.plan.settings import PlanSettings
from netloom.state import Failure

LOG = structlog.get_logger()
PERIOD = 1.0
"""Seconds between looks."""
SHARE = 4
"""Looking takes one part of the time, and at least so many parts are pauses."""
TIMEOUT = 1.0
"""Seconds for an answer."""
RELOAD = 0.2
"""Seconds for which a master that reloads may turn others away."""
PATIENCE = 3.0
"""Seconds for which one that was told to begin, or that died, may be silent before that is news."""
STATES = {"UP": "up", "NOLB": "up", "DOWN": "down", "no": "unchecked", "DRAIN": "draining", "MAINT": "off"}
"""What the server is told of a member, by the first word of its status (``UP 1/3``, ``no check``)."""
Members = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Look:
    """What all processes of one haproxy told."""

    members: Members = field(default_factory=dict)
    """State of each member, as the present process finds it; those that it replaced examine nobody."""
    traffic: Mapping[tuple[str, str], Traffic] = field(default_factory=dict)
    """By listener and worker."""


class Observer:
    """A thread that looks at the load balancers of this host, and tells what is new."""

    def __init__(
        self,
        run_dir: Path,
        balancers: Callable[[], Mapping[str, LoadBalancer]],
        tell_members: Callable[[Mapping[str, Members | None]], None],
        tell_traffic: Callable[[Mapping[str, Mapping[str, Traffic]]], bool],
        interval: float,
        wake: Callable[[], None],
    ) -> None:
        """Prepare to look at ``balancers()``, whose sockets are below ``run_dir``.

        ``tell_members`` is given all states by balancer and member, and passes on what is new of them; ``tell_traffic``
        all counts, every ``interval`` seconds, and says whether they have arrived. ``wake`` is called when a balancer
        falls silent, or when members of UDP listeners, which need other plans, come or go.
        """
        self._run_dir, self._balancers = run_dir, balancers
        self._tell_members, self._tell_traffic = tell_members, tell_traffic
        self._interval, self._wake = interval, wake
        self._looks: dict[str, Look] = {}
        """The last answers of those that are here."""
        self._silent: dict[str, float] = {}
        """Since when others do not answer; monotonic time."""
        self._counted: dict[tuple[str, str], Traffic] = {}
        """All that is not known to have arrived; of workers that have ended, too."""
        self._reported = time.monotonic()
        self._stopped = threading.Event()
        self.failing: frozenset[str] = frozenset()
        """Ids of the members of UDP listeners that do not answer their monitors."""

    def start(self, elections: Callable[[], Mapping[str, str]]) -> None:
        """Begin; ``elections`` tells what this host is for balancers that others carry, too, from any thread."""
        threading.Thread(target=self._run, args=(elections,), name="load-balancers", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def _run(self, elections: Callable[[], Mapping[str, str]]) -> None:
        pause = PERIOD
        while not self._stopped.wait(pause):
            began = time.monotonic()
            try:
                self.look(elections())
            except Exception:
                LOG.exception("the load balancers could not be looked at; it is tried again")
            pause = max(PERIOD, SHARE * (time.monotonic() - began))

    def look(self, elections: Mapping[str, str]) -> None:
        """Ask all balancers once, and tell what is new."""
        serving = {key: one for key, one in self._balancers().items() if one.admin_state_up and one.listeners}
        for key in self._looks.keys() - serving.keys():
            del self._looks[key]
        self._silent = {key: since for key, since in self._silent.items() if key in serving}
        for key in serving:
            self._ask(key)
        self._tell_members({
            key: states
            for key, one in serving.items()
            if (one.ha is None or elections.get(key) == ACTIVE)
            for states in self._states(key)
        })  # fmt: skip
        self._count()
        self._follow_failing(serving.values())

    def _ask(self, key: str) -> None:
        path = self._run_dir / "daemons" / loadbalancers.daemon(key) / loadbalancers.ADMIN_SOCKET
        try:
            self._looks[key] = look(path) if key in self._silent else _look_patiently(path)
            self._silent.pop(key, None)
        except OSError as error:
            if key not in self._silent:
                LOG.info("a load balancer does not answer", id=key, socket=str(path), error=str(error))
                self._silent[key] = time.monotonic()
                self._wake()

    def _states(self, key: str) -> Iterator[Members | None]:
        """What is to be told of one; nothing as long as that is not known."""
        silent = self._silent.get(key)
        if silent is not None and time.monotonic() - silent > PATIENCE:
            yield None
        elif key in self._looks:
            yield self._looks[key].members

    def _count(self) -> None:
        present = {key: traffic for look in self._looks.values() for key, traffic in look.traffic.items()}
        self._counted |= present
        if time.monotonic() - self._reported < self._interval:
            return
        told: dict[str, dict[str, Traffic]] = {}
        for (listener, worker), traffic in self._counted.items():
            told.setdefault(listener, {})[worker] = traffic
        if self._tell_traffic(told):
            self._counted, self._reported = present, time.monotonic()

    def _follow_failing(self, serving: Collection[LoadBalancer]) -> None:
        found = {
            member
            for one in serving
            if any(listener.protocol == UDP for listener in one.listeners) and one.id in self._looks
            for member, state in self._looks[one.id].members.items()
            if state == "down"
        }
        if found != self.failing:
            self.failing = frozenset(found)
            self._wake()


def _look_patiently(path: Path) -> Look:
    """The same as ``look``, also while the master reloads."""
    try:
        return look(path)
    except ConnectionError:
        time.sleep(RELOAD)
        return look(path)


def look(path: Path) -> Look:
    """What all processes of one haproxy tell at the socket of its master.

    Raises:
        OSError: it does not answer, or has no process that serves.
    """
    workers = [words[:3] for line in _ask(path, "show proc").splitlines() if (words := line.split())[1:2] == ["worker"]]
    if not workers:
        raise ConnectionError("no worker runs")
    pids = [pid for pid, _, _ in sorted(workers, key=lambda worker: int(worker[2]))]
    # Listeners and members alone: 1 and 4, in the manual's words.
    told = _ask(path, "\n".join(f"@!{pid} show info\n@!{pid} show stat -1 5 -1" for pid in pids))
    members: dict[str, str] = {}
    traffic: dict[tuple[str, str], Traffic] = {}
    for position, (worker, rows) in enumerate(_blocks(told)):
        for row in rows:
            if row["svname"] == "FRONTEND":
                traffic[row["pxname"], worker] = _traffic(row)
            elif position == 0 and members.get(row["svname"]) != "down":
                members[row["svname"]] = _state(row)
    return Look(members, traffic)


def _ask(path: Path, questions: str) -> str:
    return ask(path, questions, TIMEOUT).decode(errors="replace")


def _blocks(told: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Of each worker its name, which no other ever has on this host, and the rows of its statistics."""
    worker = ""
    for block in told.split("\n\n"):
        text = block.strip()
        if text.startswith("# pxname"):
            yield worker, list(csv.DictReader(text.removeprefix("# ").splitlines()))
        elif "Pid: " in text:
            known = dict(line.partition(": ")[::2] for line in text.splitlines())
            worker = f"{known['Pid']}.{known['Start_time_sec']}"


def _state(row: Mapping[str, str]) -> str:
    state = STATES.get(row["status"].split(" ")[0], "down")
    return "draining" if row["weight"] == "0" and state in ("up", "unchecked") else state


def _traffic(row: Mapping[str, str]) -> Traffic:
    names = ("bin", "bout", "scur", "stot", "ereq")
    return Traffic(*(int(row[name] or 0) for name in names))


def unserved(intent: Intent, settings: PlanSettings) -> list[Failure]:
    """Load balancers that are asked of this host, but cannot be here: their own port is not, or has no election."""
    carried = {one.balancer.id for one in loadbalancers.carried(intent, settings)}
    return [
        Failure(one.name, "load balancer", _obstacle(one, intent, settings))
        for one in intent.load_balancers.values()
        if one.admin_state_up and one.id not in carried
    ]


def _obstacle(one: LoadBalancer, intent: Intent, settings: PlanSettings) -> str:
    own = next((port.port_id for port in one.ha.ports if port.host == settings.host), "") if one.ha else one.vip.port_id
    port = intent.ports.get(own)
    if port is None or port.host != settings.host:
        return f"its port {own or 'of this host'} is not bound here: does this host carry network {one.vip.network_id}?"
    driver = settings.firewall_driver
    return f"no election can be held with firewall_driver = {driver}: choose the loadbalancer_topology SINGLE"
