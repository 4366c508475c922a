"""Builds the guest's root file system: busybox, dropbear, the libraries they need, and the scripts in ``files/``.

Runs as root, since the files belong to the guest's ids: 0 and the following of a user namespace are ``FIRST_ID``
and the following of the host. The owner of the tree tells the driver which ids those are.
"""

import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

FIRST_ID = 0x4E4C_0000
"""Host id of the guest's root; the guest has the 65536 ids from here. No distribution hands out ids so high."""
_FILES = Path(__file__).with_name("files")
_PROGRAMS = {"busybox": "busybox-static", "dropbear": "dropbear-bin", "dropbearkey": "dropbear-bin"}
"""Programs, and the Debian packages that they come from."""
_WELCOME = ("tcpdump",)
"""Programs that are taken when this host has them."""
_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "var/run": "../run"}
_DIRECTORIES = "dev etc home mnt proc root run sys tmp usr/bin usr/sbin var/lib var/log var/tmp"


def build(target: Path) -> Path:
    """Build the root file system below ``target``, unless the one of these very inputs is there.

    A tree is never changed in place: running guests stand on it. Other inputs make another tree.

    Args:
        target: directory that holds the trees; made when missing, readable by root alone.

    Returns:
        The tree: ``target``/digest of the inputs.

    Raises:
        FileNotFoundError: a program is missing; the text names the package to install.
        PermissionError: not root.
    """
    contents = dict(_contents())
    tree = target / _digest(contents)
    if tree.exists():
        return tree
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = Path(tempfile.mkdtemp(dir=target, prefix="new-"))
    try:
        _fill(fresh, contents)
        fresh.rename(tree)
    except OSError:
        shutil.rmtree(fresh)
        if not tree.exists():  # else another builder was faster
            raise
    return tree


def _contents() -> Iterator[tuple[str, Path]]:
    """Path in the guest of each file, and where it comes from."""
    programs = [_program(name) for name in _PROGRAMS]
    programs += [Path(found) for name in _WELCOME if (found := shutil.which(name, path=_SEARCH))]
    for program in programs:
        yield f"usr/bin/{program.name}", program
    for library in _libraries(programs):
        yield str(library).lstrip("/"), library
    for path in sorted(_FILES.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(_FILES)), path


def _program(name: str) -> Path:
    found = shutil.which(name, path=_SEARCH)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: apt-get install {_PROGRAMS[name]}")
    return Path(found)


def _libraries(programs: list[Path]) -> list[Path]:
    """Shared libraries and the loader, by the names under which the programs look for them."""
    listing = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout  # fails on static
    words = (word for line in listing.splitlines() if line.startswith("\t") for word in line.split())
    return sorted({Path(word) for word in words if word.startswith("/")})


def _digest(contents: dict[str, Path]) -> str:
    digest = hashlib.blake2b(Path(__file__).read_bytes(), digest_size=8)
    for name, source in sorted(contents.items()):
        digest.update(f"{name}\0{_mode(source):o}\0".encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _mode(source: Path) -> int:
    return 0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644


def _fill(tree: Path, contents: dict[str, Path]) -> None:
    for name in _DIRECTORIES.split():
        (tree / name).mkdir(parents=True)
    for name, place in _LINKS.items():
        (tree / name).symlink_to(place)
    for name, source in contents.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
        path.chmod(_mode(source))
    _link_applets(tree)
    for name, mode in {"": 0o755, "tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700}.items():
        (tree / name).chmod(mode)
    for directory, names, files in os.walk(tree):
        for entry in [".", *names, *files]:
            os.chown(Path(directory, entry), FIRST_ID, FIRST_ID, follow_symlinks=False)
    (tree / "bin/busybox").chmod(0o4755)  # after chown; busybox gives the rights up for all but su, ping and the like


def _link_applets(tree: Path) -> None:
    """Every applet of busybox that nothing else in the tree stands in for; those for root in both places."""
    listing = subprocess.run([tree / "bin/busybox", "--list-full"], capture_output=True, text=True, check=True).stdout
    taken = {path.name for path in tree.rglob("*") if path.is_file()}
    for place in sorted(map(Path, listing.split())):
        if place.name not in taken:
            (tree / "usr/bin" / place.name).symlink_to("busybox")
            if place.parent.name == "sbin":
                (tree / "usr/sbin" / place.name).symlink_to("../bin/busybox")
