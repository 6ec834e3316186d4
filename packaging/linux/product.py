"""What the Linux packages say of the product: its version, the date of all files in them, who packs it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_DEBIAN_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class PackagingError(Exception):
    """A sentence for the person who builds: what stops the packages, and what to do."""


@dataclass(frozen=True, slots=True)
class Product:
    """One build of one version; two builds with equal values give equal files.

    version: as in pyproject.toml. epoch_s: seconds since 1970, the time of every packed file. machine: as
    `uname -m` says it. maintainer: "Name <address>".
    """

    version: str
    epoch_s: int
    machine: str
    maintainer: str

    @property
    def debian_version(self) -> str:
        """The version with `~` before what precedes a release, so that 1.0~rc1 is older than 1.0."""
        return re.sub(r"\.?(a|b|rc|dev)(\d+)", r"~\1\2", self.version)

    @property
    def debian_architecture(self) -> str:
        """Debian's name of the machine. Raises PackagingError for one that nothing is built for."""
        try:
            return _DEBIAN_MACHINES[self.machine]
        except KeyError:
            known = ", ".join(_DEBIAN_MACHINES)
            raise PackagingError(
                f"there are no packages for {self.machine}; build on one of: {known}"
            ) from None

    @property
    def date(self) -> datetime:
        """`epoch_s` in UTC."""
        return datetime.fromtimestamp(self.epoch_s, UTC)


def find_product() -> Product:
    """The product of this checkout. Raises PackagingError when no date can be told.

    SOURCE_DATE_EPOCH is the date if set (https://reproducible-builds.org/specs/source-date-epoch/), else the
    last commit's. DEBFULLNAME and DEBEMAIL name the maintainer, as for Debian's own tools.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name = os.environ.get("DEBFULLNAME", "ChatBELLE project")
    address = os.environ.get("DEBEMAIL", "nobody@chatbelle.invalid")
    return Product(project["version"], _epoch_s(), platform.machine(), f"{name} <{address}>")


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
