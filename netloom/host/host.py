"""One host: what it looks like, and the order in which it is brought to its plan."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from netloom.host import addressing, conntrack, isolation
from netloom.host.announce import Announcer
from netloom.host.daemons import Daemons
from netloom.host.elections import Elections
from netloom.host.failures import failure
from netloom.host.files import Files
from netloom.host.filters import Filters, canonical
from netloom.host.instances import Instances, no_machines
from netloom.host.ipsets import IpSets
from netloom.host.layout import Layout
from netloom.host.leases import Leases
from netloom.host.linux_bridges import LinuxBridges
from netloom.host.namespaces import Namespaces
from netloom.host.openflow import OpenFlow
from netloom.host.ovsdb import Ovsdb
from netloom.host.sysctls import Sysctls, of_a_device
from netloom.host.underlay import Underlay
from netloom.host.veths import Veths
from netloom.host.vswitch import daemon_pid
from netloom.host.watch import Watcher
from netloom.state import (
    Address,
    Bridge,
    Changes,
    Daemon,
    Election,
    Element,
    Facts,
    Failure,
    File,
    FilterTable,
    Flow,
    HostState,
    Instance,
    IpSet,
    LinuxBridge,
    Namespace,
    Route,
    SwitchPort,
    Sysctl,
    Veth,
)

E = TypeVar("E", bound=Element)
A = TypeVar("A", Address, Route)
_HOST = ""
"""The namespace that the agent itself is in."""


class Host:
    """The drivers of one host, for one thread.

    What the kernel tells only when asked (namespaces, links, addresses, filter tables, sets) and files are remembered
    as applied until something fails or ``audit`` is called; all else is looked at in every ``apply``.
    """

    def __init__(
        self,
        layout: Layout,
        guest_root: Path | None = None,
        on_election: Callable[[], None] = lambda: None,
        boot_files: Callable[[], Path] = no_machines,
    ) -> None:
        """
        Args:
            layout: where things are.
            guest_root: root file system of instances; without it the host runs none.
            boot_files: makes the directory with what virtual machines boot.
            on_election: called, from any thread, when ``elections`` may tell something new.

        Raises:
            ConnectionError: Open vSwitch's database does not answer.
            OSError: the host's own stack cannot be kept apart.
        """
        isolation.ensure(layout)
        self._ovsdb = Ovsdb(layout.ovsdb, rundir=layout.ovs_rundir)
        self._openflow = OpenFlow(layout.ovs_rundir, self._ovsdb.ofports)
        self._namespaces = Namespaces(layout)
        self._veths = Veths(layout)
        self._sysctls = Sysctls()
        self._filters = Filters()
        self._ip_sets = IpSets()
        self._linux_bridges = LinuxBridges(layout)
        self._files = Files(layout)
        self._daemons = Daemons(layout)
        self._leases = Leases(layout)
        self._instances = Instances(layout, guest_root, boot_files) if guest_root else None
        self._announcer = Announcer()
        self._underlay = Underlay()
        self._pidfile = layout.ovs_rundir / "ovs-vswitchd.pid"
        self._elections = Elections(layout, on_election)
        self._watcher = Watcher(self._ovsdb.wake)
        self._quiet: HostState | None = None
        """Namespaces and what is in them, and files, as last applied; None when they must be looked at."""
        self._bridged = True
        """Whether there may be Linux bridges of ours."""
        self._flows: dict[str, tuple[Flow, ...]] = {}
        """Flows by bridge as last applied, while nothing happened since that could have changed them."""

    def close(self) -> None:
        """Let go of the host; all that runs on it goes on."""
        self._watcher.close()
        self._elections.close()
        self._announcer.close()
        self._daemons.close()
        self._ovsdb.close()

    def observe(self) -> HostState:
        """All that is ours, as it is now. Flows are not in it: the switch tells only their cookies."""
        state = self._look_at_quiet()
        state.update(self._linux_bridges.observe())
        state.update(self._daemons.observe())
        state.update(self._ovsdb.observe())
        state.update(self._instances.observe() if self._instances else ())
        return state

    def facts(self) -> Facts:
        """What planners must know.

        Raises:
            ConnectionError: Open vSwitch's database does not answer.
        """
        return Facts(*self._ovsdb.facts(), namespaces=self._namespaces.inodes())

    def elections(self) -> dict[str, str]:
        """What this host is for the routers that others carry, too: ``active``, ``standby`` or ``fault``, by their ids.

        From any thread.
        """
        return self._elections.states()

    def hand_over(self, routers: Collection[str]) -> None:
        """Let other hosts have these routers (by id), no longer those of the last call; this one serves meanwhile."""
        self._elections.hand_over(routers)

    def audit(self) -> None:
        """Take nothing for granted at the next ``apply``."""
        self._quiet = None
        self._bridged = True
        self._flows.clear()
        self._openflow.invalidate()

    def wait(self, timeout: float, wake: int | None = None) -> bool:
        """Wait until something on the host asks for a new look; False when nothing did for ``timeout`` seconds.

        That is: a switch, port or interface changed, ovs-vswitchd came or went, a daemon or an instance ended, a
        daemon that kept failing may be tried again, or the descriptor ``wake`` is readable.
        """
        self._watcher.watch(self._daemons.deaths())
        self._watcher.watch(self._instances.deaths() if self._instances else ())
        if wake is not None:
            self._watcher.watch_again(wake)
        retry = self._daemons.retry_in()
        due = retry is not None and retry < timeout
        happened = self._ovsdb.wait(retry if due and retry is not None else timeout)
        if self._ovsdb.switched():
            self._flows.clear()
        return happened or due

    def apply(self, desired: HostState) -> list[Failure]:
        """Bring the host to its plan, changing only what differs.

        Returns what could not be done; everything else was. An element that failed is tried again at the next call.

        Raises:
            ConnectionError: Open vSwitch's database does not answer.
        """
        quiet = self._quiet or self._look_at_quiet()
        self._quiet = None  # unknown, should the following be interrupted
        daemons = HostState(self._daemons.observe())
        namespaces = desired.changes(Namespace, quiet)

        # A process must not see what it lives in go away piece by piece, so unwanted ones end first.
        self._daemons.delete(desired.changes(Daemon, daemons))
        failed = self._namespaces.create(namespaces)
        wanted, refused = _reachable(desired, failed)
        failed += refused
        # A device says nothing before its namespace filters, and an address is translated and filtered as planned from
        # its first packet on; see also _make_addresses.
        filters = _staying(wanted.changes(FilterTable, quiet), namespaces)
        sets = wanted.changes(IpSet, quiet)
        failed += self._ip_sets.put(sets)
        inner = _partly(filters, lambda table: table.namespace != _HOST)
        shared = _partly(filters, lambda table: table.namespace == _HOST)
        failed += self._filters.apply(inner)
        unfiltered = self._filters.apply(_coming(shared))
        failed += unfiltered
        failed += conntrack.forget_translations(filters.update)
        veths = wanted.changes(Veth, quiet)
        failed += self._make_links(wanted, quiet, veths)
        # Devices of instances, and links, are there before the switch takes them as ports. It is observed only now,
        # because a device that was made anew must be plugged anew.
        others = self._prepare_instances(desired)
        others += self._change_linux_bridges(desired, safe=not unfiltered)
        ovs = HostState(self._ovsdb.observe())
        ports, bridges = desired.changes(SwitchPort, ovs), desired.changes(Bridge, ovs)
        others += self._ovsdb.apply(_coming(bridges), _coming(ports))
        self._underlay.prepare(desired, daemon_pid(self._pidfile))
        failed += self._make_addresses(wanted, quiet, namespaces, veths)
        files = wanted.changes(File, quiet)
        failed += self._files.write(files)
        self._elections.follow(wanted.of(Election).values(), self._ovsdb.uplinks())
        # Flows name ports, so they come after new ports; they go before old ports, so that a port that comes to bear
        # the number of one that went does not inherit its flows.
        others += self._make_flows(desired, ovs, rewrite=bool(bridges or ports))
        # Nothing is let through in between when flows come to do what the host's own tables did.
        failed += self._filters.apply(_going(shared))
        failed += self._ip_sets.delete(sets)
        failed += conntrack.forget_zones(filters)
        # Daemons read files when they start or are told to, bind to addresses, and must hear each other: a host that
        # does not hear the active one takes its place.
        others += self._daemons.apply(wanted.changes(Daemon, daemons))
        others += self._release_leases(wanted)
        others += self._ovsdb.apply(_going(bridges), _going(ports))
        failed += self._veths.delete(veths)
        failed += self._namespaces.delete(namespaces)
        failed += self._files.delete(files)
        self._daemons.sweep({daemon.name for daemon in desired.of(Daemon).values()})
        # Only now does the segment reach a new address; and an instance boots into a network that answers it.
        missing = {failure.element for failure in failed}
        new = wanted.changes(Address, quiet).create
        self._announcer.announce(address for address in new if address.announced and str(address) not in missing)
        others += self._instances.start() if self._instances else []
        self._elections.blame({failure.origin for failure in failed + others})
        self._quiet = None if failed else wanted
        return failed + others

    def _release_leases(self, wanted: HostState) -> list[Failure]:
        """An address that its port gave up may go to another one at once."""
        try:
            self._leases.release(wanted)
        except OSError as error:
            return [Failure("", "leases of the DHCP servers", str(error))]
        return []

    def _look_at_quiet(self) -> HostState:
        state = HostState(self._namespaces.observe())
        names = [namespace.name for namespace in state.of(Namespace).values()]
        state.update(self._veths.observe(names))
        state.update(addressing.observe([_HOST, *names]))
        state.update(self._sysctls.observe())
        state.update(self._ip_sets.observe())
        state.update(self._filters.observe([_HOST, *names]))
        state.update(self._files.observe())
        return state

    def _make_links(self, wanted: HostState, quiet: HostState, veths: Changes[Veth]) -> list[Failure]:
        """Devices inherit settings of their namespace at birth, and get their own before they go up."""
        sysctls = wanted.changes(Sysctl, quiet)
        set_anew = [*sysctls.create, *(want for _, want in sysctls.update)]
        failures = self._sysctls.apply(sysctl for sysctl in set_anew if not of_a_device(sysctl))
        failures += self._veths.create(veths)
        failures += self._sysctls.apply(sysctl for sysctl in set_anew if of_a_device(sysctl))
        return failures + self._veths.bring_up()

    def _make_addresses(
        self, wanted: HostState, quiet: HostState, namespaces: Changes[Namespace], veths: Changes[Veth]
    ) -> list[Failure]:
        """Addresses and routes. What goes with its namespace or device is left to that."""
        gone = {(veth.namespace, veth.name) for veth in veths.delete}
        addresses = _staying(wanted.changes(Address, quiet), namespaces)
        routes = _staying(wanted.changes(Route, quiet), namespaces)
        failures = addressing.apply(_without(addresses, gone), _without(routes, gone))
        # The rules of these addresses are gone by now, so no new connection replaces a forgotten one.
        failures += conntrack.forget_addresses(addresses.delete)
        touched = {address.namespace for address in addresses.delete}
        if touched:  # the kernel may have taken routes away with the addresses
            now = HostState(addressing.observe(touched))
            here = HostState(route for route in wanted.of(Route).values() if route.namespace in touched)
            failed = {failure.element for failure in failures}
            lost = [route for route in here.changes(Route, now).create if str(route) not in failed]
            failures += addressing.apply(Changes((), (), ()), Changes(tuple(lost), (), ()))
        return failures

    def _make_flows(self, desired: HostState, ovs: HostState, *, rewrite: bool) -> list[Failure]:
        flows: dict[str, list[Flow]] = {port.bridge: [] for port in ovs.of(SwitchPort).values()}
        flows |= {bridge: [] for bridge in self._flows}
        for (doomed,) in ovs.of(Bridge).keys() - desired.of(Bridge).keys():
            flows.pop(doomed, None)  # they go with their bridge
        for flow in desired.of(Flow).values():
            flows.setdefault(flow.bridge, []).append(flow)
        failures = []
        for bridge, those in flows.items():
            asked = tuple(those)
            if not rewrite and self._flows.get(bridge) == asked:
                continue
            failed = self._openflow.apply(bridge, asked)
            failures += failed
            self._flows.pop(bridge, None)
            self._flows |= {bridge: asked} if asked and not failed else {}
        return failures

    def _change_linux_bridges(self, desired: HostState, *, safe: bool) -> list[Failure]:
        """A card that goes into a Linux bridge leaves the switch first: the kernel allows only one of the two.

        Unless it is safe, because the rules of the host are loaded, none goes.
        """
        if not (self._bridged or desired.of(LinuxBridge)):
            return []
        changes = desired.changes(LinuxBridge, HostState(self._linux_bridges.observe()))
        self._bridged = bool(desired.of(LinuxBridge))
        reason = PermissionError("the rules that filter it could not be loaded")
        failures = [] if safe else [failure(bridge, reason) for bridge in changes.create]
        changes = changes if safe else replace(changes, create=())
        cards = {bridge.card for bridge in (*changes.create, *(want for _, want in changes.update))}
        ports = HostState(self._ovsdb.observe() if cards else ()).of(SwitchPort).values()
        leaving = Changes((), (), tuple(port for port in ports if port.name in cards))
        failures += self._ovsdb.apply(Changes((), (), ()), leaving)
        return failures + self._linux_bridges.apply(changes)

    def _prepare_instances(self, desired: HostState) -> list[Failure]:
        if self._instances:
            return self._instances.prepare(desired.changes(Instance, HostState(self._instances.observe())))
        reason = RuntimeError("this host runs no instances: the agent has no guest root file system")
        return [failure(instance, reason) for instance in desired.of(Instance).values()]


_IN_NAMESPACES: tuple[type[Element], ...] = (Veth, Address, Route, Sysctl, FilterTable, Daemon, Election)


def _namespace(element: Element) -> str:
    return getattr(element, "namespace", _HOST)


def _reachable(desired: HostState, failed: Sequence[Failure]) -> tuple[HostState, list[Failure]]:
    """Namespaces, what is in them, sets and files, without what is meant for namespaces that are not ours; that fails.

    Filter tables come in canonical form, in which they can be compared with observed ones.
    """
    refused = {failure.element for failure in failed}
    wanted = HostState(n for n in desired.of(Namespace).values() if str(n) not in refused)
    wanted.update(desired.of(File).values())
    wanted.update(desired.of(IpSet).values())
    there = {_HOST} | {namespace.name for namespace in wanted.of(Namespace).values()}
    failures = []
    for element in (element for kind in _IN_NAMESPACES for element in desired.of(kind).values()):
        if isinstance(element, FilterTable) and not (element := canonical(element)).chains:
            continue
        if _namespace(element) in there:
            wanted.add(element)
        else:
            reason = FileNotFoundError(f"namespace {_namespace(element)} is not there, or not ours")
            failures.append(failure(element, reason))
    return wanted, failures


def _coming(changes: Changes[E]) -> Changes[E]:
    return replace(changes, delete=())


def _going(changes: Changes[E]) -> Changes[E]:
    return Changes(create=(), update=(), delete=changes.delete)


def _partly(changes: Changes[E], belongs: Callable[[E], bool]) -> Changes[E]:
    """The changes of some elements alone."""
    update = tuple((have, want) for have, want in changes.update if belongs(want))
    return Changes(tuple(filter(belongs, changes.create)), update, tuple(filter(belongs, changes.delete)))


def _staying(changes: Changes[E], namespaces: Changes[Namespace]) -> Changes[E]:
    """The changes without deletions in namespaces that go as a whole."""
    gone = {namespace.name for namespace in namespaces.delete}
    return replace(changes, delete=tuple(e for e in changes.delete if _namespace(e) not in gone))


def _without(changes: Changes[A], devices: Iterable[tuple[str, str]]) -> Changes[A]:
    """The changes without deletions on devices that go themselves."""
    return replace(changes, delete=tuple(e for e in changes.delete if (e.namespace, e.device) not in devices))
