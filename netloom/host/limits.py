"""Memory limits of instances, by a control group each: below ``netloom/`` of the memory controller, v1 or v2.

Limits are as good as the host allows: where control groups cannot be written (a container's own host, say),
instances run without. A group is ours by the instance id in its name.
"""

import contextlib
from pathlib import Path

import structlog

_ROOT = Path("/sys/fs/cgroup")
_log = structlog.get_logger(__name__)


def _group(instance_id: str) -> tuple[Path, str]:
    """The control group of an instance, and the file in it that takes the limit in bytes."""
    if (_ROOT / "cgroup.controllers").exists():
        return _ROOT / "netloom" / instance_id, "memory.max"
    return _ROOT / "memory" / "netloom" / instance_id, "memory.limit_in_bytes"


def limit_memory(instance_id: str, megabytes: int, pid: int | None = None) -> None:
    """Limit an instance, and put a process and all that it will start under the limit."""
    group, limit = _group(instance_id)
    try:
        if not group.is_dir():
            group.mkdir(parents=True)
        if limit == "memory.max" and not (group / limit).exists():
            for parent in (_ROOT, group.parent):
                (parent / "cgroup.subtree_control").write_text("+memory")
        (group / limit).write_text(str(megabytes << 20))
        if pid is not None:
            (group / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        _log.warning("instance runs without a memory limit", instance=instance_id, reason=str(error))


def forget_limit(instance_id: str) -> None:
    """Remove the group of an instance that has ended, and with the last one the directory of all."""
    group, _ = _group(instance_id)
    for directory in (group, group.parent):
        with contextlib.suppress(OSError):  # another instance's is left, or there was none
            directory.rmdir()
