"""Lay out the folder from which `flet build apk`, `aab` and `ipa` make the app for phones.

    PYTHONPATH=packaging uv run python -m phones.stage OUT
    cd OUT && flet build apk

Code and data are those of the wheel, without what only a browser needs: phones have fonts of their own. The
demo model is there ready-made. Prints what takes how much, and fails above the budget.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tomllib
from collections.abc import Callable, Collection
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from demo_model import NOT_NEEDED, make_demo
from phones.flet_project import flet_project, to_toml
from product import ROOT, PackagingError

_HERE = Path(__file__).resolve().parent
_ASSETS = "assets"
_DEMO = f"{_ASSETS}/demo"
# Of the browser view's files, what the app names itself; Flet looks for it in the root of the assets.
_KEPT = {
    "icon.svg": "icon.svg",
    "icon.LICENSE.txt": "icon.LICENSE.txt",
    "fonts/SourceCodePro-Regular.ttf": "fonts/SourceCodePro-Regular.ttf",
    "fonts/SourceCodePro-OFL.txt": "fonts/SourceCodePro-OFL.txt",
}
BUDGET_BYTES = 18_000_000


def stage(out: Path) -> dict[str, int]:
    """Write the folder; returns the bytes of each of its entries. Raises PackagingError.

    out: must not exist yet, or be empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise PackagingError(f"{out} is not empty; name a folder that does not exist yet")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = declared["tool"]["hatch"]["build"]["targets"]["wheel"]
    out.mkdir(parents=True, exist_ok=True)
    left_out = [*wheel["exclude"], *(f"{_DEMO}/{pattern}" for pattern in NOT_NEEDED)]
    for package in wheel["packages"]:
        shutil.copytree(ROOT / package, out / package, ignore=_ignored(left_out))
    with TemporaryDirectory(prefix="chatbelle-") as home:
        shutil.copytree(make_demo(sys.executable, Path(home), checkout=ROOT), out / _DEMO, dirs_exist_ok=True)
    _move_web_assets(ROOT / _ASSETS / "web", out / _ASSETS)
    shutil.copyfile(_HERE / "main.py", out / "main.py")
    shutil.copyfile(_HERE / "icon.png", out / _ASSETS / "icon.png")
    shutil.copyfile(ROOT / "LICENSE", out / "LICENSE")
    (out / "pyproject.toml").write_text(to_toml(flet_project(declared["project"])), encoding="utf-8")
    _write_metadata(out, declared["project"])
    return {path.name: _size(path) for path in sorted(out.iterdir())}


def _ignored(patterns: Collection[str]) -> Callable[[Any, list[str]], set[str]]:
    """What of a folder stays out: what `patterns` say, what Python made, the browser view's files."""

    def ignored(folder: Any, names: list[str]) -> set[str]:
        place = Path(folder).relative_to(ROOT)
        return {
            name
            for name in names
            if name == "__pycache__"
            or name.endswith(".pyc")
            or (place / name).as_posix() == f"{_ASSETS}/web"
            or any(fnmatch((place / name).as_posix(), pattern) for pattern in patterns)
        }

    return ignored


def _move_web_assets(web: Path, assets: Path) -> None:
    for source, target in _KEPT.items():
        (assets / target).parent.mkdir(exist_ok=True)
        shutil.copyfile(web / source, assets / target)


def _write_metadata(out: Path, project: dict[str, Any]) -> None:
    """What the app looks its own version up in."""
    folder = out / f"{project['name']}-{project['version']}.dist-info"
    folder.mkdir()
    lines = ("Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}")
    (folder / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def main() -> int:
    """The command line; 1 with a sentence where it can't be done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="a folder that does not exist yet")
    try:
        sizes = stage(parser.parse_args().out)
    except (PackagingError, OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    total = sum(sizes.values())
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        sys.stdout.write(f"{size / 1e6:8.2f} MB  {name}\n")
    sys.stdout.write(f"{total / 1e6:8.2f} MB  in all, of {BUDGET_BYTES / 1e6:.0f} MB allowed\n")
    if total > BUDGET_BYTES:
        parser.exit(1, "This is above the budget; find out what came in.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
