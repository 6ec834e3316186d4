"""From what a person calls a model to a file on this disk.

A model is named by a path, or by the name of a GGUF in the models folder. Nothing here opens a file.
"""

from __future__ import annotations

from pathlib import Path

from app.errors import ModelIsFolder, ModelNotFound
from app.home import Home

DEMO_NAME = "demo"
_SUFFIX = ".gguf"


def find_model(name: str, home: Home) -> Path:
    """The GGUF that `name` means: an existing path first, then a file of the models folder.

    There, upper and lower case and the suffix `.gguf` don't matter. Raises ModelNotFound and ModelIsFolder.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    found = _find_by_name(name, home)
    if found is not None:
        return found
    if path.is_dir():
        raise ModelIsFolder(path)
    raise ModelNotFound(name, home.models, (DEMO_NAME, *list_names(home)))


def list_names(home: Home) -> tuple[str, ...]:
    """Names of the GGUF files in the models folder, without suffix, in order."""
    return tuple(sorted(_strip(path.name) for path in _files(home)))


def _find_by_name(name: str, home: Home) -> Path | None:
    """Exact spelling wins over another case, where the file system tells them apart."""
    wanted = _strip(name)
    same = [path for path in _files(home) if _strip(path.name).casefold() == wanted.casefold()]
    same.sort(key=lambda path: (_strip(path.name) != wanted, path.name))
    return same[0] if same else None


def _files(home: Home) -> list[Path]:
    try:
        entries = list(home.models.iterdir())
    except OSError:
        return []
    return [path for path in entries if path.name.lower().endswith(_SUFFIX) and path.is_file()]


def _strip(name: str) -> str:
    return name[: -len(_SUFFIX)] if name.lower().endswith(_SUFFIX) else name
