"""From a file or folder on this disk to a model in the library: added if it is a GGUF, else converted.

A generator over `engine.models` and `convert`. Knows no screen and no network.
"""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path

from app.models.progress import Pace, WorkDone, WorkProgress
from convert.detect import open_checkpoint
from convert.errors import AlreadyGguf, SourceMissing
from convert.pipeline import Converted, convert
from convert.recipes import AUTO
from convert.sources.lora import LoraChoice
from engine.models.adding import Added, How, add_gguf
from engine.models.free_names import unlike_names
from engine.models.library import Library

_SUFFIX = ".gguf"


@dataclass(frozen=True, slots=True)
class ImportWish:
    """What to import and how. how: of a GGUF. target: the type a checkpoint is converted to.

    key, tokenizer: where the checkpoint needs them. file: the weight file to take in a folder with several.
    loras: folders of adapters to merge, in order. name: of the new file, without suffix.
    """

    path: Path
    how: How = "copy"
    target: str = AUTO
    key: Path | None = None
    tokenizer: Path | None = None
    prompt: str = "auto"
    name: str | None = None
    file: str | None = None
    loras: tuple[Path, ...] = ()


def import_model(
    wish: ImportWish,
    library: Library,
    is_cancelled: Callable[[], bool] = lambda: False,
    *,
    resumes: bool = False,
    is_claimed: Callable[[Path], bool] = lambda path: False,
) -> Generator[WorkProgress | WorkDone, None, None]:
    """Import `wish`: `WorkProgress` values, then one `WorkDone`.

    Without a name in `wish`, the result gets a free one: is_claimed says which other work is going to take. A
    cancelled or closed run leaves nothing; with `resumes`, an unfinished conversion stays, and the next run
    goes on at the tensor it was at (`app.models.acquire.discard` removes it). Raises what `add_gguf`
    raises, and ConvertErrors.
    """

    def is_taken(path: Path) -> bool:
        return is_claimed(path) or os.path.lexists(path)

    if not os.path.exists(wish.path):
        raise SourceMissing(wish.path, os.strerror(errno.ENOENT))
    if wish.path.is_file() and is_gguf(wish.path):
        yield from _add(wish, library, is_cancelled, is_taken)
        return
    try:
        yield from _convert(wish, library, is_cancelled, is_taken, resumes)
    except AlreadyGguf as error:
        raise AlreadyGguf(wish.path) from error


def _add(
    wish: ImportWish, library: Library, is_cancelled: Callable[[], bool], is_taken: Callable[[Path], bool]
) -> Generator[WorkProgress | WorkDone, None, None]:
    pace = Pace()
    for event in add_gguf(wish.path, library, wish.how, is_cancelled, is_taken):
        if isinstance(event, Added):
            yield WorkDone(event.path, event.size_bytes, event.sha256)
        else:
            yield pace.at("copy", wish.path.name, event.done_bytes, event.total_bytes)


def _convert(
    wish: ImportWish,
    library: Library,
    is_cancelled: Callable[[], bool],
    is_taken: Callable[[Path], bool],
    resumes: bool,
) -> Generator[WorkProgress | WorkDone, None, None]:
    source = wish.path.absolute()
    library.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    loras = [LoraChoice(path) for path in wish.loras]
    with open_checkpoint(wish.path, wish.tokenizer, wish.key, file=wish.file, loras=loras) as checkpoint:
        prompt = checkpoint.prompt(wish.prompt)
        plan = checkpoint.plan(wish.target, prompt)
        stem = source.stem if source.is_file() else source.name
        name = wish.name or (stem if plan.target.name == AUTO else f"{stem}-{plan.target.name}")
        output = library.folder / f"{name}{_SUFFIX}"
        if wish.name is None:
            names = (library.folder / other for other in unlike_names(output.name))
            output = next(path for path in names if not is_taken(path))
        pace = Pace()
        resume_id = _resume_id(wish) if resumes else None
        with library.held(output):
            for event in convert(plan, output, resume_id=resume_id, is_cancelled=is_cancelled):
                if isinstance(event, Converted):
                    library.note(
                        output,
                        source=str(source),
                        license=plan.license,
                        prompt_format=prompt.name,
                        expected_sha256=event.sha256,
                    )
                    yield WorkDone(output, event.size_bytes, event.sha256, is_converted=True)
                else:
                    yield replace(
                        pace.at(event.phase, event.tensor, event.done_bytes, event.total_bytes),
                        n_tensors_done=event.n_tensors_done,
                        n_tensors=event.n_tensors,
                        output=output,
                    )


def _resume_id(wish: ImportWish) -> str:
    """What the weights are, as far as the system tells: names, sizes and times of the files."""
    source = wish.path.absolute()
    parts = [_states(source), *(_states(path.absolute()) for path in wish.loras)]
    return f"{source} {parts} {wish.key.stat().st_size if wish.key else 0} {wish.file or ''}"


def _states(source: Path) -> list[tuple[str, int, int]]:
    files = [source, *source.parent.glob(f"{glob.escape(source.name)}.*")]
    if source.is_dir():
        files = [path for path in source.iterdir() if path.is_file()]
    return [(path.name, state.st_size, state.st_mtime_ns) for path in sorted(files) if (state := path.stat())]


def is_gguf(path: Path) -> bool:
    """By its first bytes, or by its name: what calls itself a GGUF and is none must be told as one."""
    if path.name.lower().endswith(_SUFFIX):
        return True
    try:
        with path.open("rb") as file:
            return file.read(4) == b"GGUF"
    except OSError:
        return False
