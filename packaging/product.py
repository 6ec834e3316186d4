"""What every package says of the product, and how packaging calls other programs."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "ChatBELLE"
PUBLISHER = "ChatBELLE project"
APP_ID = "io.github.lianjiatech.chatbelle"
"""What macOS, Android, iOS and AppStream know it by; with another one it is another program to them."""


class PackagingError(Exception):
    """A sentence for the person who builds: what stops the packages, and what to do."""


@dataclass(frozen=True, slots=True)
class Product:
    """One build of one version; two builds with equal values give equal files.

    version: as in pyproject.toml. epoch_s: seconds since 1970, the time of every packed file.
    """

    version: str
    epoch_s: int

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        """The version in Windows' four numbers; what follows them, such as `rc1`, is left out."""
        found: list[int] = []
        for part in self.version.split("."):
            digits = part[: len(part) - len(part.lstrip("0123456789"))]
            if not digits:
                break
            found.append(int(digits))
        first, second, third, fourth = [*found, 0, 0, 0, 0][:4]
        return first, second, third, fourth


def find_product() -> Product:
    """The product of this checkout. Raises PackagingError when no date can be told.

    SOURCE_DATE_EPOCH is the date if set (https://reproducible-builds.org/specs/source-date-epoch/), else the
    last commit's.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return Product(project["version"], _epoch_s())


def run(*command: str | Path, failure: str, environ: Mapping[str, str] | None = None) -> str:
    """The standard output of a program; raises PackagingError with `failure` and what the program said.

    environ: its whole environment, by default ours.
    """
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environ, check=False)
    except FileNotFoundError as error:
        raise PackagingError(f"{failure}: there is no program {command[0]} here; install it") from error
    if done.returncode:
        raise PackagingError(f"{failure}: {(done.stderr or done.stdout).strip()}")
    sys.stderr.write(done.stderr)
    return done.stdout


def _epoch_s() -> int:
    chosen = os.environ.get("SOURCE_DATE_EPOCH")
    if chosen is None:
        failure = "no date for the packages; set SOURCE_DATE_EPOCH to seconds since 1970"
        chosen = run("git", "-C", ROOT, "log", "-1", "--format=%ct", failure=failure).strip()
    if not chosen.isdecimal():
        raise PackagingError(f"SOURCE_DATE_EPOCH must be seconds since 1970, and is {chosen!r}")
    return int(chosen)
