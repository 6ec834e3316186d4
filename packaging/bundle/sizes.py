"""What a bundle weighs, by what is in it, and how much it may."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

from product import PackagingError

_MB = 1_000_000

UNPACKED_MB = {"linux": 150}
"""The most that a bundle may weigh, by `sys.platform`; no budget elsewhere."""

PACKAGE_MB = {".xz": 60, ".deb": 60}
"""The most that a package of that ending may weigh."""

_GROUPS = {
    "flet_web/web/canvaskit": "web page: drawing engine",
    "flet_web": "web page: Flet's client",
    "assets/web": "fonts and icon",
    "assets/demo": "demo model",
    "llama_cpp": "engine (llama.cpp)",
    "numpy.libs": "numpy's BLAS",
    "numpy": "numpy",
    "licences": "licences",
}
"""By the folder in the bundle; the first that fits."""


def table(bundle: Path) -> str:
    """The groups of `bundle`, the heaviest first, and the sum; a line each."""
    weights = weigh(bundle)
    lines = [f"{size / _MB:7.1f} MB  {name}\n" for name, size in weights.most_common()]
    return "".join(lines) + f"{weights.total() / _MB:7.1f} MB  in all: {bundle}\n"


def weigh(bundle: Path) -> Counter[str]:
    """Bytes by group. Links weigh nothing."""
    weights: Counter[str] = Counter()
    for path in bundle.rglob("*"):
        if path.is_file() and not path.is_symlink():
            weights[_group(path.relative_to(bundle))] += path.stat().st_size
    return weights


def require_within_budget(bundle: Path) -> None:
    """Raises PackagingError if it weighs more than this system's budget."""
    _require(bundle, weigh(bundle).total(), UNPACKED_MB.get(sys.platform))


def require_package_within_budget(path: Path) -> None:
    """Raises PackagingError if it weighs more than a package of its kind may."""
    _require(path, path.stat().st_size, PACKAGE_MB.get(path.suffix))


def _require(path: Path, size_bytes: int, budget_mb: int | None) -> None:
    if budget_mb is not None and size_bytes > budget_mb * _MB:
        raise PackagingError(
            f"{path} weighs {size_bytes / _MB:.1f} MB and may weigh {budget_mb}; leave something out"
        )


def _group(path: Path) -> str:
    place = re.sub(r"^(_internal|Contents/Frameworks|Contents/Resources)/", "", path.as_posix())
    for folder, name in _GROUPS.items():
        if place.startswith(f"{folder}/"):
            return name
    if path.parent.as_posix() in (".", "Contents/MacOS"):
        return f"{path.name}, with the Python code in it"
    return "Python and other libraries"
