"""Where things are on this host."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """Places and addresses of one agent; two agents on one machine (a lab) differ in all of them."""

    state_dir: Path
    """Survives a reboot: planned files, images, leases."""
    run_dir: Path
    """Emptied by a reboot: sockets, records of running daemons."""
    ovsdb: str
    """OVSDB server, e.g. ``unix:/run/openvswitch/db.sock``."""
    ovs_rundir: Path
    """Directory of the bridges' management sockets."""

    @property
    def mark(self) -> str:
        """What namespaces, links and processes of this agent bear, so that a restarted one knows its own."""
        return f"netloom:{self.run_dir}"
