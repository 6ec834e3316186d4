"""From a file or folder on this disk to a model in the library: added if it is a GGUF, else converted.

A generator over `engine.models` and `convert`. Knows no screen and no network.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.errors import ModelNotFound
from convert.detect import open_checkpoint
from convert.errors import AlreadyGguf
from convert.pipeline import Converted, convert
from convert.recipes import AUTO
from engine.models.adding import Added, How, add_gguf
from engine.models.library import Library

_SUFFIX = ".gguf"


@dataclass(frozen=True, slots=True)
class ImportWish:
    """What to import and how. how: of a GGUF. target: the type a checkpoint is converted to.

    key, tokenizer: where the checkpoint needs them. name: of the new file, without suffix.
    """

    path: Path
    how: How = "copy"
    target: str = AUTO
    key: Path | None = None
    tokenizer: Path | None = None
    prompt: str = "auto"
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """done_bytes: of the file (copy), of the checkpoint's weights (convert), of the result (verify)."""

    phase: Literal["copy", "resume", "convert", "verify"]
    item: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Imported:
    """The model in the library. sha256: hexadecimal, None where its bytes were not read."""

    path: Path
    size_bytes: int
    sha256: str | None
    is_converted: bool


def import_model(
    wish: ImportWish, library: Library, is_cancelled: Callable[[], bool] = lambda: False
) -> Generator[ImportProgress | Imported, None, None]:
    """Import `wish`: `ImportProgress` values, then one `Imported`.

    A cancelled or closed run leaves nothing. Raises ModelNotFound, what `add_gguf` raises, and ConvertErrors.
    """
    if not wish.path.exists():
        raise ModelNotFound(str(wish.path), library.folder, tuple(library.paths()))
    if wish.path.is_file() and _is_gguf(wish.path):
        yield from _add(wish, library, is_cancelled)
        return
    try:
        yield from _convert(wish, library, is_cancelled)
    except AlreadyGguf as error:
        raise AlreadyGguf(wish.path) from error


def _add(
    wish: ImportWish, library: Library, is_cancelled: Callable[[], bool]
) -> Generator[ImportProgress | Imported, None, None]:
    for event in add_gguf(wish.path, library, wish.how, is_cancelled):
        if isinstance(event, Added):
            yield Imported(event.path, event.size_bytes, event.sha256, is_converted=False)
        else:
            yield ImportProgress("copy", wish.path.name, event.done_bytes, event.total_bytes)


def _convert(
    wish: ImportWish, library: Library, is_cancelled: Callable[[], bool]
) -> Generator[ImportProgress | Imported, None, None]:
    source = wish.path.absolute()
    library.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open_checkpoint(wish.path, wish.tokenizer, wish.key) as checkpoint:
        prompt = checkpoint.prompt(wish.prompt)
        plan = checkpoint.plan(wish.target, prompt)
        name = wish.name or f"{source.stem if source.is_file() else source.name}-{plan.target.name}"
        output = library.folder / f"{name}{_SUFFIX}"
        with library.held(output):
            for event in convert(plan, output, is_cancelled=is_cancelled):
                if isinstance(event, Converted):
                    library.note(
                        output,
                        source=str(source),
                        license=plan.license,
                        prompt_format=prompt.name,
                        expected_sha256=event.sha256,
                    )
                    yield Imported(output, event.size_bytes, event.sha256, is_converted=True)
                else:
                    yield ImportProgress(event.phase, event.tensor, event.done_bytes, event.total_bytes)


def _is_gguf(path: Path) -> bool:
    """By its first bytes, or by its name: what calls itself a GGUF and is none must be told as one."""
    if path.name.lower().endswith(_SUFFIX):
        return True
    try:
        with path.open("rb") as file:
            return file.read(4) == b"GGUF"
    except OSError:
        return False
