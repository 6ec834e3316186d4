"""What the file of a converted model is called: a suggestion, and what is wrong with a name."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from app.models.errands import Import
from app.models.inspection import Given
from app.models.jobs import Job
from convert.errors import SeveralCheckpoints
from convert.recipes import AUTO
from convert.sources.model_folders import find_model_folder, model_name
from convert.sources.xor import parse_encrypted_name
from engine.models.free_names import FORBIDDEN
from engine.typed_json import valid_text

NameProblem = Literal["empty", "characters", "reserved", "long", "coming", "taken"]

_SUFFIX = ".gguf"
_MAX_BYTES = 200  # of the 255 that file systems allow; temporary names are longer
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # by Windows
# Names that say what a file is, not which model.
_GENERIC = re.compile(
    r"(model|pytorch_model|adapter_model|consolidated|config|params|ggml-model)([-_.].*)?", re.IGNORECASE
)


def suggest_name(given: Given, type_name: str) -> str:
    """The model's name with its type, without suffix."""
    source = given.path
    stem = _stem(source, given.file)
    if given.base is not None:
        stem = f"{_stem(given.base, given.file)}-{stem}"
    stem = FORBIDDEN.sub(" ", valid_text(stem)).strip(". ") or "model"
    suffix = "" if type_name == AUTO else f"-{type_name}"
    return f"{_shorten(stem, _MAX_BYTES - len(suffix))}{suffix}"


def names_to_come(jobs: Iterable[Job]) -> frozenset[str]:
    """The names, in lower case, that unfinished jobs are going to give their results, as far as known.

    Nothing of that name need be on the disk yet; to begin another conversion under it would drop what is
    done of a paused one.
    """
    unfinished = [job for job in jobs if job.state not in ("done", "removed")]
    names = [Path(job.record.output).stem for job in unfinished if job.record.output]
    names += [job.errand.wish.name or "" for job in unfinished if isinstance(job.errand, Import)]
    return frozenset(name.casefold() for name in names if name)


def name_problem(name: str, folder: Path, to_come: Collection[str] = ()) -> NameProblem | None:
    """What keeps `name` from being a new file's in `folder`; to_come: as `names_to_come` tells."""
    if not name.strip():
        return "empty"
    if FORBIDDEN.search(name) or name != name.strip() or name.endswith(".") or name.startswith("."):
        return "characters"
    if _RESERVED.fullmatch(name):
        return "reserved"
    if len(name.encode("utf-8", "surrogatepass")) > _MAX_BYTES:
        return "long"
    if name.casefold() in to_come:
        return "coming"
    return "taken" if os.path.lexists(folder / f"{name}{_SUFFIX}") else None


def free_name(name: str, folder: Path, to_come: Collection[str] = ()) -> str:
    """`name`, with a number where it is taken."""
    number = 1
    found = name
    while name_problem(found, folder, to_come) in ("taken", "coming"):
        number += 1
        found = f"{name}-{number}"
    return found


def _stem(source: Path, file: str | None) -> str:
    """The file's name where it names the model, else the folder's."""
    source = source.absolute()
    with suppress(SeveralCheckpoints):
        source = find_model_folder(source)
    name = file if file is not None else source.name if not os.path.isdir(source) else None
    if name is None:
        return model_name(source)
    encrypted = parse_encrypted_name(name)
    stem = Path(encrypted.plain_name if encrypted is not None else name).stem
    if _GENERIC.fullmatch(stem) is None:
        return stem
    return model_name(source if os.path.isdir(source) else source.parent)


def _shorten(text: str, max_bytes: int) -> str:
    """As many whole characters as fit."""
    return text.encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore").rstrip(". ")
