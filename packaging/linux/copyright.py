"""The package's copyright file, from the bundle's own index of licences.

The form is https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/ (DEP-5).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from linux.manual import PROGRAMS
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
_NOTICE = re.compile(r"\b(Copyright\s+(?:\(c\)|©|\d{4}).*)", re.IGNORECASE)
# Debian's policy (12.5) wants these named, not repeated: their beginnings, and Debian's names.
_COMMON = (
    (r"Apache License\s+Version 2\.0, January 2004", "Apache-2.0"),
    (r"GNU GENERAL PUBLIC LICENSE\s+Version 2, June 1991", "GPL-2"),
    (r"GNU GENERAL PUBLIC LICENSE\s+Version 3, 29 June 2007", "GPL-3"),
    (r"Mozilla Public License,? [Vv]ersion 2\.0", "MPL-2.0"),
)
_END = r"(?:END OF TERMS AND CONDITIONS[^\n]*|\Z)"
_LONG = 100_000  # characters; the notices of all of Flutter are more than a megabyte


@dataclass(frozen=True, slots=True)
class Component:
    """One thing of the bundle that others made.

    licence: an SPDX expression. texts: files, relative to the bundle. covers: patterns of its own files,
    relative to the bundle; none if it is Python only.
    """

    name: str
    version: str
    licence: str
    texts: tuple[Path, ...]
    covers: tuple[str, ...]


def read_components(bundle: Path) -> list[Component]:
    """The index `licences/index.json` of a bundle. Raises PackagingError without one of the known form."""
    index = bundle / "licences" / "index.json"
    try:
        found = json.loads(index.read_text(encoding="utf-8"))
        return [
            Component(
                name=str(one["name"]),
                version=str(one["version"]),
                licence=str(one["licence"]),
                texts=tuple(Path("licences", str(name)) for name in one["files"]),
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
    # What is Python only lies in the archive that each program carries at its end, with all the others.
    together: dict[tuple[str, ...], list[Component]] = {}
    for component in read_components(bundle):
        together.setdefault(tuple(sorted(component.covers or PROGRAMS)), []).append(component)
    parts = [_HEADER.format(year=year)]
    for covers, components in together.items():
        # Patterns are parted by spaces, so that one within a name can only be given as any character.
        patterns = [str(place / pattern).replace(" ", "?") for pattern in covers]
        parts.append("\n".join(_paragraph(patterns, components, bundle, place)) + "\n")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(parts), encoding="utf-8")


def _paragraph(patterns: list[str], components: list[Component], bundle: Path, place: Path) -> Iterator[str]:
    """The lines on files that hold these components."""
    texts = [(one, path, _read(bundle / path)) for one in components for path in one.texts]
    notices = dict.fromkeys(found for _one, _path, text in texts for found in _NOTICE.findall(text[:_LONG]))
    licences = dict.fromkeys(one.licence for one in components)
    yield "Files: " + "\n ".join(patterns)
    yield "Copyright: " + "\n ".join(notices or [f"the authors of {one.name}" for one in components])
    yield "License: " + re.sub(r" (AND|OR|WITH) ", lambda word: word[0].lower(), " AND ".join(licences))
    for one, path, text in texts:
        if len(components) > 1:
            yield f" {one.name} ({one.licence}):"
            yield " ."
        for line in _lines(text, place / path):
            yield f" {line.rstrip()}" if line.strip() else " ."
    yield "Comment: " + ", ".join(f"{one.name} {one.version}" for one in components)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _lines(text: str, installed: Path) -> list[str]:
    """A licence's text without what all Debian systems have; if it is long, where it is in this package."""
    for beginning, name in _COMMON:
        pointer = f"On Debian systems the text is in /usr/share/common-licenses/{name}.\n"
        text = re.sub(rf"[^\n]*{beginning}.*?{_END}", pointer, text, flags=re.DOTALL)
    if len(text) > _LONG:
        return [f"The text is in /{os.path.normpath(installed)}."]
    return text.strip().splitlines()
