"""The loop of an agent."""

import os
import pwd
import select
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from netloom.agent import convergence
from netloom.agent.departures import Departures
from netloom.agent.elections import Teller
from netloom.agent.loadbalancers import Observer, unserved
from netloom.agent.metadata import NovaMetadata, Responder
from netloom.agent.roles import roles
from netloom.feed.client import Mirror, Stream
from netloom.feed.protocol import Role
from netloom.host.host import Host
from netloom.host.instances import console_log, no_machines
from netloom.host.layout import Layout
from netloom.host.vswitch import VSwitch, datapath_type
from netloom.plan import ha, keepalived, metadata, plan, plugs
from netloom.plan.intent import Intent
from netloom.plan.settings import PlanSettings
from netloom.settings.host import HostSettings
from netloom.state import Facts, Failure

LOG = structlog.get_logger()
OVS_RUNDIR = Path("/run/openvswitch")
"""Where bridges' sockets are when the database is reached by TCP."""
RETRY = 2.0
"""Seconds until the next attempt after a failure."""
PATIENCE = 10.0
"""Seconds to wait for a server after a boot, before what was known earlier is made again."""


class Agent:
    """One host's agent: all roles in one process."""

    def __init__(
        self,
        settings: HostSettings,
        guest_root: Path | None = None,
        switch: VSwitch | None = None,
        boot_files: Callable[[], Path] = no_machines,
    ) -> None:
        """Prepare the agent; nothing on the host is touched before ``run``.

        ``guest_root`` is the root file system of instances; without it this host runs none. ``boot_files`` makes the
        directory with what virtual machines boot (``kernel`` and ``initramfs``), when the first of them is wanted.
        ``switch`` is the Open vSwitch that nobody else looks after: the agent starts again what dies of it.
        """
        self._settings = settings
        self._switch = switch
        self._guest_root, self._boot_files = guest_root, boot_files
        self._datapath_type = settings.datapath_type or datapath_type()
        for directory in (settings.state_dir, settings.run_dir):
            directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._layout = layout(settings)
        self._plan_settings = plan_settings(settings, self._datapath_type)
        self._intent = Intent({})
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopped = False
        self._mirror = Mirror(settings.state_dir / "fragments")
        self._stream = Stream(
            settings.servers,
            settings.host,
            settings.key_file.read_text().strip(),
            self._mirror,
            self._roles,
            settings.report_interval,
            self.wake,
            partial(console_log, self._layout),
        )
        self._teller = Teller(self._stream.router_states)
        self._departures = Departures()
        self._observer = Observer(
            self._layout.run_dir,
            lambda: self._intent.load_balancers,
            self._stream.member_states,
            self._stream.traffic,
            settings.report_interval,
            self.wake,
        )

    def wake(self) -> None:
        """Have the loop look again; callable from any thread and from a signal handler."""
        os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        """End the loop; all that runs on the host goes on."""
        self._stopped = True
        self.wake()

    def run(self) -> None:
        """Converge until stopped."""
        host = self._reach_host()
        if host is None:
            return
        responder = self._responder()
        self._stream.start()
        self._teller.start(host.elections)
        self._observer.start(host.elections)
        audited = time.monotonic()
        self._hear_first()
        try:
            while not self._stopped:
                delay = self._converge(host, responder)
                self._wait(host, delay)
                _drain(self._wake)
                if time.monotonic() - audited > self._settings.audit_interval:
                    host.audit()
                    audited = time.monotonic()
        finally:
            self._stream.stop()
            self._teller.stop()
            self._observer.stop()
            responder.stop()
            host.close()

    def _hear_first(self) -> None:
        """After a boot, wait for a server: what was here may be elsewhere by now, and must not be announced."""
        heard = self._settings.run_dir / "heard"
        if heard.exists():
            return
        until = time.monotonic() + PATIENCE
        while not (self._mirror.current or self._stopped) and time.monotonic() < until:
            select.select([self._wake], [], [], max(until - time.monotonic(), 0))
            _drain(self._wake)
        heard.touch()

    def _reach_host(self) -> Host | None:
        """The host, once its Open vSwitch answers; None when we are stopped before."""
        while not self._stopped:
            self._revive_switch()
            try:
                return Host(self._layout, self._guest_root, self._elections_changed, self._boot_files)
            except ConnectionError as error:
                LOG.warning("Open vSwitch does not answer", ovsdb=self._layout.ovsdb, error=str(error), retry_in=RETRY)
                time.sleep(RETRY)
        return None

    def _elections_changed(self) -> None:
        self._teller.wake()
        if self._departures.routers:
            self.wake()

    def _revive_switch(self) -> None:
        """Start what does not run of our own switch."""
        if self._switch is None or self._switch.running():
            return
        LOG.warning("Open vSwitch has died and is started again", directory=str(self._switch.rundir))
        try:
            self._switch.start()
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            LOG.error("Open vSwitch could not be started", error=str(error))

    def _wait(self, host: Host, delay: float) -> None:
        """Wait until there is something to do; as long as the database does not answer, for the next attempt."""
        try:
            host.wait(delay, self._wake)
        except ConnectionError as error:
            LOG.warning("Open vSwitch does not answer", error=str(error), retry_in=RETRY)
            select.select([self._wake], [], [], RETRY)

    def _responder(self) -> Responder:
        """The metadata responder; only the proxy's user may talk to it. It listens, and is started with the first plan:
        an agent that does not know yet who asks must not say that it is nobody."""
        settings = self._settings
        nova = NovaMetadata(
            url=settings.nova_metadata_url,
            shared_secret=settings.metadata_secret,
            insecure=settings.nova_insecure,
            ca_cert=settings.nova_ca_cert,
            client_cert=settings.nova_client_cert,
            client_key=settings.nova_client_key,
        )
        owner = pwd.getpwnam(self._plan_settings.metadata_proxy_user).pw_uid
        return Responder(self._layout.run_dir / metadata.SOCKET, lambda: self._intent, nova, owner=owner)

    def _converge(self, host: Host, responder: Responder) -> float:
        """Bring the host to its plan and report; returns the seconds until the next look."""
        if not self._mirror.complete:
            return self._settings.audit_interval
        began = time.monotonic()
        asked, versions = self._mirror.snapshot()
        patience = keepalived.handover(ha.advert_int(self._intent, self._plan_settings))
        fragments = self._departures.keep(asked, host.elections(), patience)
        host.hand_over(self._departures.routers)
        self._intent = Intent(fragments)
        responder.start()
        self._revive_switch()
        facts, again = Facts(), False
        try:
            before = replace(host.facts(), failing_members=self._observer.failing)
            failures = host.apply(plan(self._intent, before, self._plan_settings))
            failures = [*failures, *unserved(self._intent, self._plan_settings)]
            facts = plugs.usable(self._intent, host.facts(), self._plan_settings)
            again = facts.namespaces != before.namespaces
        except (OSError, ValueError) as error:
            LOG.exception("the host could not be brought to its plan")
            failures = [Failure(convergence.HOSTWIDE, "the whole plan", str(error))]
        for failure in failures:
            LOG.warning("not applied", origin=failure.origin, element=failure.element, reason=failure.reason)
        self._teller.wake()  # the connection may be a new one
        self._stream.report(convergence.judge(fragments, versions, facts, failures, self._settings.host))
        LOG.debug("converged", seconds=round(time.monotonic() - began, 4), failures=len(failures))
        if again:  # the metadata proxy must be told of new namespaces
            return 0.0
        pause = RETRY if failures else self._settings.audit_interval
        due = self._departures.due_in()
        return pause if due is None else min(pause, due)

    def _roles(self) -> list[Role]:
        return roles(self._settings, self._intent, self._datapath_type)


