"""Named network namespaces, compatible with ``ip netns``: a bind mount below /run/netns.

Ours bear the agent's mark as the alias of their loopback device (``ip -n NAME link show lo``). It is set before
the name appears, so a crash leaves either nothing or a marked namespace. A namespace of a planned name without
the mark is somebody else's: it is never touched, and what was planned for it fails.
"""

import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netloom.host.failures import failure
from netloom.host.layout import Layout
from netloom.host.netlink import Request, Socket, attributes, string, text
from netloom.state import Changes, Failure, Namespace

RUN_NETNS = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_MS_BIND, _MS_REC, _MS_SHARED, _MNT_DETACH = 0x1000, 0x4000, 0x100000, 2
_NEWLINK, _GETLINK, _IFF_UP, _IFALIAS = 16, 18, 1, 20
_LOOPBACK = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Let the calling thread work inside a namespace; processes started meanwhile stay there. ``""``: as it is.

    Raises:
        FileNotFoundError: there is no such namespace.
    """
    if not name:
        yield
        return
    try:
        target = os.open(RUN_NETNS / name, os.O_RDONLY)
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, f"namespace {name} does not exist") from None
    try:
        with _returning():
            _check(_libc.setns(target, _CLONE_NEWNET), f"enter namespace {name}")
            yield
    finally:
        os.close(target)


@contextmanager
def _returning() -> Iterator[None]:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        yield
    finally:
        back = _libc.setns(home, _CLONE_NEWNET)
        os.close(home)
        _check(back, "return from a namespace")


class Namespaces:
    """The driver of namespaces."""

    def __init__(self, layout: Layout) -> None:
        self._mark = layout.mark

    def observe(self) -> Iterator[Namespace]:
        """The namespaces that bear our mark."""
        for name in sorted(os.listdir(RUN_NETNS)) if RUN_NETNS.is_dir() else []:
            if self._alias(name) == self._mark:
                yield Namespace(name=name)

    @staticmethod
    def inodes() -> dict[str, int]:
        """Of all namespaces, by name. Those that anything holds at the same time have different ones."""
        found = {}
        with contextlib.suppress(FileNotFoundError):
            for path in RUN_NETNS.iterdir():
                with contextlib.suppress(OSError):  # gone by now
                    found[path.name] = path.stat().st_ino
        return found

    @staticmethod
    def _alias(name: str) -> str | None:
        try:
            with inside(name), Socket() as netlink:
                links = netlink.dump(_GETLINK, bytes(16))
        except OSError:  # a plain file, or gone by now
            return None
        loopback = next((link for link in links if struct.unpack_from("=i", link, 4)[0] == _LOOPBACK), b"")
        return string(attributes(loopback, 16).get(_IFALIAS, b""))

    def create(self, changes: Changes[Namespace]) -> list[Failure]:
        """Make the missing ones, each with its loopback up."""
        failures = []
        for namespace in changes.create:
            try:
                self._create(namespace.name)
            except OSError as error:
                failures.append(failure(namespace, error))
        return failures

    def _create(self, name: str) -> None:
        _share_mounts()
        path = RUN_NETNS / name
        if self._alias(name) is not None:
            raise FileExistsError(errno.EEXIST, f"a namespace {name} that is not ours is there: remove or rename it")
        with _returning():
            _check(_libc.unshare(_CLONE_NEWNET), "make a network namespace")
            with Socket() as netlink:
                up = struct.pack("=BxHiII", 0, 0, _LOOPBACK, _IFF_UP, _IFF_UP)
                netlink.do(Request(_NEWLINK, up + text(_IFALIAS, self._mark)))
            # A changed first address of a subnet must not take the second ones with it.
            Path("/proc/sys/net/ipv4/conf/all/promote_secondaries").write_text("1")
            path.touch()
            source = b"/proc/thread-self/ns/net"
            _check(_libc.mount(source, bytes(path), b"none", _MS_BIND, None), f"mount {path}")

    def delete(self, changes: Changes[Namespace]) -> list[Failure]:
        """Remove the unwanted ones; the kernel takes away what is inside."""
        failures = []
        for namespace in changes.delete:
            path = RUN_NETNS / namespace.name
            try:
                _check(_libc.umount2(bytes(path), _MNT_DETACH), f"unmount {path}")
                path.unlink()
            except OSError as error:
                failures.append(failure(namespace, error))
        return failures


def _share_mounts() -> None:
    """Let namespace mounts reach processes that have their own mount namespace, as ``ip netns`` does."""
    RUN_NETNS.mkdir(parents=True, exist_ok=True)
    path = bytes(RUN_NETNS)
    if _libc.mount(b"", path, b"none", _MS_SHARED | _MS_REC, None) != 0:
        _check(_libc.mount(path, path, b"none", _MS_BIND | _MS_REC, None), f"mount {RUN_NETNS}")
        _check(_libc.mount(b"", path, b"none", _MS_SHARED | _MS_REC, None), f"share {RUN_NETNS}")
