"""The package's copyright file, from the bundle's own index of licences.

The form is https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/ (DEP-5).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from bundle.index import FOLDER, Entry, read_index
from linux.manual import PROGRAMS

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


def write_copyright(bundle: Path, place: Path, target: Path, *, year: int) -> None:
    """Write the file for a bundle that lies at `place` of the package. year: of our own notice.

    Raises PackagingError.
    """
    # What is Python only lies in the archive that each program carries at its end, with all the others.
    together: dict[tuple[str, ...], list[Entry]] = {}
    for entry in read_index(bundle):
        together.setdefault(tuple(sorted(entry.covers or PROGRAMS)), []).append(entry)
    parts = [_HEADER.format(year=year)]
    for covers, entries in together.items():
        # Patterns are parted by spaces, so that one within a name can only be given as any character.
        patterns = [str(place / pattern).replace(" ", "?") for pattern in covers]
        parts.append("\n".join(_paragraph(patterns, entries, bundle, place)) + "\n")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(parts), encoding="utf-8")


def _paragraph(patterns: list[str], entries: list[Entry], bundle: Path, place: Path) -> Iterator[str]:
    """The lines on files that hold all these."""
    texts = [(one, path, _read(bundle / path)) for one in entries for path in _texts(one)]
    notices = dict.fromkeys(found for _one, _path, text in texts for found in _NOTICE.findall(text[:_LONG]))
    licences = dict.fromkeys(one.licence for one in entries)
    yield "Files: " + "\n ".join(patterns)
    yield "Copyright: " + "\n ".join(notices or [f"the authors of {one.name}" for one in entries])
    yield "License: " + re.sub(r" (AND|OR|WITH) ", lambda word: word[0].lower(), " AND ".join(licences))
    for one, path, text in texts:
        if len(entries) > 1:
            yield f" {one.name} ({one.licence}):"
            yield " ."
        for line in _lines(text, place / path):
            yield f" {line.rstrip()}" if line.strip() else " ."
    yield "Comment: " + ", ".join(f"{one.name} {one.version}" for one in entries)


def _texts(entry: Entry) -> list[Path]:
    return [Path(FOLDER, name) for name in entry.files]


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
