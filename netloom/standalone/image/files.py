"""Contents of images: one file each, readable by this process's user alone."""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOST = 64 * 2**30
"""Octets of an image at most."""
RESERVE = 2**30
"""Octets that stay free on the disk."""


class TooLarge(Exception):
    """The image is larger than allowed, or than what is free."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: octets and their digests in hex."""

    size: int
    md5: str
    sha512: str


def path_of(directory: Path, image_id: str) -> Path:
    """Where an image's contents are."""
    return directory / image_id


def save(directory: Path, image_id: str, chunks: Iterator[bytes]) -> Written:
    """Write an image's contents as they arrive; they are there as a whole or not at all.

    Raises:
        TooLarge: there is no room for it.
        OSError: the file cannot be written.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    size, md5, sha512 = 0, hashlib.md5(usedforsecurity=False), hashlib.sha512()
    room = min(MOST, _free(directory))
    partial = directory / f"{image_id}.{uuid.uuid4().hex}.part"
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for chunk in chunks:
                size += len(chunk)
                if size > max(room, RESERVE // 64):
                    raise TooLarge(f"There is no room for more than {room} octets")
                file.write(chunk)
                md5.update(chunk)
                sha512.update(chunk)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path_of(directory, image_id))
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return Written(size, md5.hexdigest(), sha512.hexdigest())


def _free(directory: Path) -> int:
    disk = os.statvfs(directory)
    return max(0, disk.f_bavail * disk.f_frsize - RESERVE)


def remove(directory: Path, image_id: str) -> None:
    """Remove an image's contents, if there are any."""
    with contextlib.suppress(FileNotFoundError):
        path_of(directory, image_id).unlink()
