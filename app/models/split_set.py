"""The files of a split GGUF while they are fetched: `NAME-00001-of-00003.gguf` and so on.

Beside the first, `<its name>.parts` lists those that were fetched, a line each: size in bytes, modification
time in nanoseconds, name. Who gives the set up removes what it brought and nothing else. Knows no network.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from engine.models.download import discard_part
from engine.models.fetch_errors import DownloadNotWritable
from engine.models.part_file import part_path
from engine.models.parts import part_names
from engine.models.presence import look_at_path


def claim_part(output: Path, path: Path) -> None:
    """List a file of the set that was fetched just now. Raises DownloadNotWritable."""
    listing = _listing(output)
    partial = listing.with_name(f"{listing.name}.new")
    try:
        lines = [*_listed(output), _line(path)]
        with partial.open("w", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, listing)
    except OSError as error:
        raise DownloadNotWritable(output.name, output, error.strerror or str(error)) from error


def release_parts(output: Path) -> None:
    """The set is complete: it is nobody's to give up any more."""
    with suppress(OSError):
        _listing(output).unlink(missing_ok=True)


def discard_parts(output: Path) -> None:
    """Remove what is unfinished, and of an incomplete set the finished files that were listed.

    Nothing more than the unfinished where another process is at one of them.
    """
    paths = [output.with_name(name) for name in part_names(output.name)]
    for path in paths:
        discard_part(path)
    if any(look_at_path(part_path(path)) != "gone" for path in paths):
        return
    if any(look_at_path(path) == "gone" for path in paths):
        listed = _listed(output)
        for path in paths:
            with suppress(OSError):
                if _line(path) in listed:  # another file of its name is not ours
                    path.unlink()
    release_parts(output)


def _line(path: Path) -> str:
    """What the listing says of a file; of another one, or of a changed one, it would say something else."""
    state = path.lstat()
    return f"{state.st_size} {state.st_mtime_ns} {path.name}"


def _listed(output: Path) -> list[str]:
    try:
        return _listing(output).read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []


def _listing(output: Path) -> Path:
    return output.with_name(f"{output.name}.parts")