def layout(settings: HostSettings) -> Layout:
    """Where things of this agent are."""
    kind, _, path = settings.ovsdb.partition(":")
    return Layout(
        state_dir=settings.state_dir / "host",
        run_dir=settings.run_dir,
        ovsdb=settings.ovsdb,
        ovs_rundir=Path(path).parent if kind == "unix" else OVS_RUNDIR,
    )


def plan_settings(settings: HostSettings, datapath: str) -> PlanSettings:
    """What the planners need of an agent's settings."""
    return PlanSettings(
        host=settings.host,
        datapath_type=datapath,
        integration_bridge=settings.integration_bridge,
        tunnel_bridge=settings.tunnel_bridge,
        bridge_mappings=settings.bridge_mappings,
        tunnel_types=settings.tunnel_types,
        local_ip=settings.local_ip,
        l2_population=settings.l2_population,
        firewall_driver=settings.firewall_driver,
        ha_vrrp_advert_int=settings.ha_vrrp_advert_int,
        dnsmasq_dns_servers=settings.dnsmasq_dns_servers,
        dnsmasq_local_resolv=settings.dnsmasq_local_resolv,
        dnsmasq_config_file=settings.dnsmasq_config_file,
        enable_metadata_proxy=settings.enable_metadata_proxy and "metadata" in settings.roles,
        enable_isolated_metadata=settings.enable_isolated_metadata and "metadata" in settings.roles,
        force_metadata=settings.force_metadata and "metadata" in settings.roles,
    )


def _drain(eventfd: int) -> None:
    try:
        os.eventfd_read(eventfd)
    except BlockingIOError:
        return
