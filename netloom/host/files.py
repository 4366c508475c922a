"""Planned files below the agent's state directory.

Ours are the paths in the manifest ``.files`` there, written before a file comes and after it goes. Daemons may
write beside planned files (leases): that survives for as long as its directory holds a planned file; with the
last of them a directory below the state directory goes with all that is in it.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from netloom.host.failures import failure
from netloom.host.layout import Layout
from netloom.state import Changes, Failure, File

_MANIFEST = ".files"
_PLAIN, _DIRECTORY = 0o600, 0o755
_OUTSIDE = "its path is not a plain one below the state directory"


class Files:
    """The driver of planned files."""

    def __init__(self, layout: Layout) -> None:
        self._root = layout.state_dir
        self._manifest = self._root / _MANIFEST
        self._paths = set(self._manifest.read_text().splitlines()) if self._manifest.exists() else set()

    def observe(self) -> Iterator[File]:
        """The files in the manifest that are there and can be read."""
        for path in sorted(self._paths):
            with contextlib.suppress(OSError), (self._root / path).open("rb") as stream:
                mode = os.fstat(stream.fileno()).st_mode & 0o7777
                yield File(path=path, text=stream.read().decode(errors="replace"), mode=mode)

    def write(self, changes: Changes[File]) -> list[Failure]:
        """Write the new and changed ones; a reader sees the old text or the new one, whole."""
        wanted = [*changes.create, *(want for _, want in changes.update)]
        failures = [failure(file, ValueError(_OUTSIDE)) for file in wanted if not _is_inside(file.path)]
        wanted = [file for file in wanted if _is_inside(file.path)]
        if not wanted:
            return failures
        try:
            self._record(self._paths | {file.path for file in wanted})
        except OSError as error:
            return failures + [failure(file, error) for file in wanted]
        for file in wanted:
            try:
                self._write(self._root / file.path, file.text, file.mode)
            except OSError as error:
                failures.append(failure(file, error))
        return failures

    def delete(self, changes: Changes[File]) -> list[Failure]:
        """Remove the unwanted ones, and directories that hold no planned file any more."""
        if not changes.delete:
            return []
        failures, gone = [], set()
        for file in changes.delete:
            try:
                (self._root / file.path).unlink(missing_ok=True)
                gone.add(file.path)
            except OSError as error:
                failures.append(failure(file, error))
        left = {str(parent) for path in self._paths - gone for parent in PurePosixPath(path).parents}
        for parent in {parent for path in gone for parent in PurePosixPath(path).parents}:
            if str(parent) != "." and str(parent) not in left:
                shutil.rmtree(self._root / parent, ignore_errors=True)
        self._record(self._paths - gone)
        return failures

    def _record(self, paths: set[str]) -> None:
        if paths == self._paths:
            return
        if paths:
            self._write(self._manifest, "".join(f"{path}\n" for path in sorted(paths)), _PLAIN)
        else:
            self._manifest.unlink(missing_ok=True)
        self._paths = paths

    @staticmethod
    def _write(path: Path, content: str, mode: int) -> None:
        path.parent.mkdir(mode=_DIRECTORY, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode & 0o600)
        with open(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(descriptor, mode)
            stream.write(content)
        draft.replace(path)


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path)
    plain = bool(parts.parts) and str(parts) == path and "\n" not in path
    return plain and not parts.is_absolute() and ".." not in parts.parts
