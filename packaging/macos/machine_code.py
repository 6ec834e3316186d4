"""The files of an app that hold machine code: which they are, for which processor, from which macOS on."""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from macholib.mach_o import (
    CPU_TYPE_NAMES,
    LC_BUILD_VERSION,
    LC_VERSION_MIN_MACOSX,
    MH_EXECUTE,
)
from macholib.MachO import MachO

from product import PackagingError

# https://github.com/apple-oss-distributions/xnu: EXTERNAL_HEADERS/mach-o/loader.h and fat.h
_THIN_MAGICS = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xfe\xed\xfa\xce")
_FAT_MAGIC = b"\xca\xfe\xba\xbe"
_MAX_SLICES = 32
"""Java's classes begin like a universal file; there a version of 45 and more stands for the count."""

_MACHINES = {"arm64": "ARM64", "x86_64": "x86_64"}


@dataclass(frozen=True, slots=True)
class MachineCode:
    """One file. processors: as macholib calls them. minimum_system: the highest that its parts ask for."""

    path: Path
    is_program: bool
    processors: frozenset[str]
    minimum_system: tuple[int, int]


def find_machine_code(app: Path) -> list[MachineCode]:
    """All of it, links left out, what lies deepest first: the order in which it has to be signed."""
    found = [_read(path) for path in _files(app) if _is_machine_code(path)]
    return sorted(found, key=lambda code: (-len(code.path.parts), code.path))


def require_runs_on(app: Path, minimum_system: str, machine: str = platform.machine()) -> None:
    """Raise PackagingError for the first file that needs a newer macOS or another processor."""
    allowed = tuple(int(number) for number in minimum_system.split("."))
    for code in find_machine_code(app):
        name = code.path.relative_to(app)
        if _MACHINES[machine] not in code.processors:
            found = ", ".join(sorted(code.processors))
            raise PackagingError(f"{name} is for {found}, not for {machine}; build it on such a Mac")
        if code.minimum_system > allowed:
            needs = ".".join(map(str, code.minimum_system))
            raise PackagingError(
                f"{name} needs macOS {needs}, the app promises {minimum_system}; "
                f"build with MACOSX_DEPLOYMENT_TARGET={minimum_system}"
            )


def _files(app: Path) -> Iterator[Path]:
    return (path for path in app.rglob("*") if path.is_file() and not path.is_symlink())


def _is_machine_code(path: Path) -> bool:
    with path.open("rb") as file:
        magic, count = file.read(4), int.from_bytes(file.read(4), "big")
    return magic in _THIN_MAGICS or (magic == _FAT_MAGIC and count <= _MAX_SLICES)


def _read(path: Path) -> MachineCode:
    try:
        headers = MachO(str(path)).headers
    except (ValueError, OSError, struct.error) as error:
        raise PackagingError(f"{path} begins like machine code and can't be read: {error}") from error
    return MachineCode(
        path,
        is_program=any(header.header.filetype == MH_EXECUTE for header in headers),
        processors=frozenset(CPU_TYPE_NAMES.get(header.header.cputype, "unknown") for header in headers),
        minimum_system=max((version for header in headers for version in _versions(header)), default=(0, 0)),
    )


def _versions(header: object) -> Iterator[tuple[int, int]]:
    for load, command, _ in header.commands:  # type: ignore[attr-defined]
        if load.cmd == LC_BUILD_VERSION:
            packed = int(command.minos)
        elif load.cmd == LC_VERSION_MIN_MACOSX:
            packed = int(command.version)
        else:
            continue
        yield packed >> 16, packed >> 8 & 0xFF
