"""Places that can't be looked at, for whoever runs the tests: root may read what nobody else may."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def out_of_reach(place: Path, code: int = errno.EACCES, *, has_names: bool = False) -> Iterator[None]:
    """In this block the system answers `code` for a file, or for all in a folder as where it has mode 000.

    has_names: what is in the folder can still be listed by name, as with mode 444.
    """
    is_file = place.is_file()

    def hides(path: Path) -> bool:
        return place in path.parents or (is_file and path == place)

    def hides_names(path: Path) -> bool:
        return place in path.parents or (path == place and not has_names)

    def refusing(real: Callable[..., Any], is_refused: Callable[[Path], bool]) -> Callable[..., Any]:
        def ask(path: Any = ".", *arguments: Any, **options: Any) -> Any:
            if not isinstance(path, int) and is_refused(Path(os.fsdecode(path))):
                raise OSError(code, os.strerror(code), str(path))
            return real(path, *arguments, **options)

        return ask

    with pytest.MonkeyPatch.context() as patched:
        for name in ("stat", "lstat"):
            patched.setattr(os, name, refusing(getattr(os, name), hides))
        for name in ("listdir", "scandir"):
            patched.setattr(os, name, refusing(getattr(os, name), hides_names))
        yield
