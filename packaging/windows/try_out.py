"""Install ChatBELLE on this Windows as a person would, let it test itself, and remove it again.

    PYTHONPATH=packaging python -m windows.try_out SETUP

Meant for a machine without ChatBELLE, such as a build's: what is installed is replaced and removed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from bundle.programs import program_names
from product import NAME, PackagingError

_UNINSTALLER = "uninstall.exe"


def try_out(setup: Path, local: Path, wait_s: float = 60.0) -> str:
    """Install `setup`, run the self-test, uninstall; returns the self-test's report.

    local: the person's own folder for programs and data, %LOCALAPPDATA%. Raises PackagingError.
    """
    folder = local / "Programs" / NAME
    _run("the installer", setup, "/S")
    missing = [name for name in (*program_names("win32"), _UNINSTALLER) if not (folder / name).is_file()]
    if missing:
        raise PackagingError(f"the installer left no {', '.join(missing)} in {folder}")
    _run("belle-convert", folder / "belle-convert.exe", "--help")
    report = _run("the self-test", folder / "chatbelle.com", "self-test", "--json")
    # It goes on in a copy of itself, or it could not remove its own file.
    _run("the uninstaller", folder / _UNINSTALLER, "/S")
    deadline = time.monotonic() + wait_s
    while folder.exists():
        if time.monotonic() > deadline:
            left = ", ".join(sorted(path.name for path in folder.iterdir()))
            raise PackagingError(f"the uninstaller left in {folder}: {left}")
        time.sleep(0.2)
    return report


def _run(what: str, *command: str | Path) -> str:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise PackagingError(f"{what} ended with {done.returncode}: {said}")
    return done.stdout


def main() -> int:
    """Try it, and print the report."""
    parser = argparse.ArgumentParser(description="Install, test and remove ChatBELLE on this Windows.")
    parser.add_argument("setup", type=Path, metavar="SETUP", help="the installer")
    options = parser.parse_args()
    try:
        sys.stdout.write(try_out(options.setup.absolute(), Path(os.environ["LOCALAPPDATA"])))
    except PackagingError as error:
        parser.exit(1, f"{error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
