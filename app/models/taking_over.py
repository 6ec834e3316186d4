"""A finished result that nobody heard of: the run that wrote it was killed before it could be recorded.

Knows no library and no queue.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from convert.pipeline import Plan, Progress
from convert.resumable import discard_partial

_BLOCK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class TakenOver:
    """The result was there. sha256: hexadecimal, of all of it."""

    size_bytes: int
    sha256: str


def is_result(path: Path, plan: Plan) -> bool:
    """Whether a finished file of this very plan is there."""
    try:
        with open(path, "rb") as file:
            return os.fstat(file.fileno()).st_size == plan.size_bytes and (
                file.read(len(plan.header)) == plan.header
            )
    except OSError:
        return False


def take_over(
    plan: Plan, output: Path, is_cancelled: Callable[[], bool]
) -> Generator[Progress | TakenOver, None, None]:
    """Read it, and remove what its run left beside it: `Progress` values, then one `TakenOver`.

    Just ends when cancelled. Raises OSError.
    """
    discard_partial(output)
    digest = hashlib.sha256()
    done_bytes = 0
    n_tensors = len(plan.tensors)
    with open(output, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            if is_cancelled():
                return
            digest.update(block)
            done_bytes += len(block)
            yield Progress("verify", output.name, n_tensors, n_tensors, done_bytes, plan.size_bytes)
    yield TakenOver(done_bytes, digest.hexdigest())
