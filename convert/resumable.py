"""An output that survives a kill: the unfinished file stays, with a journal of the tensors it holds.

Beside the temporary file, `<its name>.journal`:

| line   | content                                                                               |
|--------|---------------------------------------------------------------------------------------|
| first  | JSON: version, plan (what is converted, SHA-256)                                       |
| others | JSON, one a finished tensor, in order: name, end_bytes, sha256, n_nonfinite            |

`sha256` is that of the whole file up to `end_bytes`, so a line vouches for everything before it. A line is
written when its bytes are on the disk, and they are compared again before the work goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from convert.errors import DamagedTensor, NotEnoughDisk, OutputInUse, VerificationFailed
from convert.output import PendingOutput, lock_output, sync_folder, temporary_prefix
from convert.plan import Plan

_VERSION = 1
_MAX_JOURNAL_BYTES = 16 << 20


@dataclass(frozen=True)
class FinishedTensor:
    """A tensor that is in the file. sha256: of everything up to `end_bytes`, hexadecimal."""

    name: str
    end_bytes: int
    sha256: str
    n_nonfinite: int


class ResumableOutput(PendingOutput):
    """A `PendingOutput` that stays when it is left unfinished; `finished` says what an earlier run left.

    What can't be trusted is removed nevertheless: after a failed verification, and after damage that tensors
    written earlier may share.
    """

    def __init__(self, output: Path, plan: Plan, resume_id: str, *, force: bool) -> None:
        """resume_id: what the weights are, such as a repository's commit; another one starts anew.

        Raises `OutputInUse` while another process is at it, and what `PendingOutput` raises.
        """
        self._journal_path = journal_path(output)
        self._header = json.dumps({"version": _VERSION, "plan": _plan_digest(plan, resume_id)})
        self.finished: tuple[FinishedTensor, ...] = ()
        super().__init__(output, plan.size_bytes, force=force)
        with self._reporting():
            self.finished = self._load()

    def _open_file(self) -> tuple[Path, int]:
        path = partial_path(self._output)
        while True:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_BINARY", 0), 0o666)
            try:
                if not lock_output(descriptor):
                    raise OutputInUse(self._output)
                with suppress(FileNotFoundError):  # published or removed before it was locked
                    if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                        self._check_space_for_rest(path, os.fstat(descriptor).st_size)
                        return path, descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _check_space_for_rest(self, path: Path, written_bytes: int) -> None:
        """Leave no empty file behind where there is no room."""
        try:
            self._check_space(max(0, self._size_bytes - written_bytes))
        except NotEnoughDisk:
            if not written_bytes:
                with suppress(OSError):
                    path.unlink()
            raise

    def _load(self) -> tuple[FinishedTensor, ...]:
        data = ""
        with (
            suppress(FileNotFoundError),
            open(self._journal_path, encoding="utf-8", errors="replace") as file,
        ):
            data = file.read(_MAX_JOURNAL_BYTES)
        header, *lines = data.split("\n")
        return read_lines(lines) if header == self._header else ()

    def keep(self, finished: Sequence[FinishedTensor], end_bytes: int) -> None:
        """Go on after these tensors, the first of them all; everything behind `end_bytes` is dropped.

        The journal is replaced as a whole, and before the file is cut: a kill in between costs nothing.
        """
        with self._reporting():
            lines = [self._header, *(json.dumps(asdict(tensor)) for tensor in finished)]
            new_path = _new_journal_path(self._output)
            _write_durably(new_path, "".join(f"{line}\n" for line in lines), "w")
            os.replace(new_path, self._journal_path)
            sync_folder(self._output.parent)
            os.ftruncate(self._descriptor, end_bytes)
            os.lseek(self._descriptor, end_bytes, os.SEEK_SET)
            self._written_bytes = self._flushed_bytes = end_bytes

    def record(self, tensor: FinishedTensor) -> None:
        """Everything up to this tensor's end was written: wait for the disk, then say so."""
        with self._reporting():
            os.fsync(self._descriptor)
            _write_durably(self._journal_path, f"{json.dumps(asdict(tensor))}\n", "a")

    def publish(self) -> None:
        super().publish()
        _remove_journal(self._output)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, VerificationFailed) or (isinstance(error, DamagedTensor) and error.is_shared):
            self._remove()
            _remove_journal(self._output)
        self._close()


def partial_path(output: Path) -> Path:
    """Where the unfinished file of a resumable conversion to `output` is."""
    return output.parent / f"{temporary_prefix(output)}resumable"


def journal_path(output: Path) -> Path:
    """Where it is written what that file holds."""
    return output.parent / f"{temporary_prefix(output)}resumable.journal"


def _new_journal_path(output: Path) -> Path:
    """The next journal, while it is written; without meaning when it is found."""
    return output.parent / f"{temporary_prefix(output)}resumable.journal.new"


def _write_durably(path: Path, text: str, mode: str) -> None:
    with open(path, mode, encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _remove_journal(output: Path) -> None:
    for path in (journal_path(output), _new_journal_path(output)):
        with suppress(OSError):
            path.unlink()


def discard_partial(output: Path) -> bool:
    """Remove an unfinished conversion; false where there is none, or a process is at it."""
    try:
        descriptor = os.open(partial_path(output), os.O_RDWR)
    except FileNotFoundError:
        _remove_journal(output)  # a kill between the output's name and the journal's end
        return False
    except OSError:
        return False
    try:
        is_free = lock_output(descriptor)
    finally:
        os.close(descriptor)
    if not is_free:
        return False
    try:
        partial_path(output).unlink()
    except OSError:  # on Windows: a process has it open, and needs its journal
        return False
    _remove_journal(output)
    return True


def read_lines(lines: Sequence[str]) -> tuple[FinishedTensor, ...]:
    """The tensors of a journal up to the first line that is torn."""
    found: list[FinishedTensor] = []
    for line in lines:
        try:
            value: Any = json.loads(line)
            tensor = FinishedTensor(**value)
        except (ValueError, TypeError, RecursionError):
            break
        if type(tensor.end_bytes) is not int or type(tensor.n_nonfinite) is not int:
            break
        if not re.fullmatch(r"[0-9a-f]{64}", str(tensor.sha256)):
            break
        found.append(tensor)
    return tuple(found)


def _plan_digest(plan: Plan, resume_id: str) -> str:
    """What must be the same for an earlier run's bytes to be this run's."""
    digest = hashlib.sha256(plan.header)
    copied = [tensor.mapped.name for tensor in plan.tensors if tensor.is_copied]
    digest.update(json.dumps([resume_id, copied]).encode())
    return digest.hexdigest()
