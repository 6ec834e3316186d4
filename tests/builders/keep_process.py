"""Takes an unfinished conversion over and is killed on the way, once at every line of the code that does it.

Argument: the output. For each kill a line: which one, and how many lines the journal has then.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from builders.shaped_models import bloom_shaped
from convert import resumable
from convert.resumable import ResumableOutput, journal_path


def keep_until_line(output: Path, n_lines: int) -> None:
    """Keep everything, unless the kill comes first."""
    n_seen = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal n_seen
        if event == "line" and frame.f_code.co_filename == resumable.__file__:
            n_seen += 1
            if n_seen == n_lines:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    with ResumableOutput(output, bloom_shaped(256, 2).plan("q4_k_m"), "a@1", force=False) as pending:
        sys.settrace(trace)
        pending.keep(pending.finished, pending.finished[-1].end_bytes)
        sys.settrace(None)


def main() -> None:
    output = Path(sys.argv[1])
    for n_lines in itertools.count(1):
        process_id = os.fork()
        if process_id == 0:
            keep_until_line(output, n_lines)
            os._exit(0)
        _, status = os.waitpid(process_id, 0)
        if status == 0:
            return
        if os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit(1)
        print(n_lines, journal_path(output).read_text().count("\n"), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
