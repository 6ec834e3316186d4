"""The package's copyright file, from the bundle's own index of licences.

The form is https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/ (DEP-5).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from product import PackagingError

_HEADER = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ChatBELLE
Source: https://github.com/LianjiaTech/BELLE
Comment: The program is a bundle: it holds the interpreter and the libraries that it runs with. What is below
 lib/chatbelle/licences says the same for people to read.

Files: *
Copyright: {year} the ChatBELLE project
License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.
"""
_NOTICE = re.compile(r"^[ \t#*/]*((?:copyright|\(c\)|©).*\d{4}.*)$", re.IGNORECASE | re.MULTILINE)
_APACHE = re.compile(r"^\s*Apache License\s+Version 2\.0, January 2004", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Component:
    """One thing of the bundle that others made. covers: patterns of its files, relative to the bundle."""

    name: str
    version: str
    licence: str  # SPDX expression
    files: tuple[Path, ...]  # the texts
    covers: tuple[str, ...]


def read_components(bundle: Path) -> list[Component]:
    """The index `licences/index.json` of a bundle. Raises PackagingError without one of the known form."""
    folder = bundle / "licences"
    index = folder / "index.json"
    try:
        found = json.loads(index.read_text(encoding="utf-8"))
        return [
            Component(
                name=str(one["name"]),
                version=str(one["version"]),
                licence=str(one["licence"]),
                files=tuple(folder / str(name) for name in one["files"]),
                covers=tuple(map(str, one["covers"])),
            )
            for one in found
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PackagingError(f"{index} can't be read ({error!r}); build the bundle again") from error


def write_copyright(bundle: Path, place: Path, target: Path, *, year: int) -> None:
    """Write the file for a bundle that lies at `place` of the package. year: of our own notice.

    Raises PackagingError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    parts = (
        _HEADER.format(year=year),
        *(_paragraph(component, place) for component in read_components(bundle)),
    )
    target.write_text("\n".join(parts), encoding="utf-8")


def _paragraph(component: Component, place: Path) -> str:
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in component.files]
    notices = dict.fromkeys(match.strip() for text in texts for match in _NOTICE.findall(text))
    # Patterns are parted by spaces, so that one within a name can only be given as any character.
    files = "\n ".join(str(place / pattern).replace(" ", "?") for pattern in component.covers)
    short = re.sub(r" (AND|OR|WITH) ", lambda match: match[0].lower(), component.licence)
    lines = [
        f"Files: {files}",
        "Copyright: " + "\n ".join(notices or [f"the authors of {component.name}"]),
        f"License: {short}",
        *(f" {line.rstrip()}" if line.strip() else " ." for text in texts for line in _lines(text)),
        f"Comment: {component.name} {component.version}",
    ]
    return "\n".join(lines) + "\n"


def _lines(text: str) -> Iterator[str]:
    if _APACHE.search(text):
        yield "On Debian systems the text is in /usr/share/common-licenses/Apache-2.0."
    else:
        yield from text.strip().splitlines()
