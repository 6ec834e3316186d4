"""The tokenizer and settings of another repository, for checkpoints that were published without their own.

Fetched once into a folder of this disk, which gets its name when all of it is there: whatever interrupts it,
the next call goes on, and no half folder is ever taken for a whole one. Knows no model.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

from app.durable import sync_folder
from app.models.asking import ask
from app.models.progress import WorkProgress
from convert.errors import TokenizerMissing
from convert.tokenizers.files import SIZE_LIMITS
from engine.models.download import Downloaded, download
from engine.models.endpoints import Endpoints, RemoteFile
from engine.models.fetch_errors import DownloadNotWritable
from engine.models.hub import resolve
from engine.models.transport import Patience

# All that `convert.detect` reads beside the weights.
_FILES = ("config.json", "chat_template.jinja", *SIZE_LIMITS)
_MAIN_FILES = ("tokenizer.json", "tokenizer.model")
_PART_SUFFIX = ".part"


def fetch_tokenizer(
    repo: str,
    root: Path,
    endpoints: Endpoints,
    *,
    patience: Patience | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Generator[WorkProgress, None, Path | None]:
    """Make a folder in `root` with what the conversion needs of `repo`, and return it; None when cancelled.

    What was fetched before is taken, without asking anybody. Raises `FetchError`s, and `TokenizerMissing`
    where the repository has none.
    """
    stem = repo.replace("/", "--")
    earlier = find_tokenizer(repo, root)
    if earlier is not None:
        return earlier
    yield WorkProgress("ask", repo)
    repository = ask(lambda: resolve(repo, endpoints, patience=patience), is_cancelled)
    if repository is None:
        return None
    folder = root / f"{stem}@{repository.commit}"
    files = [file for file in repository.files if file.name in _FILES]
    if not any(file.name in _MAIN_FILES for file in files):
        raise TokenizerMissing(Path(repo), " / ".join(_MAIN_FILES))
    partial = folder.with_name(folder.name + _PART_SUFFIX)
    for file in sorted(files, key=lambda file: file.name):
        if not (yield from _fetch(file, partial / file.name, endpoints, patience, is_cancelled)):
            return None
    _publish(partial, folder)
    for old in root.glob(f"{stem}@*{_PART_SUFFIX}"):
        shutil.rmtree(old, ignore_errors=True)
    return folder


def find_tokenizer(repo: str, root: Path) -> Path | None:
    """The folder with the tokenizer of `repo`, where it was fetched before."""
    found = sorted(root.glob(f"{repo.replace('/', '--')}@*"))
    return next((path for path in found if path.suffix != _PART_SUFFIX and path.is_dir()), None)


def _fetch(
    file: RemoteFile,
    path: Path,
    endpoints: Endpoints,
    patience: Patience | None,
    is_cancelled: Callable[[], bool],
) -> Generator[WorkProgress, None, bool]:
    """One file, which may be there already; false when cancelled."""
    events = download(file, path, endpoints, patience=patience, is_cancelled=is_cancelled)
    with closing(events):
        for event in events:
            if isinstance(event, Downloaded):
                return True
            yield WorkProgress(event.phase, event.name, event.done_bytes, event.total_bytes, host=event.host)
    return False


def _publish(partial: Path, folder: Path) -> None:
    sync_folder(partial)
    try:
        os.rename(partial, folder)
    except OSError as error:
        if not folder.is_dir():  # else another process was there first
            raise DownloadNotWritable(folder.name, folder, error.strerror or str(error)) from error
    sync_folder(folder.parent)
