"""From "I want this model" to a GGUF in the models folder: fetched as it is, or converted while it comes.

A generator over `engine.models` and `convert`; it can be left or killed at any time, and goes on where it was
when it is called again with the same wish. Knows no catalog, no queue and no screen.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from app.errors import ModelFileUnclear, ModelFolderUnclear, ModelHere
from app.models.as_it_is import check_as_it_is, names_type, needs_conversion
from app.models.asking import ask
from app.models.converting import Converting
from app.models.fetching import Fetching, Finished
from app.models.hub_offers import repository_offers
from app.models.progress import WorkDone, WorkProgress
from app.models.split_set import discard_parts
from convert.quantize import default_threads
from convert.recipes import AUTO, DEFAULT_TARGET
from convert.resumable import discard_partial
from engine.models.endpoints import Endpoints, RemoteFile
from engine.models.free_names import unlike_names
from engine.models.hub import Repository, resolve
from engine.models.parts import is_first, part_names
from engine.models.reply import Patience

_SUFFIX = ".gguf"
# More would only wait for the network, with more of the model in memory.
_MAX_THREADS = 8


@dataclass(frozen=True, slots=True)
class Wish:
    """A model to get; only built-in types, so that it can be kept in a file.

    repo: "owner/name" on the hub. revision: a branch, or the commit once that is known. file: of several in
    the repository; subfolder: where in it the model is (see `locate`). target: the type that was chosen.
    key, tokenizer: paths on this disk, where the checkpoint needs them. prompt: as for `Checkpoint.prompt`.
    modelscope: see `RemoteFile`. output_name: without it, the file's own, or made of repository and type.
    """

    repo: str
    revision: str = "main"
    file: str | None = None
    subfolder: str = ""
    target: str | None = None
    key: str | None = None
    tokenizer: str | None = None
    prompt: str = "auto"
    modelscope: str | None = None
    output_name: str | None = None

    @property
    def type_name(self) -> str:
        """What a checkpoint becomes, and which of several GGUFs is taken."""
        return self.target or DEFAULT_TARGET


def acquire(
    wish: Wish,
    folder: Path,
    endpoints: Endpoints,
    *,
    threads: int | None = None,
    patience: Patience | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
    held: Callable[[Path], AbstractContextManager[object]] = nullcontext,
    output: Path | None = None,
    is_claimed: Callable[[Path], bool] = lambda path: False,
    is_result: Callable[[Path], bool] = lambda path: False,
) -> Generator[WorkProgress | WorkDone, None, None]:
    """Get `wish` into `folder`: progress, then one `WorkDone`.

    When `is_cancelled` returns true, or the generator is closed, it just ends, and what is done stays for the
    next call (`discard` removes it). Give the `commit` of the progress as the next call's revision: a branch
    may move in between. held: keeps other processes from a path that is converted to (`Library.held`).

    output: that of an earlier call's progress. Without it, a free name is found: the wish's own, else one
    with the repository's name, else with a number; a file that has the right bytes already is the result.
    is_claimed: whether a path is meant for something else; is_result: whether what is there was converted
    from the same source. Raises `FetchError`s, `ConvertError`s, `ModelFileUnclear`, `ModelFolderUnclear`,
    `NotForGguf`, `ModelHere`, and what `held` raises.
    """
    yield WorkProgress("ask", wish.repo)
    repository = ask(
        lambda: resolve(wish.repo, endpoints, wish.revision, modelscope=wish.modelscope, patience=patience),
        is_cancelled,
    )
    if repository is None:
        return
    wish = locate(wish, repository)
    files = choose_files(repository, wish)
    own = wish.output_name or output_name(wish, files)
    names = (folder / name for name in unlike_names(own, wish.repo.rpartition("/")[2]))
    unclaimed = (path for path in names if not is_claimed(path))
    fetching = Fetching(repository, files, endpoints, patience, is_cancelled)
    finished: Finished = {}
    if output is None and files:
        found = yield from fetching.find_place(unclaimed)
        if found is None:
            return
        output, finished = found
    elif output is None:
        output = _free_place(wish, unclaimed, is_result)
    yield WorkProgress("ask", wish.repo, commit=repository.commit, output=output)  # to be kept at once
    if files:
        yield from fetching.run(output, finished)
        return
    converting = Converting(
        repository,
        endpoints,
        patience,
        is_cancelled,
        held,
        output,
        file=wish.file,
        subfolder=wish.subfolder,
        target=wish.type_name,
        prompt=wish.prompt,
        tokenizer=Path(wish.tokenizer) if wish.tokenizer else None,
        key=Path(wish.key) if wish.key else None,
    )
    yield from converting.run(min(threads or default_threads(), _MAX_THREADS))


def locate(wish: Wish, repository: Repository) -> Wish:
    """`wish` with its folder and its file told apart, which a person names in one path.

    Raises `ModelFolderUnclear` where the models are in folders, and none of them is named.
    """
    path = "/".join(part for part in (wish.subfolder.strip("/"), wish.file) if part)
    if any(file.name.startswith(f"{path}/") for file in repository.files):
        return replace(wish, subfolder=path, file=None)
    if path.lower().endswith(_SUFFIX):
        return replace(wish, subfolder="", file=path)
    offers = repository_offers(repository)
    in_folders = tuple(offer.path for offer in offers if offer.subfolder)
    if path:
        has_it = path in [*(file.name for file in repository.files), *(offer.path for offer in offers)]
    else:
        has_it = len(in_folders) < len(offers)
    if in_folders and not has_it:
        raise ModelFolderUnclear(repository.name, in_folders)
    folder, _, name = path.rpartition("/")
    return replace(wish, subfolder=folder, file=name or None)


def choose_files(repository: Repository, wish: Wish) -> tuple[RemoteFile, ...]:
    """The GGUF files that are the wished model, in order; none where a checkpoint must be converted.

    Raises `ModelFileUnclear`, and `NotForGguf` where there is one which is not what was wished for.
    """
    prefix = f"{wish.subfolder}/" if wish.subfolder else ""
    found = {
        file.name: file
        for file in repository.files
        if file.name.lower().endswith(_SUFFIX) and file.name.startswith(prefix)
    }
    if wish.file is not None and not wish.file.lower().endswith(_SUFFIX):
        return ()
    if wish.file is not None:
        names = [wish.file]
    else:
        firsts = [name for name in sorted(found) if is_first(name)]
        names = [name for name in firsts if names_type(name, wish.type_name)] or firsts
        if not names:
            return ()
        is_other = needs_conversion(names[0], wish.target, wish.key, wish.tokenizer) is not None
        if is_other and _has_checkpoint(repository, wish.subfolder):
            return ()
    if len(names) != 1 or names[0] not in found:
        raise ModelFileUnclear(repository.name, tuple(sorted(found)))
    name = f"{repository.name}/{names[0]}"
    check_as_it_is(name, names[0], wish.target, wish.key, wish.tokenizer)
    parts = part_names(names[0])
    if any(part not in found for part in parts):
        raise ModelFileUnclear(repository.name, tuple(sorted(found)))
    return tuple(found[part] for part in parts)


def _has_checkpoint(repository: Repository, subfolder: str) -> bool:
    offers = repository_offers(repository)
    return any(offer.kind == "checkpoint" and offer.subfolder == subfolder for offer in offers)


def output_name(wish: Wish, files: Sequence[RemoteFile]) -> str:
    """The name of the model's (first) file."""
    if files:
        return Path(files[0].name).name
    parts = [wish.repo.rpartition("/")[2], *re.split(r"[/\\]", wish.subfolder)]
    if wish.type_name != AUTO:
        parts.append(wish.type_name)
    return "-".join(part for part in parts if part) + _SUFFIX


def _free_place(wish: Wish, names: Iterator[Path], is_result: Callable[[Path], bool]) -> Path:
    """The first of endless names that is free. Raises `ModelHere` where one before it is the result."""
    for path in names:
        if not os.path.lexists(path):
            break
        if is_result(path):
            raise ModelHere(wish.repo, path)
    return path


def discard(output: Path) -> None:
    """Remove what an unfinished `acquire` to `output` left."""
    discard_partial(output)
    discard_parts(output)
