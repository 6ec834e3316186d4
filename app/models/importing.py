"""From a file or folder on this disk to a model in the library: added if it is a GGUF, else converted.

A generator over `engine.models` and `convert`. Knows no screen and no network.
"""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from app.errors import ModelHere, OnlyForGguf
from app.kit.errors import KitModelDamaged
from app.kit.manifest import ModelInKit, kit_around, kit_folder, model_of_kit
from app.models.as_it_is import check_as_it_is
from app.models.progress import Pace, Phase, WorkDone, WorkProgress
from app.models.taking_over import TakenOver, is_result, take_over
from convert.detect import open_checkpoint
from convert.errors import AlreadyGguf, SeveralWeightFiles, SourceMissing
from convert.pipeline import Converted, Plan, Progress, convert
from convert.recipes import AUTO
from convert.resumable import discard_partial, partial_path
from convert.sources.lora import LoraChoice
from convert.sources.model_folders import find_model_folder, model_name
from engine.models.adding import Added, How, add_gguf, discard_copy
from engine.models.errors import ModelChanged
from engine.models.free_names import unlike_names
from engine.models.library import Library
from engine.models.parts import part_names
from engine.models.places import find_parts

_SUFFIX = ".gguf"
_N_NAMES_NEAR = 8


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
    goes on at the tensor it was at (`discard_import` removes it), or takes over a result that
    was finished and not recorded. Raises ModelHere where the result of the same source is on record,
    NotForGguf, OnlyForGguf, SeveralCheckpoints, KitErrors, what `add_gguf` raises, and ConvertErrors.
    """

    if not os.path.exists(wish.path):
        raise SourceMissing(wish.path, os.strerror(errno.ENOENT))
    wish = replace(wish, path=locate_model(wish.path))
    gguf = find_gguf(wish.path, wish.file) if not wish.loras else None
    if gguf is not None:
        yield from _add(replace(wish, path=gguf), library, is_cancelled, is_claimed)
        return
    if wish.how != "copy":
        raise OnlyForGguf(wish.path.name, wish.how)
    try:
        yield from _convert(wish, library, is_cancelled, is_claimed, resumes)
    except AlreadyGguf as error:
        raise AlreadyGguf(wish.path) from error


def discard_import(output: Path) -> None:
    """Remove what an unfinished import to `output` left; what is finished stays."""
    discard_partial(output)
    for name in part_names(output.name):
        discard_copy(output.with_name(name))


def _add(
    wish: ImportWish, library: Library, is_cancelled: Callable[[], bool], is_claimed: Callable[[Path], bool]
) -> Generator[WorkProgress | WorkDone, None, None]:
    check_as_it_is(wish.path.name, wish.path.name, wish.target, wish.key, wish.tokenizer)
    found = find_parts(wish.path.absolute())
    listed = library.look().of_file(found.path)
    if listed is not None and (listed.place == "models" or wish.how == "in-place"):
        raise listed.problem or ModelHere(wish.path.name, listed.path)
    copied = str(found.path), sum(path.stat().st_size for path in found.parts if os.path.exists(path))

    def is_taken(path: Path) -> bool:
        if is_claimed(path) or not os.path.lexists(path):
            return is_claimed(path)
        model = library.look().at(path)
        if model is not None and model.problem is None and (model.source, model.size_bytes) == copied:
            raise ModelHere(wish.path.name, model.path)
        return True

    pace = Pace()
    kit = kit_around(found.path)
    if kit is not None:
        _refuse_again(kit, library)
    expected = kit.hashes() if kit is not None else {}
    try:
        for event in add_gguf(wish.path, library, wish.how, is_cancelled, is_taken, expected):
            if isinstance(event, Added):
                if kit is not None:
                    _note_kit(kit, event, wish, library)
                yield WorkDone(event.path, event.size_bytes, event.sha256, is_confirmed=kit is not None)
            else:
                phase: Phase = "check" if event.path is None else "link" if wish.how == "link" else "copy"
                progress = pace.at(phase, wish.path.name, event.done_bytes, event.total_bytes)
                yield replace(progress, output=event.path)
    except ModelChanged as error:
        raise KitModelDamaged(error.path, error.expected_sha256, error.found_sha256) from error


def _refuse_again(kit: ModelInKit, library: Library) -> None:
    """Raise ModelHere where the very bytes are here already: kits come on more than one disk."""
    for model in library.look().models:
        if model.problem is None and model.expected_sha256 == kit.model.sha256:
            raise ModelHere(kit.model.name, model.path)


def _note_kit(kit: ModelInKit, added: Added, wish: ImportWish, library: Library) -> None:
    """Record what the kit says of its model besides the hash."""
    library.note(
        added.path,
        source=str(wish.path.absolute()),
        license=kit.model.license,
        expected_sha256=added.sha256,
        in_place=wish.how == "in-place",
    )


def _convert(
    wish: ImportWish,
    library: Library,
    is_cancelled: Callable[[], bool],
    is_claimed: Callable[[Path], bool],
    resumes: bool,
) -> Generator[WorkProgress | WorkDone, None, None]:
    library.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    loras = [LoraChoice(path) for path in wish.loras]
    with open_checkpoint(wish.path, wish.tokenizer, wish.key, file=wish.file, loras=loras) as checkpoint:
        prompt = checkpoint.prompt(wish.prompt)
        plan = checkpoint.plan(wish.target, prompt)
        is_left = partial(_is_left, wish, plan, library, resumes)
        output = _find_output(wish, plan, library.folder, is_claimed, is_left)
        pace = Pace()
        with library.held(output):
            work: Generator[Progress | Converted | TakenOver, None, None]
            if os.path.lexists(output) and is_left(output):
                work = take_over(plan, output, is_cancelled)
            else:
                resume_id = _resume_id(wish) if resumes else None
                work = convert(plan, output, resume_id=resume_id, is_cancelled=is_cancelled)
            for event in work:
                if isinstance(event, Progress):
                    yield replace(
                        pace.at(event.phase, event.tensor, event.done_bytes, event.total_bytes),
                        n_tensors_done=event.n_tensors_done,
                        n_tensors=event.n_tensors,
                        output=output,
                    )
                else:
                    library.note(
                        output,
                        source=_origin(wish),
                        license=plan.license,
                        prompt_format=prompt.name,
                        expected_sha256=event.sha256,
                    )
                    yield WorkDone(output, event.size_bytes, event.sha256, is_converted=True)


def _find_output(
    wish: ImportWish,
    plan: Plan,
    folder: Path,
    is_claimed: Callable[[Path], bool],
    is_left: Callable[[Path], bool],
) -> Path:
    """The file of the wished name; without one, the first left by a killed run, else the first free."""
    if wish.name is not None:
        return folder / f"{wish.name}{_SUFFIX}"
    source = wish.path.absolute()
    stem = source.stem if source.is_file() else model_name(source)
    if plan.target.name != AUTO:
        stem = f"{stem}-{plan.target.name}"
    names = (folder / name for name in unlike_names(f"{stem}{_SUFFIX}"))
    usable = (path for path in names if not is_claimed(path) and (not os.path.lexists(path) or is_left(path)))
    near = list(islice(usable, _N_NAMES_NEAR))  # names before it may have become free meanwhile
    return next((path for path in near if is_left(path)), near[0])


def _is_left(wish: ImportWish, plan: Plan, library: Library, resumes: bool, path: Path) -> bool:
    """Whether a killed run left its result there, or a part of one.

    Raises ModelHere where the result is on record, and sound: that run was not killed.
    """
    if not os.path.lexists(path):
        return resumes and os.path.exists(partial_path(path))
    if not is_result(path, plan):
        return False
    model = library.look().at(path)
    if model is None:
        return resumes
    if model.problem is not None:
        return False
    if model.source == _origin(wish):
        raise ModelHere(wish.path.name, path)
    return resumes and model.source is None


def _origin(wish: ImportWish) -> str:
    """What a model is made of, for people; models of one folder are told apart by it."""
    source = wish.path.absolute()
    parts = [source / wish.file if wish.file is not None else source]
    return " + ".join(str(path) for path in (*parts, *(lora.absolute() for lora in wish.loras)))


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


def locate_model(path: Path) -> Path:
    """Where the files of the model are that `path` means; of a kit, that path. Raises SeveralCheckpoints."""
    return path if kit_folder(path) is not None else find_model_folder(path)


def find_gguf(path: Path, file: str | None = None) -> Path | None:
    """The GGUF that was meant: the file at `path`; of a folder without a checkpoint, `file` or the only one.

    Of an offline kit, its model. Raises SourceMissing where a folder can't be read, SeveralWeightFiles and
    KitErrors.
    """
    of_kit = model_of_kit(path)
    if of_kit is not None:
        return of_kit
    if not path.is_dir():  # of what is neither a file nor a folder, nothing may be read
        return path if path.is_file() and is_gguf(path) else None
    try:
        names = sorted(entry.name for entry in path.iterdir() if entry.name.lower().endswith(_SUFFIX))
        has_config = (path / "config.json").is_file()
    except OSError as error:
        raise SourceMissing(path, error.strerror or str(error)) from error
    if has_config:
        return None
    if file in names:
        return path / file
    first_parts = dict.fromkeys(find_parts(path / name).path.name for name in names)
    if len(first_parts) > 1:
        raise SeveralWeightFiles(path, tuple(first_parts))
    return path / next(iter(first_parts)) if first_parts else None


def is_gguf(path: Path) -> bool:
    """By its first bytes, or by its name: what calls itself a GGUF and is none must be told as one."""
    if path.name.lower().endswith(_SUFFIX):
        return True
    try:
        with path.open("rb") as file:
            return file.read(4) == b"GGUF"
    except OSError:
        return False
