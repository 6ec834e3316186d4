"""A folder as a reproducible `.tar.xz`: equal contents, names and date give equal bytes."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

from product import PackagingError

# Blocks of one size, and always two threads: xz cuts differently for one thread than for several.
_THREADS = ("--threads=2", "--block-size=80MiB")
_XZ = ("xz", "--compress", "--stdout", *_THREADS, "--x86", "--lzma2=preset=9e,dict=64MiB")


def write_tarball(folder: Path, target: Path, *, epoch_s: int) -> None:
    """Pack `folder` under its own name; owner is root, modes are 755 or 644, times are `epoch_s`.

    Raises PackagingError when xz is missing or fails; nothing is left at `target` then.
    """
    if shutil.which("xz") is None:
        raise PackagingError("the tarball can't be packed: there is no program xz here; install it")
    part = target.with_name(target.name + ".part")

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = epoch_s
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    try:
        with part.open("wb") as compressed:
            packer = subprocess.Popen(_XZ, stdin=subprocess.PIPE, stdout=compressed)
            assert packer.stdin is not None
            with packer.stdin, tarfile.open(fileobj=packer.stdin, mode="w|") as archive:
                archive.add(folder, folder.name, recursive=False, filter=plain)
                for path in sorted(folder.rglob("*")):
                    name = str(Path(folder.name) / path.relative_to(folder))
                    archive.add(path, name, recursive=False, filter=plain)
        if packer.wait():
            raise PackagingError(f"{target} can't be packed: xz failed with {packer.returncode}")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
