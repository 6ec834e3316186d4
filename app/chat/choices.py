"""Which models a person can choose: the demo, the library, and a file chosen elsewhere.

Knows names and sizes; opens no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.errors import ModelNotFound
from app.home import Home
from app.models.finding import DEMO_NAME, find_model, list_names, model_paths


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """One entry of the model picker; `key` is what the settings remember.

    path and size_bytes are None for the demo, which is made when it is first used.
    """

    key: str
    name: str
    path: Path | None
    size_bytes: int | None
    is_demo: bool


DEMO = ModelChoice(DEMO_NAME, DEMO_NAME, None, None, is_demo=True)


def list_choices(home: Home, *others: str | None) -> tuple[ModelChoice, ...]:
    """The demo, then the library in order, then `others` (keys) that are files somewhere else."""
    found = [DEMO, *(_from_library(name, path) for name, path in model_paths(home).items())]
    for key in others:
        if key is not None and all(key != choice.key for choice in found) and Path(key).is_file():
            found.append(_from_path(key, Path(key)))
    return tuple(found)


def find_choice(key: str | None, home: Home) -> ModelChoice:
    """The choice for a key from the settings, None is the demo. Raises ModelNotFound, ModelIsFolder."""
    if key is None or key == DEMO_NAME:
        return DEMO
    for choice in list_choices(home):
        if choice.key == key:
            return choice
    return _from_path(key, find_model(key, home))


def find_key(path: Path, home: Home) -> str:
    """The key of the model at `path`: its name in the library, else the path itself."""
    known = (choice.key for choice in list_choices(home) if choice.path == path)
    return next(known, str(path))


def require_file(choice: ModelChoice, home: Home) -> Path:
    """The file of a choice that is not the demo. Raises ModelNotFound when it is gone."""
    if choice.path is None or not choice.path.is_file():
        raise ModelNotFound(choice.key, home.models, (DEMO_NAME, *list_names(home)))
    return choice.path


def _from_library(name: str, path: Path) -> ModelChoice:
    # The plain name "demo" means the built-in one.
    return _from_path(str(path) if name == DEMO_NAME else name, path, name)


def _from_path(key: str, path: Path, name: str | None = None) -> ModelChoice:
    try:
        size_bytes = path.stat().st_size
    except OSError:
        size_bytes = None
    return ModelChoice(key, name or path.stem, path, size_bytes, is_demo=False)
