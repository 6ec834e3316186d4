"""What a bundle must not tell: the folders of the machine that built it, and the names of test code."""

from __future__ import annotations

import marshal
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType

from PyInstaller.archive.readers import CArchiveReader

from bundle.licences import program_files
from product import ROOT
from source_wheel import WORK_PREFIX

_TESTS = re.compile(r"(^|[./])(tests?|testing|conftest|train)([./]|$|\.py)", re.IGNORECASE)

# Modules that are called so and are no tests: Jinja's `is` operators.
_NO_TESTS = {"jinja2.tests"}


def folders_of_this_build() -> list[Path]:
    """Those that no bundle made here may name."""
    python = Path(sys.base_prefix)
    return [ROOT, *([python] if python.is_relative_to(Path.home()) else [])]


def traces_of(bundle: Path, folders: Iterable[Path]) -> list[str]:
    """Files and modules of the bundle in which the path of one of `folders` stands, or of a folder in which
    something was compiled; each with what was found.
    """
    needles = [WORK_PREFIX.encode(), *(str(folder).encode() for folder in folders)]
    found = []
    for path in bundle.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            found += [f"{path}: {needle.decode()}" for needle in needles if needle in data]
    for name, data in bundled_code(bundle):
        found += [f"{name}: {needle.decode()}" for needle in needles if needle in data]
    return found


def code_for_tests(bundle: Path) -> list[str]:
    """Modules and files whose names say that they are there for tests or training."""
    modules = [name for name, _ in bundled_code(bundle) if _TESTS.search(name) and name not in _NO_TESTS]
    paths = [path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()]
    return modules + [path for path in paths if _TESTS.search(path)]


def bundled_code(bundle: Path) -> Iterator[tuple[str, bytes]]:
    """Name and compiled code of every module in the programs' archives; packages have none."""
    for program in program_files(bundle):
        archive = CArchiveReader(str(program))
        for entry in archive.toc:
            if not entry.endswith(".pyz"):
                continue
            modules = archive.open_embedded_archive(entry)
            for name in modules.toc:
                code = modules.extract(name)
                yield name, marshal.dumps(code) if isinstance(code, CodeType) else code or b""
