"""Decrypt BELLE's `.enc` files into plain ones, or only check their hashes, in one pass over the bytes.

Reading and decrypting, hashing, and writing overlap on three threads. Every file is verified before the first
one gets its name. Knows nothing about what the plain files hold.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convert.errors import (
    EncryptedEndMissing,
    KeyDoesNotFit,
    KeyHashMismatch,
    NotEnoughDisk,
    OutputExists,
    OutputNotWritable,
)
from convert.output import PendingOutput
from convert.sources.byte_source import ByteSource
from convert.sources.hf_folder import shard_set
from convert.sources.xor import XorSource
from convert.sources.xor_folder import EncryptedFolder, check_ends, hash_mismatch, open_encrypted
from convert.sources.xor_key import LLAMA1_7B_MD5, open_key

if TYPE_CHECKING:
    from hashlib import _Hash

_BLOCK_BYTES = 1 << 20
_N_BLOCKS_AHEAD = 4


@dataclass(frozen=True)
class DecryptProgress:
    """How far the work is, in bytes of all files. name: the file at work, after `n_files_done` others."""

    name: str
    n_files_done: int
    n_files: int
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class Decrypted:
    """The plain files, all of them verified; seconds: wall-clock, until the disk had everything."""

    paths: tuple[Path, ...]
    size_bytes: int
    seconds: float


def decrypt(
    source: Path,
    key: Path,
    output_dir: Path,
    *,
    force: bool = False,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[DecryptProgress | Decrypted]:
    """Write the plain file of one `.enc` file, or of all in a folder: progress, then one `Decrypted`.

    Small files come first, so that a wrong key is noticed at once; where it seems wrong for a large one, the
    hash is computed before anything is written. When `is_cancelled` returns true (which ends the generator
    without a `Decrypted`), or it is closed, or anything raises, nothing is left behind.
    Raises what `EncryptedFolder` and `open_encrypted` raise, `MissingEncryptedShard`, `WrongKey`,
    `DamagedEncryptedFile` and `OutputError`s.
    """
    started_s = time.monotonic()
    with ExitStack() as opened:
        sources = _open_sources(source, key, opened)
        outputs = [output_dir / plain.plain_name for plain in sources]
        for output in outputs:
            if os.path.exists(output) and not force:
                raise OutputExists(output)
        doubtful = [plain for plain in sources if _is_doubtful(plain)]
        progress = _Progress([*doubtful, *sources])
        for plain in doubtful:
            if not (yield from _verify(plain, progress, is_cancelled)):
                return
        opened.enter_context(_output_folder(output_dir))
        _check_space(output_dir, sources)
        written: list[PendingOutput] = []
        for plain, output in zip(sources, outputs, strict=True):
            pending = opened.enter_context(PendingOutput(output, plain.size_bytes, force=force))
            if not (yield from _verify(plain, progress, is_cancelled, pending.write)):
                return
            pending.sync()
            written.append(pending)
        # The large ones first: a config.json is only there when its weights are.
        for pending in reversed(written):
            pending.publish()
        size_bytes = sum(plain.size_bytes for plain in sources)
        yield Decrypted(tuple(outputs), size_bytes, time.monotonic() - started_s)


def verify(
    folder: EncryptedFolder, *, is_cancelled: Callable[[], bool] = lambda: False
) -> Iterator[DecryptProgress]:
    """Check the hash of every encrypted file of a folder, without writing; a full pass over its bytes.

    Raises what `EncryptedFolder.open` raises, `WrongKey`, `DamagedEncryptedFile`. Ends early when cancelled.
    """
    with ExitStack() as opened:
        sources = _open_all(folder, opened)
        progress = _Progress(sources)
        for plain in sources:
            if not (yield from _verify(plain, progress, is_cancelled)):
                return


def verify_key(key: Path, *, is_cancelled: Callable[[], bool] = lambda: False) -> Iterator[DecryptProgress]:
    """Compare a key's MD5 with that of LLaMA-1 7B; a full pass over its bytes.

    Raises `KeyHashMismatch`, and what `open_key` raises. Ends early when cancelled.
    """
    with open_key(key) as source:
        digest = hashlib.md5(usedforsecurity=False)  # recognises a published file, protects nothing
        progress = _Progress([source])
        finished = yield from _read_all(source, digest, progress, key.name, is_cancelled)
        if finished and digest.hexdigest() != LLAMA1_7B_MD5:
            raise KeyHashMismatch(key, LLAMA1_7B_MD5, digest.hexdigest())


def _open_sources(path: Path, key: Path, opened: ExitStack) -> list[XorSource]:
    if not os.path.isdir(path):
        return [opened.enter_context(open_encrypted(path, opened.enter_context(open_key(key))))]
    folder = opened.enter_context(EncryptedFolder(path, key))
    for name in sorted(folder.encrypted_names):
        shard_set(folder, name)
    return _open_all(folder, opened)


def _open_all(folder: EncryptedFolder, opened: ExitStack) -> list[XorSource]:
    """The folder's encrypted files, smallest first."""
    sources = [opened.enter_context(folder.open_encrypted(name)) for name in folder.encrypted_names]
    return sorted(sources, key=lambda source: (source.size_bytes, source.plain_name))


