"""The tokenizer and settings of another repository, for checkpoints that were published without their own.

Fetched once into a folder of this disk, which gets its name when all of it is there: whatever interrupts it,
the next call goes on, and no half folder is ever taken for a whole one. What is encrypted there is decrypted
here with the same key as the weights. Knows no model.
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
from convert import chat_templates
from convert.decrypt import Decrypted, decrypt
from convert.errors import ConvertError, KeyNeeded, TokenizerMissing
from convert.sources.xor import parse_encrypted_name
from convert.sources.xor_key import open_key
from convert.tokenizers.files import SIZE_LIMITS
from engine.models.download import Downloaded, download
from engine.models.endpoints import Endpoints, RemoteFile
from engine.models.fetch_errors import DownloadNotWritable
from engine.models.hub import Repository, resolve
from engine.models.reply import Patience

# All that `convert.detect` reads beside the weights.
_FILES = ("config.json", chat_templates.FILE, chat_templates.LEGACY_FILE, *SIZE_LIMITS)
_MAIN_FILES = ("tokenizer.json", "tokenizer.model")
_PART_SUFFIX = ".part"
_ENCRYPTED_FOLDER = "encrypted"


def fetch_tokenizer(
    repo: str,
    root: Path,
    endpoints: Endpoints,
    *,
    key: Path | None = None,
    patience: Patience | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Generator[WorkProgress, None, Path | None]:
    """Make a folder in `root` with what the conversion needs of `repo`, and return it; None when cancelled.

    What was fetched before is taken, without asking anybody. key: the key file where the repository is
    encrypted; one that is not the right one leaves nothing. Raises `FetchError`s, `TokenizerMissing` where
    the repository has none, `KeyNeeded`, and what `open_key` and `decrypt` raise.
    """
    stem = repo.replace("/", "--")
    earlier = find_tokenizer(repo, root)
    if earlier is not None:
        return earlier
    if key is not None:
        open_key(key).close()  # a key that can't be the right one is told before anything is fetched
    yield WorkProgress("ask", repo)
    repository = ask(lambda: resolve(repo, endpoints, patience=patience), is_cancelled)
    if repository is None:
        return None
    folder = root / f"{stem}@{repository.commit}"
    partial = folder.with_name(folder.name + _PART_SUFFIX)
    for file, name in _wanted(repository, key):
        if not (yield from _fetch(file, partial / name, endpoints, patience, is_cancelled)):
            return None
    if key is not None and not _decrypt(partial, key, is_cancelled):
        return None
    _publish(partial, folder)
    for old in root.glob(f"{stem}@*{_PART_SUFFIX}"):
        shutil.rmtree(old, ignore_errors=True)
    return folder


def find_tokenizer(repo: str, root: Path) -> Path | None:
    """The folder with the tokenizer of `repo`, where it was fetched before."""
    found = sorted(root.glob(f"{repo.replace('/', '--')}@*"))
    return next((path for path in found if path.suffix != _PART_SUFFIX and path.is_dir()), None)


def _wanted(repository: Repository, key: Path | None) -> list[tuple[RemoteFile, str]]:
    """What to fetch, and as which file of the folder; where a name exists encrypted, that one counts."""
    path = Path(repository.name)
    encrypted = {
        parsed.plain_name: file
        for file in repository.files
        if (parsed := parse_encrypted_name(file.name)) is not None and parsed.plain_name in _FILES
    }
    plain = {file.name: file for file in repository.files if _is_read(file.name)} | encrypted
    if not any(name in _MAIN_FILES for name in plain):
        raise TokenizerMissing(path, " / ".join(_MAIN_FILES))
    if encrypted and key is None:
        raise KeyNeeded(path)
    return [
        (file, f"{_ENCRYPTED_FOLDER}/{file.name}" if name in encrypted else name)
        for name, file in sorted(plain.items())
    ]


def _is_read(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return name in _FILES or (folder == chat_templates.MORE_FILES and file.endswith(chat_templates.SUFFIX))


def _decrypt(partial: Path, key: Path, is_cancelled: Callable[[], bool]) -> bool:
    """Put the plain files where the encrypted ones' folder is; false when cancelled."""
    encrypted = partial / _ENCRYPTED_FOLDER
    if not encrypted.is_dir():
        return True
    try:
        events = list(decrypt(encrypted, key, partial, force=True, is_cancelled=is_cancelled))
    except ConvertError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if not events or not isinstance(events[-1], Decrypted):
        return False
    shutil.rmtree(encrypted, ignore_errors=True)
    return True


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
