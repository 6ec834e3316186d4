"""Which system a bundle needs: the oldest glibc, and the libraries that it does not bring along.

    PYTHONPATH=packaging python -m linux.glibc_floor BUNDLE [--at-most 2.28]

What libraries need is read from their version references by objdump (binutils), as PyInstaller does too.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bundle.finish import elf_files
from product import PackagingError, run

_GLIBC = "libc6"
# Debian's packages of what every system has. zlib is there because PyInstaller's programs are linked with it,
# and look for their own libraries only once they run.
_PACKAGES = {
    **dict.fromkeys(("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1"), _GLIBC),
    **dict.fromkeys(("libutil.so.1", "libresolv.so.2", "libmvec.so.1", "libanl.so.1"), _GLIBC),
    **dict.fromkeys(("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"), _GLIBC),
    "libz.so.1": "zlib1g",
}
_HEADING = re.compile(r"^(?P<path>/.*):\s+file format elf", re.MULTILINE)
_NEEDED = re.compile(r"^\s+NEEDED\s+(\S+)", re.MULTILINE)
_GLIBC_VERSION = re.compile(r"\bGLIBC_(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Needs:
    """What a bundle needs of the system.

    floor: (major, minor) of the oldest glibc that will do. highest: the files that need it, relative to the
    bundle. packages: Debian's names for what must be installed besides glibc. foreign: libraries that are
    neither in the bundle nor in any of these, and who needs them.
    """

    floor: tuple[int, int]
    highest: tuple[str, ...]
    packages: tuple[str, ...]
    foreign: dict[str, tuple[str, ...]]

    @property
    def glibc(self) -> str:
        """`floor` as people write it."""
        return ".".join(map(str, self.floor))


def read_needs(bundle: Path) -> Needs:
    """Read every ELF file below `bundle`. Raises PackagingError when there is none."""
    top = bundle.resolve()
    binaries = list(elf_files(top))
    if not binaries:
        raise PackagingError(f"{bundle} holds no program; build the bundle first")
    carried = {path.name for path in bundle.rglob("*")}
    packages: set[str] = set()
    versions: dict[str, tuple[int, int]] = {}
    foreign: dict[str, set[str]] = {}
    for path, said in _dynamic_sections(binaries):
        name = str(path.relative_to(top))
        is_program = path.parent == top
        versions[name] = max(((int(a), int(b)) for a, b in _GLIBC_VERSION.findall(said)), default=(2, 0))
        for library in _NEEDED.findall(said):
            if library in carried and not is_program:
                continue
            if library in _PACKAGES:
                packages.add(_PACKAGES[library])
            else:
                foreign.setdefault(library, set()).add(name)
    floor = max(versions.values())
    return Needs(
        floor=floor,
        highest=tuple(name for name, version in versions.items() if version == floor),
        packages=tuple(sorted(packages - {_GLIBC})),
        foreign={library: tuple(sorted(files)) for library, files in sorted(foreign.items())},
    )


def _dynamic_sections(binaries: list[Path]) -> Iterator[tuple[Path, str]]:
    said = run("objdump", "-p", *binaries, failure="the needs of the bundle's libraries can't be read")
    parts = _HEADING.split(said)[1:]
    for path, text in zip(parts[::2], parts[1::2], strict=True):
        yield Path(path), text


def main() -> int:
    """Print the floor; 1 when it is above `--at-most`, or when the bundle needs libraries of the system."""
    parser = argparse.ArgumentParser(description="Print the oldest glibc that a bundle runs with.")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--at-most", metavar="2.28", help="fail when a newer glibc is needed")
    arguments = parser.parse_args()
    try:
        needs = read_needs(arguments.bundle)
    except PackagingError as error:
        parser.exit(1, f"{error}\n")
    sys.stdout.write(f"glibc {needs.glibc}, for {', '.join(needs.highest)}\n")
    for library, files in needs.foreign.items():
        sys.stdout.write(f"{library} is not in the bundle, and needed by {', '.join(files)}\n")
    allowed = arguments.at_most
    is_too_new = allowed is not None and needs.floor > tuple(map(int, allowed.split(".")))
    if is_too_new:
        sys.stdout.write(f"at most {allowed} was asked for: build in the container (Containerfile)\n")
    return 1 if is_too_new or needs.foreign else 0


if __name__ == "__main__":
    sys.exit(main())