def _is_doubtful(source: XorSource) -> bool:
    try:
        check_ends(source)
    except (KeyDoesNotFit, EncryptedEndMissing):
        return True
    return False


@contextmanager
def _output_folder(path: Path) -> Iterator[None]:
    """The folder, made where it is missing; what was made and stays empty is removed again."""
    made = [folder for folder in (path, *path.parents) if not os.path.exists(folder)]
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputNotWritable(path, error.strerror or str(error)) from error
        yield
    finally:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def _check_space(folder: Path, sources: Sequence[XorSource]) -> None:
    needed_bytes = sum(source.size_bytes for source in sources)
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise NotEnoughDisk(folder, needed_bytes, free_bytes)


class _Progress:
    """Counts over all files."""

    def __init__(self, sources: Sequence[ByteSource]) -> None:
        self.total_bytes = sum(source.size_bytes for source in sources)
        self.n_files_done = 0
        self._n_files = len(sources)
        self._done_bytes = 0

    def advance(self, name: str, n_bytes: int) -> DecryptProgress:
        self._done_bytes += n_bytes
        return DecryptProgress(name, self.n_files_done, self._n_files, self._done_bytes, self.total_bytes)


def _verify(
    source: XorSource,
    progress: _Progress,
    is_cancelled: Callable[[], bool],
    write: Callable[[bytes], None] | None = None,
) -> Generator[DecryptProgress, None, bool]:
    """One file through its hash, and through `write`; returns whether it was not cancelled."""
    digest = hashlib.sha256()
    finished = yield from _read_all(source, digest, progress, source.plain_name, is_cancelled, write)
    if finished and digest.hexdigest() != source.plain_hash:
        raise hash_mismatch(source, digest.hexdigest())
    progress.n_files_done += 1
    return finished


def _read_all(
    source: ByteSource,
    digest: _Hash,
    progress: _Progress,
    name: str,
    is_cancelled: Callable[[], bool],
    write: Callable[[bytes], None] | None = None,
) -> Generator[DecryptProgress, None, bool]:
    writing: Future[None] | None = None
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        blocks = _read_ahead(source, reader)
        try:
            for block in blocks:
                if is_cancelled():
                    return False
                if writing is not None:
                    writing.result()
                writing = writer.submit(write, block) if write is not None else None
                digest.update(block)
                yield progress.advance(name, len(block))
            if writing is not None:
                writing.result()
        finally:
            blocks.close()
    return True


def _read_ahead(source: ByteSource, reader: ThreadPoolExecutor) -> Generator[bytes, None, None]:
    """The source's bytes in blocks, a few of which are being read while the caller works on one."""
    ahead: deque[Future[bytes]] = deque()
    try:
        for start in range(0, source.size_bytes, _BLOCK_BYTES):
            size = min(_BLOCK_BYTES, source.size_bytes - start)
            ahead.append(reader.submit(source.read_at, start, size))
            if len(ahead) > _N_BLOCKS_AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        for future in ahead:
            future.cancel()
