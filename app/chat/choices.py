"""Which models a person can choose: the demo, the library, and a file chosen elsewhere.

Knows names and sizes; opens no file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from app.errors import ModelNotFound
from app.home import Home
from app.models.finding import DEMO_NAME, find_model, list_names, model_paths
from engine.models.kept_paths import kept_path
from engine.models.places import find_parts, strip_suffix


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """One entry of the model picker; `key` is what the settings remember.

    key: the name of a file that lies in the models folder itself, else the path, as `kept_paths` writes it:
    the name of another one is taken over by the next file of that name there. size_bytes: of all its files;
    None for the demo, like path, since that is made when it is first used.
    """

    key: str
    name: str
    path: Path | None
    size_bytes: int | None
    is_demo: bool


DEMO = ModelChoice(DEMO_NAME, DEMO_NAME, None, None, is_demo=True)


def list_choices(home: Home, *others: str | None) -> tuple[ModelChoice, ...]:
    """The demo, then the library in order, then `others` (keys) that are files somewhere else."""
    found = [DEMO, *(_from_library(name, path, home) for name, path in model_paths(home).items())]
    for key in others:
        if key is not None and not any(_is_meant(key, choice) for choice in found) and os.path.isfile(key):
            found.append(_from_path(key, Path(key)))
    return tuple(found)


def find_choice(key: str | None, home: Home) -> ModelChoice:
    """The choice for a key from the settings, None is the demo. Raises ModelNotFound, ModelIsFolder."""
    if key is None or key == DEMO_NAME:
        return DEMO
    for choice in list_choices(home):
        if _is_meant(key, choice):
            return choice
    if not Path(key).is_absolute():  # a name that is gone must not lead to another file of that name
        raise ModelNotFound(key, home.models, (DEMO_NAME, *list_names(home)))
    return _from_path(key, find_model(key, home))


def find_key(path: Path, home: Home) -> str:
    """The key of the model that the file at `path` belongs to: its name, or its path."""
    first = find_parts(path).path
    known = (choice.key for choice in list_choices(home) if choice.path == first)
    return next(known, str(first))


def require_file(choice: ModelChoice, home: Home) -> Path:
    """The file of a choice that is not the demo. Raises ModelNotFound when it is gone."""
    if choice.path is None or not os.path.isfile(choice.path):
        raise ModelNotFound(choice.key, home.models, (DEMO_NAME, *list_names(home)))
    return choice.path


def _is_meant(key: str, choice: ModelChoice) -> bool:
    return key in (choice.key, str(choice.path))


def _from_library(name: str, path: Path, home: Home) -> ModelChoice:
    # The plain name "demo" means the built-in one.
    is_named_by_it = path.parent == home.models.absolute() and strip_suffix(path.name) == name != DEMO_NAME
    return _from_path(name if is_named_by_it else kept_path(str(path), home.root), path, name)


def _from_path(key: str, path: Path, name: str | None = None) -> ModelChoice:
    try:
        size_bytes = sum(part.stat().st_size for part in find_parts(path).parts)
    except OSError:
        size_bytes = None
    return ModelChoice(key, name or strip_suffix(path.name), path, size_bytes, is_demo=False)
