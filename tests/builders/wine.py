"""A Windows of its own for a test: a Wine prefix, its drive C:, its registry, and programs run in it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path, PureWindowsPath

from builders.programs import find_program


class Wine:
    """Runs 64-bit programs; `folder` is new and becomes the prefix. No window is ever shown."""

    def __init__(self, folder: Path) -> None:
        self._wine = find_program("wine64", "wine64", "/usr/lib/wine/wine64")
        self._server = find_program("wineserver", "wine64", "/usr/lib/wine/wineserver")
        kept = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "CHATBELLE_HOME")}
        self.environ = kept | {
            "WINEPREFIX": str(folder),
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml,winemenubuilder.exe=",
            "LC_ALL": "C.UTF-8",
        }
        self._folder = folder
        self._variables: dict[str, str] = {}
        self.run("wineboot", "-i")

    def start(self, *words: str | Path, **variables: str) -> subprocess.Popen[bytes]:
        """A program that goes on; words as on a command line."""
        environ = self.environ | variables
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([self._wine, *words], env=environ, **quiet)

    def run(self, *words: str | Path, **variables: str) -> int:
        """The exit code of a program, once it has ended."""
        program = self.start(*words, **variables)
        program.communicate(timeout=120)
        return program.returncode

    def output(self, *words: str) -> str:
        """What a program says."""
        said, _ = self.start(*words).communicate(timeout=120)
        return said.decode("utf-8", "replace").strip()

    def path(self, place: str) -> Path:
        r"""Where a path of Windows, which may begin with a variable as `%APPDATA%`, lies on this disk."""
        first, *rest = PureWindowsPath(place).parts
        if first.startswith("%"):  # only this is asked for: what cmd says is in the machine's code page
            first, *rest = (*PureWindowsPath(self._expand(first)).parts, *rest)
        assert first.upper() == "C:\\", first
        return Path(self._folder, "drive_c", *rest)

    def _expand(self, variable: str) -> str:
        if variable not in self._variables:
            self._variables[variable] = self.output("cmd", "/c", "echo", variable)
        return self._variables[variable]

    def query(self, key: str) -> dict[str, str]:
        """The values of a key of the registry, the unnamed one as ""; {} where there is no such key."""
        values = {}
        for line in self.output("reg", "query", key).splitlines():
            name, kind, value = [*(part.strip() for part in line.split("    ") if part.strip()), "", "", ""][
                :3
            ]
            if kind.startswith("REG_"):
                values["" if name == "(Default)" else name] = value
        return values

    def has(self, key: str) -> bool:
        """Whether there is such a key."""
        return self.run("reg", "query", key) == 0

    def set(self, key: str, name: str, value: str) -> None:
        """Write a text into the registry; name "": the unnamed value."""
        named = ["/v", name] if name else ["/ve"]
        assert self.run("reg", "add", key, *named, "/d", value, "/f") == 0

    def close(self) -> None:
        """End everything that runs in it."""
        subprocess.run([self._server, "-k"], env=self.environ, check=False, timeout=60)
        subprocess.run([self._server, "-w"], env=self.environ, check=False, timeout=60)
