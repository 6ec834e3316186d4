"""Jobs as small files, one each, in a folder: what is left of them after a restart, or a crash.

`<id>.job.json` holds the fields of `JobRecord`, with `kind` naming the class of the errand; `<id>.lock` is
locked while a process has the job at work or in its queue. The folder lies in the data folder; paths are kept
as `kept_paths` writes them. Knows no queue.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from app.durable import write_file
from app.models.errands import Errand, Get, Import, Verify
from app.typed_json import JsonMismatch, from_json, parse_json
from engine.models.file_lock import lock_file
from engine.models.kept_paths import found_path, kept_path
from engine.models.places import strip_suffix

State = Literal["queued", "running", "paused", "failed", "done", "removed"]

_LOG = logging.getLogger(__name__)
_KINDS = {"get": Get, "import": Import, "verify": Verify}
_SUFFIX = ".job.json"
_LIMIT_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What is kept of a job. output: where the model is going to be, "" until that is known.

    created_s: seconds since 1970. state: "removed" is only told, never kept.
    """

    id: str
    errand: Errand
    state: State
    created_s: float
    done_bytes: int = 0
    total_bytes: int = 0
    output: str = ""

    @property
    def title(self) -> str:
        """For people: what an import makes, once that is settled; else what was asked for."""
        if isinstance(self.errand, Import) and self.output:
            return strip_suffix(Path(self.output).name)
        return self.errand.title


def save_record(folder: Path, record: JobRecord) -> None:
    """Write a record so that it survives a power cut; a full disk is logged, it must not end the work."""
    kind = next(name for name, errand in _KINDS.items() if isinstance(record.errand, errand))
    content = _with_paths({**asdict(record), "kind": kind}, lambda path: kept_path(path, folder.parent))
    text = json.dumps(content, ensure_ascii=False)
    try:
        # What is no Unicode in the name of a file, on any system, as JSON escapes it.
        write_file(_path(folder, record.id), text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        _LOG.warning("job %s can't be recorded: %s", record.id, error)


def remove_record(folder: Path, job_id: str) -> None:
    """Forget a job; one that is not there is no error."""
    for path in (_path(folder, job_id), _lock_path(folder, job_id)):
        with contextlib.suppress(OSError):
            path.unlink()


def hold_record(folder: Path, job_id: str) -> int | None:
    """Tell other processes that this one has the job at work or in its queue; to be closed with `os.close`.

    None where another one has it, or where that can't be told: it must not end the work.
    """
    try:
        descriptor = os.open(_lock_path(folder, job_id), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        _LOG.warning("job %s can't be held: %s", job_id, error)
        return None
    if lock_file(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def is_record_held(folder: Path, job_id: str) -> bool:
    """Whether a process has the job at work or in its queue."""
    try:
        descriptor = os.open(_lock_path(folder, job_id), os.O_RDWR)
    except OSError:
        return False
    try:
        return not lock_file(descriptor)
    finally:
        os.close(descriptor)


def read_records(folder: Path) -> list[JobRecord]:
    """The unfinished jobs, of earlier runs and of other processes, all of them paused."""
    return [replace(record, state="paused") for record in _records(folder) if not _is_over(record)]


def forget_finished(folder: Path) -> None:
    """Remove the records of jobs that are done, and of verifications that failed: the library remembers what
    they found.
    """
    for record in _records(folder):
        if _is_over(record):
            remove_record(folder, record.id)


def _is_over(record: JobRecord) -> bool:
    return record.state == "done" or (record.state == "failed" and isinstance(record.errand, Verify))


def _records(folder: Path) -> Iterator[JobRecord]:
    """What can't be read is left alone."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(_SUFFIX))
    except FileNotFoundError:
        return
    except OSError as error:
        _LOG.warning("the jobs in %s can't be read: %s", folder, error)
        return
    for path in (folder / name for name in names):
        try:
            with path.open("rb") as file:
                content = parse_json(file.read(_LIMIT_BYTES).decode("utf-8"))
            record = _parse(_with_paths(content, lambda kept: found_path(kept, folder.parent)))
        except FileNotFoundError:  # another process was done with it
            continue
        except (OSError, ValueError) as error:
            _LOG.warning("the record %s can't be read: %s", path, error)
            continue
        if re.fullmatch(r"[0-9a-f]{16}", record.id) and path == _path(folder, record.id):
            yield record


def _with_paths(value: Any, change: Callable[[str], str]) -> Any:
    """The value with every text in it changed; only what is a path is anything else afterwards."""
    match value:
        case dict():
            return {key: _with_paths(item, change) for key, item in value.items()}
        case list() | tuple():
            return [_with_paths(item, change) for item in value]
        case str() | os.PathLike():
            return change(os.fspath(value))
        case _:
            return value


def _parse(content: Any) -> JobRecord:
    kind = content.get("kind") if isinstance(content, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise JsonMismatch("kind", "one of " + ", ".join(_KINDS))
    errand: Errand = from_json(_KINDS[kind], content.get("errand"), "errand")
    kept = from_json(_Kept, content)
    return JobRecord(
        kept.id, errand, kept.state, kept.created_s, kept.done_bytes, kept.total_bytes, kept.output
    )


@dataclass(frozen=True, slots=True)
class _Kept:
    """A record's fields but the errand, whose class the reader must know first."""

    id: str
    state: State
    created_s: float
    done_bytes: int = 0
    total_bytes: int = 0
    output: str = ""


def _path(folder: Path, job_id: str) -> Path:
    return folder / f"{job_id}{_SUFFIX}"


def _lock_path(folder: Path, job_id: str) -> Path:
    return folder / f"{job_id}.lock"
