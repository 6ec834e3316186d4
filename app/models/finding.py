"""From what a person calls a model to a file on this disk, and the model manager over the data folder.

A model is named by a path, or by its name in the library: the models folder, folders that were added, and the
cache of the Hugging Face hub. Finding opens no model file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path

from app.errors import AppError, ModelIsFolder, ModelNotFound, ModelNotListed
from app.home import Home
from engine.models.catalog import Catalog, parse_catalog
from engine.models.library import Library
from engine.models.places import find_hf_cache, find_parts, strip_suffix
from engine.models.user_entries import UserEntries

DEMO_NAME = "demo"
_CATALOG_NAME = "catalog.json"
_ENTRIES_NAME = "catalog-entries.json"


def open_library(home: Home) -> Library:
    """The models on this disk."""
    return Library(home.root, home.models, find_hf_cache())


@cache
def load_catalog() -> Catalog:
    """The catalog that is shipped. Raises CatalogInvalid."""
    return parse_catalog(files("assets").joinpath(_CATALOG_NAME).read_text(encoding="utf-8"))


def open_entries(home: Home) -> UserEntries:
    """What this person added to the catalog."""
    return UserEntries(home.root / _ENTRIES_NAME)


def find_model(name: str, home: Home) -> Path:
    """The GGUF that `name` means: an existing path first, then a model of the library.

    There, upper and lower case and the suffix `.gguf` don't matter. Any file of a split model leads to its
    first one. Raises ModelNotFound, ModelIsFolder and PartsMissing.
    """
    path = Path(os.path.expanduser(name))
    found = path if os.path.isfile(path) else _find_by_name(strip_suffix(name), model_paths(home))
    if found is not None:
        return _first_file(found)
    if os.path.isdir(path):
        raise ModelIsFolder(path)
    raise ModelNotFound(name, home.models, (DEMO_NAME, *list_names(home)))


def not_listed(name: str, home: Home, known: Iterable[str]) -> AppError:
    """What to raise where `name` is none of the `known` models, although a file may be there."""
    path = Path(os.path.expanduser(name))
    return ModelNotListed(path) if os.path.exists(path) else ModelNotFound(name, home.models, tuple(known))


def model_paths(home: Home) -> dict[str, Path]:
    """The file of every model in the library by its name, in the list's order."""
    return open_library(home).paths()


def list_names(home: Home) -> tuple[str, ...]:
    """Names of all models in the library, without suffix, in order."""
    return tuple(model_paths(home))


def _first_file(path: Path) -> Path:
    """What is loaded of the model that the file at `path` belongs to."""
    model = find_parts(path)
    model.require_all()
    return model.path


def _find_by_name(wanted: str, known: dict[str, Path]) -> Path | None:
    """Exact spelling wins over another case, where the file system tells them apart."""
    if wanted in known:
        return known[wanted]
    return next((path for name, path in known.items() if name.casefold() == wanted.casefold()), None)
