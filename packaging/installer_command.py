"""The command line that the three systems' `installers` modules share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from product import PackagingError


def make_packages(description: str, build: Callable[[Path, Path], list[Path]]) -> int:
    """Build the packages of a bundle, and print each with its size; returns the exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="what `packaging/build.py` made")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the packages")
    arguments = parser.parse_args()
    try:
        packages = build(arguments.bundle, arguments.out)
    except PackagingError as error:
        parser.exit(1, f"{error}\n")
    for path in packages:
        sys.stdout.write(f"{path.stat().st_size / 1e6:7.1f} MB  {path}\n")
    return 0
