"""The programs of the bundle on each system, and what their executables are made with."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PACKAGING = Path(__file__).resolve().parents[1]
_MAIN, _CONVERT = "entry_chatbelle.py", "entry_convert.py"


@dataclass(frozen=True)
class Program:
    """One executable: `name` as PyInstaller is given it, `entry` a script of this folder."""

    name: str
    entry: str
    has_console: bool = True

    @property
    def file_names(self) -> tuple[str, ...]:
        """What it is called as PyInstaller leaves it, and when it is finished."""
        return (self.name, self.name.removesuffix(".exe"))


TERMINAL_ON_WINDOWS = "chatbelle.com"
"""Windows finds it by typing `chatbelle`; a second `.exe` of that name would collide with the first."""

PROGRAMS = {
    "linux": (Program("chatbelle", _MAIN), Program("belle-convert", _CONVERT)),
    "win32": (
        Program("ChatBELLE.exe", _MAIN, has_console=False),
        Program(f"{TERMINAL_ON_WINDOWS}.exe", _MAIN),  # PyInstaller insists on .exe; renamed afterwards
        Program("belle-convert.exe", _CONVERT),
    ),
    "darwin": (
        Program("ChatBELLE", _MAIN, has_console=False),
        Program("chatbelle-terminal", _MAIN),
        Program("belle-convert", _CONVERT),
    ),
}


def program_names(system: str) -> tuple[str, ...]:
    """What the programs of a finished bundle are called. system: as `sys.platform`."""
    return tuple(TERMINAL_ON_WINDOWS if _is_renamed(one) else one.name for one in PROGRAMS[system])


def _is_renamed(program: Program) -> bool:
    return program.name == f"{TERMINAL_ON_WINDOWS}.exe"


def executable_options(program: Program) -> dict[str, Any]:
    """What PyInstaller's EXE needs beyond the names: icon, version and manifest on Windows."""
    if sys.platform != "win32":
        return {}
    from windows.resources import manifest, version_resource

    return {
        "icon": str(_PACKAGING / "windows" / "ChatBELLE.ico"),
        "version": str(version_resource(program.name)),
        "manifest": manifest(),
    }
