"""A JSON object on disk that several processes change: each change is whole, and none is lost.

A change is read, made and written under a lock, and the file is replaced by renaming. Knows nothing of what
the object means.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from engine.models.errors import LibraryInUse, RecordsNotSaved
from engine.models.file_lock import lock_file
from engine.typed_json import parse_json

_LIMIT_BYTES = 64 << 20
_WAIT_S = 10.0
_STEP_S = 0.02


class JsonStore:
    """The object in the file at `path`; an empty one where there is none.

    A file that is no JSON object is kept as `NAME.damaged` when the next change is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Any]:
        """The object as it is now. Raises RecordsNotSaved where the system refuses to read it."""
        return self._read()[0]

    def change(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Let `edit` change the object, and write it if it is different then.

        Raises LibraryInUse after ten seconds of waiting for others, and RecordsNotSaved.
        """
        with self._locked():
            content, is_damaged = self._read()
            before = json.dumps(content, sort_keys=True)
            edit(content)
            if json.dumps(content, sort_keys=True) != before:
                self._write(content, is_damaged)

    def _read(self) -> tuple[dict[str, Any], bool]:
        try:
            with self.path.open("rb") as file:
                data = file.read(_LIMIT_BYTES + 1)
        except FileNotFoundError:
            return {}, False
        except OSError as error:
            raise RecordsNotSaved(self.path, error.strerror or str(error)) from error
        try:
            content = parse_json(data.decode("utf-8")) if len(data) <= _LIMIT_BYTES else None
        except ValueError:
            content = None
        return (content, False) if isinstance(content, dict) else ({}, True)

    def _write(self, content: dict[str, Any], is_damaged: bool) -> None:
        text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
        data = text.encode("utf-8", "backslashreplace")  # what is no UTF-8 in a path, as JSON escapes it
        partial = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.partial")
        try:
            if is_damaged:
                os.replace(self.path, self.path.with_name(f"{self.path.name}.damaged"))
            with partial.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, self.path)
        except OSError as error:
            raise RecordsNotSaved(self.path, error.strerror or str(error)) from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with _opened(self.path.with_name(f"{self.path.name}.lock"), self.path) as descriptor:
            until_s = time.monotonic() + _WAIT_S
            while not lock_file(descriptor):
                if time.monotonic() > until_s:
                    raise LibraryInUse(self.path.parent)
                time.sleep(_STEP_S)
            yield


@contextmanager
def held_file(lock: Path) -> Iterator[bool]:
    """Hold the lock file at `lock` in this block, if nobody else does: the value says so.

    The file stays, and means nothing by itself. Raises RecordsNotSaved.
    """
    with _opened(lock, lock) as descriptor:
        yield lock_file(descriptor)


@contextmanager
def _opened(lock: Path, guarded: Path) -> Iterator[int]:
    """The descriptor of a lock file, made if need be; `guarded` is what can't be written without it."""
    try:
        _make_private(lock.parent)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise RecordsNotSaved(guarded, error.strerror or str(error)) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _make_private(folder: Path) -> None:
    """Make the folder, and those above it that are not there, for their owner only."""
    if not folder.exists():
        _make_private(folder.parent)  # `parents=True` would let everybody in there
        folder.mkdir(mode=0o700, exist_ok=True)
