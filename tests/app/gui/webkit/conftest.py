"""A screen for all windows, a site for one page, and the window that shows it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from builders.disks import is_ci
from builders.screen import Screen, missing_for_windows, open_screen
from builders.webkit_windows import BLANK, Site, Window


@pytest.fixture(scope="session")
def screen() -> Iterator[Screen]:
    lack = missing_for_windows()
    if lack is not None:
        pytest.fail(lack) if is_ci() else pytest.skip(lack)
    with open_screen() as screen:
        yield screen


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def show(screen: Screen, site: Site, tmp_path: Path) -> Iterator[Callable[..., Window]]:
    """Show a page that runs a script."""
    windows: list[Window] = []
    home = tmp_path / "家"
    home.mkdir()
    usual = {"HOME": str(home), "LC_ALL": "C", "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def show(
        script: str = BLANK, body: str = "", environ: dict[str, str] | None = None, **frame: Any
    ) -> Window:
        site.script, site.body = script, body
        windows.append(Window(screen, site, usual | (environ or {}), frame))
        return windows[-1]

    yield show
    for window in windows:
        window.process.kill()
        window.process.wait(30)
