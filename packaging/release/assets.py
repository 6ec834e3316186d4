"""The files of a release: all there, of the version that the tag names, with their checksums beside them.

PYTHONPATH=packaging python -m release.assets TAG FOLDER
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from linux.deb import debian_version
from product import NAME, PackagingError, find_product

SUMS = "SHA256SUMS"
SYSTEMS = ("linux-x86_64", "windows-x64", "macos-arm64", "macos-x64")


def expected_names(version: str) -> set[str]:
    """What a release of this version has for people, beside the checksums."""
    name = f"{NAME}-{version}"
    return {
        f"{name}-linux-x86_64.tar.xz",
        f"chatbelle_{debian_version(version)}_amd64.deb",
        f"{name}-windows-x64-setup.exe",
        f"{name}-windows-x64-portable.zip",
        f"{name}-macos-arm64.dmg",
        f"{name}-macos-x64.dmg",
        *(f"{name}-{system}.cdx.json" for system in SYSTEMS),
    }


def write_sums(tag: str, folder: Path, version: str) -> Path:
    """Write SHA256SUMS, as `sha256sum --check` reads it. Raises PackagingError and writes nothing where the
    files in `folder` are not those of `version`, or the tag is another one's.
    """
    if tag != f"v{version}":
        raise PackagingError(f"the tag is {tag}, pyproject.toml says {version}; tag v{version}, or change it")
    found = {path.name for path in folder.iterdir() if path.name != SUMS}
    expected = expected_names(version)
    if found != expected:
        missing, other = (
            ", ".join(sorted(names)) or "none" for names in (expected - found, found - expected)
        )
        raise PackagingError(f"{folder} is not a whole release. Missing: {missing}. Unexpected: {other}")
    lines = []
    for name in sorted(found):
        with (folder / name).open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    path = folder / SUMS
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
    return path


def main() -> int:
    """Check the files, and print their checksums."""
    parser = argparse.ArgumentParser(description="Check a release's files and write their checksums.")
    parser.add_argument("tag", metavar="TAG", help="the release's, as v1.2.3")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where all its files are")
    options = parser.parse_args()
    try:
        path = write_sums(options.tag, options.folder, find_product().version)
    except (PackagingError, OSError) as error:
        parser.exit(1, f"{error}\n")
    sys.stdout.write(path.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
