"""Choosing a file or folder of this disk: in one of our own dialogs, or on a phone in the system's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import flet as ft

from app.components.basics.path_browser import PathBrowser
from app.views.context import ViewContext


async def choose_path(
    context: ViewContext,
    title: str,
    kind: Literal["file", "folder"],
    on_choose: Callable[[Path], object],
    start: Path | None = None,
) -> None:
    """Ask for a file or folder; `on_choose` is called unless nothing was chosen. start: where to begin."""
    if context.is_web:
        browser = PathBrowser(context, title, on_choose, files=kind == "file", folders=kind == "folder")
        await browser.open_at(start)
        return
    files = await ft.FilePicker().pick_files(dialog_title=title)  # a phone hands over files only
    chosen = files[0].path if files else None
    if chosen:
        context.run(on_choose, Path(chosen))
