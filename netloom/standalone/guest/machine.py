"""Builds what virtual machines boot: a kernel, and the guest's root file system with that kernel's modules.

The kernel is one of a Debian package, or of any distribution that has virtio as modules. The package need not be
installed: what ``make machines`` unpacks below ``/var/cache/netloom/kernel`` comes first.
"""

import hashlib
import lzma
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PLACES = (Path("/var/cache/netloom/kernel"), Path("/"))
"""Where ``boot/`` and ``lib/modules/`` of kernels are, in the order in which they are preferred."""
_MODULES = ("virtio_pci", "virtio_net", "virtio_console", "8021q")
_MISSING = (
    "there is no kernel for virtual machines on this host: 'make machines' fetches one, and so does"
    " 'apt-get install linux-image-cloud-amd64'"
)


@dataclass(frozen=True, slots=True)
class _Kernel:
    image: Path
    modules: tuple[Path, ...]
    """Those that guests need, each after the ones that it needs itself."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file of an archive, of whatever kind ``mode`` says."""

    name: str
    mode: int
    data: bytes = b""
    owner: tuple[int, int] = (0, 0)


def build(target: Path, root: Path, places: Sequence[Path] = PLACES) -> Path:
    """Build what machines boot, unless it is there.

    Args:
        target: directory for what is built.
        root: the guest's root file system; its name tells its contents, its owner is the guest's root.
        places: where to look for kernels.

    Returns:
        A directory with the files ``kernel`` and ``initramfs``.

    Raises:
        FileNotFoundError: this host has no kernel for guests; the text says how to get one.
    """
    kernel = _kernel(places)
    place = target / f"machine-{_digest(kernel, root)}"
    if place.exists():
        return place
    fresh = Path(tempfile.mkdtemp(dir=target, prefix="new-"))
    try:
        shutil.copyfile(kernel.image, fresh / "kernel")
        with (fresh / "initramfs").open("wb") as archive:
            archive.writelines(_cpio([*_tree(root), *_modules(kernel)]))
        for file in fresh.iterdir():
            file.chmod(0o644)  # the emulator reads them, as nobody
        fresh.rename(place)
    except OSError:
        shutil.rmtree(fresh)
        if not place.exists():  # else another builder was faster
            raise
    return place


def _kernel(places: Sequence[Path]) -> _Kernel:
    for place in places:
        images = sorted(place.glob("boot/vmlinuz-*"), key=lambda path: ("cloud" in path.name, path.stat().st_mtime))
        for image in reversed(images):
            modules = place / "lib/modules" / image.name.removeprefix("vmlinuz-") / "kernel"
            if found := _with_needed(modules):
                return _Kernel(image, found)
    raise FileNotFoundError(_MISSING)


def _with_needed(directory: Path) -> tuple[Path, ...]:
    """The modules that guests need, in the order in which they can be loaded; none when one is missing."""
    files = {_module(path): path for path in directory.rglob("*.ko*")}
    order: dict[str, Path] = {}

    def add(name: str) -> None:
        if name not in order:
            needed = re.search(rb"\0depends=([^\0]*)\0", _contents(files[name]))
            for other in needed[1].decode().split(",") if needed and needed[1] else ():
                add(other.replace("-", "_"))
            order[name] = files[name]

    try:
        for name in _MODULES:
            add(name)
    except KeyError:
        return ()
    return tuple(order.values())


def _module(path: Path) -> str:
    return path.name.partition(".")[0].replace("-", "_")


def _contents(module: Path) -> bytes:
    data = module.read_bytes()
    return lzma.decompress(data) if module.suffix == ".xz" else data


def _digest(kernel: _Kernel, root: Path) -> str:
    digest = hashlib.blake2b(Path(__file__).read_bytes() + root.name.encode(), digest_size=8)
    for path in (kernel.image, *kernel.modules):
        told = path.stat()
        digest.update(f"{path} {told.st_size} {told.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _tree(root: Path) -> Iterator[_Entry]:
    """What is below the root, its owners as the guest sees them."""
    first = root.stat().st_uid
    for path in sorted(root.rglob("*")):
        told = path.lstat()
        if stat.S_ISREG(told.st_mode):
            data = path.read_bytes()
        else:
            data = os.readlink(path).encode() if path.is_symlink() else b""
        yield _Entry(str(path.relative_to(root)), told.st_mode, data, (told.st_uid - first, told.st_gid - first))


def _modules(kernel: _Kernel) -> Iterator[_Entry]:
    """The modules, and a list that says in which order to load them."""
    yield _Entry("lib/modules", stat.S_IFDIR | 0o755)
    for module in kernel.modules:
        yield _Entry(f"lib/modules/{_module(module)}.ko", stat.S_IFREG | 0o644, _contents(module))
    order = "".join(f"{_module(module)}\n" for module in kernel.modules)
    yield _Entry("lib/modules/order", stat.S_IFREG | 0o644, order.encode())


def _cpio(entries: list[_Entry]) -> Iterator[bytes]:
    """An archive as kernels unpack it: "newc" of Documentation/driver-api/early-userspace/buffer-format.rst."""
    for number, entry in enumerate([*entries, _Entry("TRAILER!!!", 0)], 1):
        links = 2 if stat.S_ISDIR(entry.mode) else 1
        name = entry.name.encode() + b"\0"
        fields = (number, entry.mode, *entry.owner, links, 0, len(entry.data), 0, 0, 0, 0, len(name), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        yield header + bytes(-len(header) % 4)
        yield entry.data + bytes(-len(entry.data) % 4)
