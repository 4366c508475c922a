"""Kernel settings inside namespaces. Never removed, only set, so nothing of ours can be left over.

Those of a namespace as a whole (``net/ipv4/ip_forward``, ``net/ipv6/conf/default/…``) are set before devices
come, because a device inherits the defaults of its birth; those of a device before it goes up.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from netloom.host.failures import failure
from netloom.host.namespaces import inside
from netloom.state import Failure, Sysctl

_PROC = Path("/proc/sys")


class Sysctls:
    """The driver of kernel settings."""

    def __init__(self) -> None:
        self._asked: dict[str, set[str]] = {}

    def observe(self) -> Iterator[Sysctl]:
        """The settings that were asked for so far, as they are; of all others the kernel has thousands."""
        for namespace, names in list(self._asked.items()):
            try:
                with inside(namespace):
                    for name in sorted(names):
                        if (value := _read(name)) is not None:
                            yield Sysctl(namespace=namespace, name=name, value=value)
            except FileNotFoundError:
                del self._asked[namespace]

    def apply(self, wanted: Iterable[Sysctl]) -> list[Failure]:
        """Set those that differ."""
        failures = []
        by_namespace: dict[str, list[Sysctl]] = defaultdict(list)
        for sysctl in wanted:
            by_namespace[sysctl.namespace].append(sysctl)
        for namespace, sysctls in by_namespace.items():
            try:
                with inside(namespace):
                    failures += [failed for sysctl in sysctls if (failed := self._set(sysctl))]
            except OSError as error:
                failures += [failure(sysctl, error) for sysctl in sysctls]
        return failures

    def _set(self, sysctl: Sysctl) -> Failure | None:
        try:
            if _read(sysctl.name) != sysctl.value:
                (_PROC / sysctl.name).write_text(sysctl.value)
        except OSError as error:
            return failure(sysctl, error)
        self._asked.setdefault(sysctl.namespace, set()).add(sysctl.name)
        return None


def of_a_device(sysctl: Sysctl) -> bool:
    """Whether a setting belongs to one device, e.g. ``net/ipv6/conf/qr-1/accept_ra``."""
    parts = sysctl.name.split("/")
    return len(parts) >= 5 and parts[2] in ("conf", "neigh") and parts[3] not in ("all", "default")


def _read(name: str) -> str | None:
    try:
        return " ".join((_PROC / name).read_text().split())
    except FileNotFoundError:
        return None
