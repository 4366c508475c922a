"""Processes that outlive the agent: dnsmasq, radvd, haproxy, keepalived.

Each has a directory ``daemons/NAME`` below the run directory with ``record`` (what runs: process number, start
time, arguments, digests) and ``log`` (its output); what a daemon puts there goes with it. A restarted agent takes
a recorded process for ours when its start time is the recorded one, so a reused number deceives nobody. Every
process also bears the agent's mark in its environment; one that has it, but no record (the agent died between
start and record), is ended.

Planned arguments keep the process in the foreground, so that the recorded number stays its own.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from netloom.host import reloads
from netloom.host.failures import failure
from netloom.host.layout import Layout
from netloom.host.namespaces import RUN_NETNS, inside
from netloom.host.reloads import placed
from netloom.state import Changes, Daemon, Failure

_MARK = "NETLOOM_AGENT"
_UMASK = 0o027
_GRACE = 3.0
"""Seconds from TERM to KILL."""
_STEADY = 5.0
"""Seconds that a process must live for its death not to count as a failed start."""
_LONGEST_PAUSE = 30.0
"""Seconds between the starts of a process that fails every time, at most."""
_BEGINNING = 1.0
"""Seconds within which a process that begins another program shows its environment, on a busy machine."""
_LOG_LIMIT = 1 << 20
"""Bytes of a log, above which the next start begins it anew."""


class Record(msgspec.Struct, frozen=True):
    """What a restarted agent must know of a running process."""

    pid: int
    start: int
    """Start time in clock ticks since boot, as /proc/PID/stat has it."""
    namespace: str
    argv: tuple[str, ...]
    """As planned, with its placeholders."""
    reloads: str
    reload_signal: str
    restarts: str
    stop_signal: str = "TERM"


@dataclass(slots=True)
class _Trouble:
    """A process that failed right after its start."""

    times: int
    until: float
    """Monotonic time before which it is not started again."""
    reason: str


@dataclass(slots=True)
class _Running:
    record: Record
    descriptor: int
    """A pidfd: it stays this process, whatever becomes of its number."""
    child: subprocess.Popen[bytes] | None
    """Set when this agent started it and so must reap it."""


class Daemons:
    """The driver of daemons."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._directory = layout.run_dir / "daemons"
        self._places = {"{state}": str(layout.state_dir), "{run}": str(layout.run_dir)}
        self._running: dict[str, _Running] = {}
        self._troubles: dict[str, _Trouble] = {}
        self._adopt()

    def close(self) -> None:
        """Leave the daemons alone; they go on."""
        for running in self._running.values():
            os.close(running.descriptor)
        self._running.clear()

    def observe(self) -> Iterator[Daemon]:
        """The daemons that run. One whose namespace has since been made anew shows in a namespace ``?``."""
        for name in sorted(self._running):
            if self._gone(self._running[name], 0):
                self._bury(name)
            else:
                r = self._running[name].record
                yield Daemon(
                    name=name,
                    namespace=r.namespace if _lives_in(r.pid, r.namespace) else "?",
                    argv=r.argv,
                    reloads=r.reloads,
                    reload_signal=r.reload_signal,
                    restarts=r.restarts,
                    stop_signal=r.stop_signal,
                )

    def deaths(self) -> list[int]:
        """File descriptors, one for each daemon that runs; readable when it has ended."""
        return [running.descriptor for running in self._running.values()]

    def retry_in(self) -> float | None:
        """Seconds until a process that failed may be started again; None when there is none."""
        waits = [trouble.until for name, trouble in self._troubles.items() if name not in self._running]
        return max(0.0, min(waits) - time.monotonic()) if waits else None

    # Change

    def apply(self, changes: Changes[Daemon]) -> list[Failure]:
        """Start the missing ones; tell the others what changed, or start them anew."""
        anew = [(have, want) for have, want in changes.update if self._needs_restart(have, want)]
        self._stop([have.name for have, _ in anew])
        reloaded = [want for have, want in changes.update if (have, want) not in anew]
        started = [*changes.create, *(want for _, want in anew)]
        failures = [*self._attempt(self._reload, reloaded), *self._attempt(self._start, started)]
        failed = {failure.element for failure in failures}
        self._await([daemon for daemon in (*reloaded, *started) if daemon.serves[0] and str(daemon) not in failed])
        return failures

    def delete(self, changes: Changes[Daemon]) -> None:
        """End the unwanted ones, all at once; what they leave is for ``sweep``."""
        self._stop([daemon.name for daemon in changes.delete])

    def sweep(self, wanted: Collection[str]) -> None:
        """Remove what is left of daemons that are not wanted and do not run."""
        for path in self._directory.iterdir() if self._directory.is_dir() else ():
            if path.name not in wanted and path.name not in self._running:
                self._troubles.pop(path.name, None)
                shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):  # not there, or not empty
            self._directory.rmdir()

    @staticmethod
    def _attempt(action: Callable[[Daemon], None], daemons: Iterable[Daemon]) -> Iterator[Failure]:
        for daemon in daemons:
            try:
                action(daemon)
            except OSError as error:
                yield failure(daemon, error)

    def _await(self, daemons: Collection[Daemon]) -> None:
        """Wait until all serve what they were told, so that nobody is told earlier; not for ever."""
        until = time.monotonic() + reloads.SETTLING
        while daemons and time.monotonic() < until:
            time.sleep(0.01)
            daemons = [
                daemon
                for daemon in daemons
                # Of one that has died nothing is to be waited for: the next look finds it.
                if not self._gone(self._running[daemon.name], 0) and not reloads.serves(daemon, self._places)
            ]

    def _needs_restart(self, have: Daemon, want: Daemon) -> bool:
        if (have.argv, have.namespace, have.restarts) != (want.argv, want.namespace, want.restarts):
            return True
        if have.reloads == want.reloads:
            return False
        return want.reload_signal == "restart" or not reloads.hears(
            self._running[have.name].record.pid, want.reload_signal
        )

    def _reload(self, daemon: Daemon) -> None:
        running = self._running[daemon.name]
        if daemon.reloads != running.record.reloads:
            reloads.check(daemon, self._places)
            reloads.bequeath(daemon, self._places)
            signal.pidfd_send_signal(running.descriptor, signal.Signals[f"SIG{daemon.reload_signal}"])
        running.record = self._recorded(daemon, running.record.pid, running.record.start)

    def _start(self, daemon: Daemon) -> None:
        trouble = self._troubles.get(daemon.name)
        if trouble and time.monotonic() < trouble.until:
            raise OSError(0, f"{trouble.reason}; starting it again in {trouble.until - time.monotonic():.0f} s")
        directory = self._directory / daemon.name
        directory.mkdir(parents=True, exist_ok=True)
        log = directory / "log"
        if log.exists() and log.stat().st_size > _LOG_LIMIT:
            log.unlink()
        argv = [placed(argument, self._places) for argument in daemon.argv]
        if daemon.bequest[2]:
            Path(placed(daemon.bequest[2], self._places)).unlink(missing_ok=True)
        with inside(daemon.namespace), open(log, "ab", opener=_private) as output:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env={**reloads.ENVIRONMENT, _MARK: self._layout.mark},
                start_new_session=True,
                umask=_UMASK,
            )
        try:
            record = self._recorded(daemon, child.pid, _start_time(child.pid))
        except OSError:  # no room: nobody would know it for ours
            child.kill()
            child.wait()
            raise
        self._running[daemon.name] = _Running(record, os.pidfd_open(child.pid), child)

    def _recorded(self, daemon: Daemon, pid: int, start: int) -> Record:
        record = Record(
            pid=pid,
            start=start,
            namespace=daemon.namespace,
            argv=daemon.argv,
            reloads=daemon.reloads,
            reload_signal=daemon.reload_signal,
            restarts=daemon.restarts,
            stop_signal=daemon.stop_signal,
        )
        path = self._directory / daemon.name / "record"
        draft = path.with_name("record.new")
        draft.write_bytes(msgspec.json.encode(record))
        draft.replace(path)
        return record

    # The end of a process

    def _stop(self, names: Iterable[str]) -> None:
        """Its signal to each, then KILL to the sessions of those that take too long."""
        doomed = {name: self._running[name] for name in names if name in self._running}
        for running in doomed.values():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(running.descriptor, signal.Signals[f"SIG{running.record.stop_signal}"])
        deadline = time.monotonic() + _GRACE
        for name, running in doomed.items():
            if not self._gone(running, max(0.0, deadline - time.monotonic())):
                _kill_session(running)
            self._release(name)

    @staticmethod
    def _gone(running: _Running, seconds: float) -> bool:
        poll = select.poll()
        poll.register(running.descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def _release(self, name: str) -> int | None:
        """Forget a process that has ended; its exit status if it is known."""
        running = self._running.pop(name)
        status = running.child.wait() if running.child else None
        os.close(running.descriptor)
        return status

    def _bury(self, name: str) -> None:
        """Note that a process died by itself, and how soon it may be started again."""
        running = self._running[name]
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - running.record.start / os.sysconf("SC_CLK_TCK")
        status = self._release(name)
        self._end_others({running.record.pid})
        if age > _STEADY:
            self._troubles.pop(name, None)
            return
        times = self._troubles[name].times + 1 if name in self._troubles else 1
        last = _last_line(self._directory / name / "log")
        reason = f"it ended right after its start{_exit(status)}{': ' + last if last else ''}"
        pause = min(_LONGEST_PAUSE, 2.0 ** (times - 1))
        self._troubles[name] = _Trouble(times, time.monotonic() + pause, reason)

    # What runs already

    def _adopt(self) -> None:
        """Take over what an earlier agent recorded, and end what it could not record."""
        lost = set()
        for path in sorted(self._directory.glob("*/record")):
            with contextlib.suppress(OSError, msgspec.DecodeError):
                record = msgspec.json.decode(path.read_bytes(), type=Record)
                lost.add(record.pid)
                descriptor = os.pidfd_open(record.pid)
                if _start_time(record.pid) == record.start:
                    self._running[path.parent.name] = _Running(record, descriptor, None)
                else:
                    os.close(descriptor)
        self._end_others(lost, unrecorded=True)

    def _end_others(self, lost: Collection[int], *, unrecorded: bool = False) -> None:
        """End what is left of daemons that died (the workers of a haproxy whose master was killed serve on for good).

        ``lost`` are their numbers, and so those of their sessions. With ``unrecorded`` also daemons that nobody knows.
        """
        known = {running.record.pid for running in self._running.values()}
        mark = f"{_MARK}={self._layout.mark}".encode()
        for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdecimal()):
            with contextlib.suppress(OSError):
                session = os.getsid(pid)
                ours = session not in known and (session in lost or (unrecorded and session == pid))
                if ours and mark in _environment(pid).split(b"\0"):
                    os.kill(pid, signal.SIGTERM)


def _environment(pid: int) -> bytes:
    """Of a process. One that has ended has none, nor, for a moment, one that begins another program."""
    until = time.monotonic() + _BEGINNING
    while not (found := Path(f"/proc/{pid}/environ").read_bytes()):
        state, *_, start, end, _status = _stat(pid)
        if state == "Z" or "0" != start == end or time.monotonic() > until:
            break
        time.sleep(0.001)
    return found


def _start_time(pid: int) -> int:
    """Clock ticks since boot."""
    return int(_stat(pid)[19])


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o640)


def _lives_in(pid: int, namespace: str) -> bool:
    own = f"/proc/{pid}/ns/net"
    try:
        return os.path.samefile(own, RUN_NETNS / namespace if namespace else "/proc/thread-self/ns/net")
    except OSError:
        return False


def _kill_session(running: _Running) -> None:
    """KILL a process and its group; it still lives, so the group is its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.record.pid, signal.SIGKILL)
    signal.pidfd_send_signal(running.descriptor, signal.SIGKILL)
    Daemons._gone(running, _GRACE)


def _exit(status: int | None) -> str:
    if status is None:
        return ""
    return f" with status {status}" if status >= 0 else f" by signal {signal.Signals(-status).name}"


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 2000))
            lines = stream.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
