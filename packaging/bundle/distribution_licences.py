"""The licence of an installed distribution: its name in SPDX's words, and its texts."""

from __future__ import annotations

from fnmatch import fnmatch
from importlib.metadata import Distribution
from pathlib import Path

from packaging.utils import canonicalize_name

from bundle.native_licences import TEXTS
from product import PackagingError

_TEXT_NAMES = ("*licen[cs]e*", "*copying*", "*notice*", "*authors*")

# What metadata says in other words.
_SPDX = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "GPLv2-or-later with a special exception which allows to use PyInstaller to build and distribute "
    "non-free programs (including commercial ones)": "GPL-2.0-or-later WITH Bootloader-exception",
}
_NAMES = {*_SPDX.values(), "MPL-2.0 AND MIT", "PSF-2.0"}

# Their wheels bring none.
_MISSING_TEXTS = {
    **dict.fromkeys(("flet", "flet-web"), "Apache-2.0.txt"),
    **dict.fromkeys(("pyobjc-core", "pyobjc-framework-security"), "pyobjc.txt"),
    "pyobjc-framework-uniformtypeidentifiers": "pyobjc.txt",
    "proxy-tools": "proxy-tools.txt",
}
KEPT_TEXTS = frozenset(_MISSING_TEXTS.values())
"""Names of files in `licence_texts`."""

# Where the metadata says nothing, or less than the files.
_FROM_TEXTS = {"clr-loader": "MIT", "proxy-tools": "BSD-3-Clause AND MIT"}


def texts_of(distribution: Distribution) -> tuple[Path, ...]:
    """Its files of licences and notices. Raises PackagingError without one."""
    texts = []
    for path in map(Path, map(str, distribution.files or ())):
        is_text = any(fnmatch(path.name.casefold(), pattern) for pattern in _TEXT_NAMES)
        if is_text and path.parts[0].endswith(".dist-info"):
            texts.append(Path(str(distribution.locate_file(path))))
    missing = _MISSING_TEXTS.get(canonicalize_name(distribution.name))
    if missing is not None and not texts:
        texts.append(TEXTS / missing)
    if not texts:
        raise PackagingError(f"the wheel of {distribution.name} has no licence text; add it to {TEXTS}")
    return tuple(texts)


def expression_of(distribution: Distribution) -> str:
    """Its licence as an SPDX expression. Raises PackagingError if it says it in words that are not known."""
    said = distribution.metadata
    expression = _FROM_TEXTS.get(canonicalize_name(distribution.name)) or said.get("License-Expression")
    if expression:
        return expression
    classifiers = [text.rpartition(" :: ")[2] for text in said.get_all("Classifier", [])]
    for text in (said.get("License"), *classifiers):
        if text in _SPDX or text in _NAMES:
            return _SPDX.get(text, text)
    raise PackagingError(f"{distribution.name} does not say its licence in known words: see {Path(__file__)}")
