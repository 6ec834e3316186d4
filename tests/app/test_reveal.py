"""Which program is asked to show a file, on every system, and what is said when none can be."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from app.reveal import commands, reveal

SCREEN = {"DISPLAY": ":0"}


def test_macos_selects_the_file_in_finder() -> None:
    path = Path("/家/a b.gguf")

    assert commands(path, "darwin", {}) == (["open", "-R", str(path)],)


def test_windows_gives_explorer_its_own_quotes() -> None:
    assert commands(Path("家/a b.gguf"), "win32", {}) == (f'explorer /select,"{Path("家/a b.gguf")}"',)


@pytest.mark.skipif(sys.platform == "win32", reason="paths of Linux")
def test_linux_asks_the_file_manager_then_opens_the_folder() -> None:
    show, folder = commands(Path("/家/a,b c.gguf"), "linux", SCREEN)

    assert show[0] == "dbus-send"
    assert "array:string:file:///%E5%AE%B6/a%2Cb%20c.gguf" in show
    assert folder == ["xdg-open", "/家"]


def test_without_a_screen_nothing_is_started(tmp_path: Path) -> None:
    assert commands(tmp_path, "linux", {}) == ()
    assert not reveal(tmp_path / "x.gguf", platform="linux", environ={})


def test_without_the_programs_it_says_so(tmp_path: Path) -> None:
    assert not reveal(tmp_path / "x.gguf", platform="linux", environ={**SCREEN, "PATH": str(tmp_path)})


@pytest.mark.skipif(os.name == "nt", reason="a script as a program")
def test_the_folder_is_opened_where_the_file_manager_does_not_answer(tmp_path: Path) -> None:
    programs, seen = tmp_path / "bin", tmp_path / "seen"
    programs.mkdir()
    for name, line in {"dbus-send": "exit 1", "xdg-open": f'printf %s "$1" > "{seen}"'}.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)

    assert reveal(tmp_path / "家" / "x.gguf", platform="linux", environ={**SCREEN, "PATH": str(programs)})
    assert seen.read_text(encoding="utf-8") == str(tmp_path / "家")
