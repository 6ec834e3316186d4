"""What an offline kit holds: `chatbelle-kit.json` in its folder, read by whoever installs from it.

field       what
format      1
version     of the program that made it and lies in it
system      the one it is for: Linux-x86_64, Windows-AMD64, Darwin-arm64
program     the folder or archive of the program
model       null, or name, sha256 of the whole (`joined_hash`), prompt_format (null: the file's own),
            license (null: not known), and files in order, each with path (below the kit, with /), size_bytes
            and sha256

It is written last: a folder with `chatbelle-kit.unfinished` is none yet. Nothing in it is trusted: paths stay
in the kit, sizes and hashes are compared with the files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from app.kit.errors import KitDamaged, KitTooNew, KitUnfinished, KitWithoutModel
from engine.prompt import PROMPT_FORMATS

MANIFEST_NAME = "chatbelle-kit.json"
UNFINISHED_NAME = "chatbelle-kit.unfinished"
MODELS_FOLDER = "models"

_FORMAT = 1
_MAX_BYTES = 1 << 20
_MAX_FILES = 1000
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class KitFile:
    """One file of the model. path: below the kit's folder, with slashes. sha256: hexadecimal."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class KitModel:
    """The model in a kit; prompt_format: the one that was chosen for it, by its name."""

    name: str
    sha256: str
    files: tuple[KitFile, ...]
    prompt_format: str | None = None
    license: str | None = None

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class Kit:
    """A finished kit. program: the name of the program's folder, or of its archive."""

    version: str
    system: str
    program: str
    model: KitModel | None = None


@dataclass(frozen=True, slots=True)
class ModelInKit:
    """The model of the kit in `folder`."""

    folder: Path
    model: KitModel

    def hashes(self) -> dict[Path, str]:
        """The SHA-256 of each file, in order."""
        return {self.folder / file.path: file.sha256 for file in self.model.files}


def write_text(kit: Kit) -> str:
    """The manifest's text."""
    return json.dumps({"format": _FORMAT, **asdict(kit)}, ensure_ascii=False, indent=1) + "\n"


def kit_folder(path: Path) -> Path | None:
    """The kit that `path` means: its folder, or its manifest; None where there is none, finished or not."""
    folder = path.parent if path.name in (MANIFEST_NAME, UNFINISHED_NAME) else path
    is_kit = any((folder / name).is_file() for name in (MANIFEST_NAME, UNFINISHED_NAME))
    return folder if is_kit else None


def read_kit(folder: Path) -> Kit:
    """The kit in a folder. Raises KitUnfinished, KitDamaged and KitTooNew."""
    path = folder / MANIFEST_NAME
    if (folder / UNFINISHED_NAME).exists():
        raise KitUnfinished(folder)
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_MAX_BYTES))
        if not isinstance(content, dict):
            raise TypeError("no object")
        if content.get("format") != _FORMAT:
            raise KitTooNew(folder, str(content.get("version"))[:40])
        return _kit_from(content)
    except OSError as error:
        raise KitDamaged(path, error.strerror or str(error)) from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise KitDamaged(path, str(error)[:200]) from error


def model_of_kit(path: Path) -> Path | None:
    """The first file of the model in the kit that `path` means; None where it means no kit.

    Raises KitWithoutModel, and as `read_kit` does.
    """
    folder = kit_folder(path)
    if folder is None:
        return None
    model = read_kit(folder).model
    if model is None:
        raise KitWithoutModel(folder)
    return folder / model.files[0].path


def kit_around(path: Path) -> ModelInKit | None:
    """The model of a kit that the file at `path` is one of; None for a file that lies in none.

    Raises as `read_kit` does.
    """
    folder = kit_folder(path.absolute().parent.parent)
    model = read_kit(folder).model if folder is not None else None
    if folder is None or model is None:
        return None
    found = ModelInKit(folder, model)
    return found if path.absolute() in found.hashes() else None


def _kit_from(content: Mapping[str, Any]) -> Kit:
    texts = {name: _text(content[name], name) for name in ("version", "system", "program")}
    model = content["model"]
    return Kit(**texts, model=None if model is None else _model_from(model))


def _model_from(content: Mapping[str, Any]) -> KitModel:
    entries = content["files"]
    if not isinstance(entries, list) or not 1 <= len(entries) <= _MAX_FILES:
        raise ValueError("files")
    prompt_format = content["prompt_format"]
    if prompt_format is not None and prompt_format not in PROMPT_FORMATS:
        raise ValueError("prompt_format")
    license_ = content["license"]
    return KitModel(
        name=_text(content["name"], "name"),
        sha256=_hash(content["sha256"]),
        files=tuple(map(_file_from, entries)),
        prompt_format=prompt_format,
        license=None if license_ is None else _text(license_, "license"),
    )


def _file_from(content: Mapping[str, Any]) -> KitFile:
    path, size_bytes = _text(content["path"], "path"), content["size_bytes"]
    parts = PurePosixPath(path).parts
    # Two names below the kit: what leads out of it, or to a drive, is none.
    is_inside = len(parts) == 2 and parts[0] == MODELS_FOLDER and parts[1] not in ("..", ".")
    if not is_inside or "/".join(parts) != path or re.search(r"[\\:\0]", path):
        raise ValueError(f"path {path!r}")
    if not isinstance(size_bytes, int) or isinstance(size_bytes, bool) or size_bytes < 0:
        raise ValueError(f"size_bytes {size_bytes!r}")
    return KitFile(path, size_bytes, _hash(content["sha256"]))


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value or len(value) > 500:
        raise ValueError(name)
    return value


def _hash(value: Any) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError("sha256")
    return value
