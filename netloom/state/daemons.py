"""Files and long-running processes of a host."""

import hashlib
from dataclasses import dataclass, field

from netloom.state.element import Element, Key


@dataclass(frozen=True, slots=True, kw_only=True)
class File(Element):
    """A file below the agent's own state directory, written atomically (rename)."""

    path: str
    """Relative to the agent's state directory; sweeping stays inside that directory."""
    text: str
    mode: int = 0o644

    @property
    def key(self) -> Key:
        return (self.path,)

    @property
    def digest(self) -> str:
        """Of the text; 16 hex digits."""
        return hashlib.blake2b(self.text.encode(), digest_size=8).hexdigest()

    def __str__(self) -> str:
        return f"file {self.path} mode={self.mode:o} digest={self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon(Element):
    """A process that outlives the agent, e.g. a dnsmasq; restarted when it dies.

    ``{state}`` in ``argv`` stands for the agent's state directory, ``{run}`` for its run directory.
    """

    name: str
    """Unique on the host and a valid path part, e.g. ``dnsmasq-<network id>``."""
    namespace: str
    argv: tuple[str, ...]
    reloads: str = ""
    """Digest of what the process reads again on ``reload_signal``; a change sends the signal."""
    reload_signal: str = "HUP"
    """``HUP``, ``USR1`` …; ``restart`` when it must be started anew."""
    restarts: str = ""
    """Digest of what it reads only at start; a change restarts it, like a change of ``argv``."""
    stop_signal: str = field(default="TERM", compare=False)
    """What ends it; those that do not end within a few seconds are killed. Not worth a restart, so not compared."""

    check: tuple[str, ...] = field(default=(), compare=False)
    """What to run before each ``reload_signal``: when it fails, the process goes on as it is and its last words are
    the reason. For programs that would ignore what they cannot read without telling. Placeholders as in ``argv``."""
    bequest: tuple[str, str, str] = field(default=("", "", ""), compare=False)
    """What a successor must know: (UNIX socket, question, file). Before each ``reload_signal`` it is asked, and the
    answer goes into the file; a process that starts afresh finds no such file. Placeholders as in ``argv``."""
    serves: tuple[str, str] = field(default=("", ""), compare=False)
    """How to learn that it serves what it was told last: (UNIX socket, question); the answer then contains ``reloads``.
    For processes that begin with it some time after their start or ``reload_signal``. Placeholders as in ``argv``."""

    @property
    def key(self) -> Key:
        return (self.name,)

    def __str__(self) -> str:
        argv = " ".join(self.argv)
        digests = f"reloads={self.reloads} restarts={self.restarts}"
        return f"daemon {self.name} namespace={self.namespace} argv={argv} {digests}"
