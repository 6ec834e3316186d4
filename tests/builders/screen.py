"""A screen for programs with windows: Xvfb, with a person's hands (xdotool) and eyes (screenshots).

No window manager runs on it: windows come up in the upper left corner, in the size they ask for.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 1280, 900
PROGRAMS = ("Xvfb", "xdotool", "import", "xclip", "xprop")
PACKAGES = "xvfb xdotool imagemagick xclip x11-utils libwebkit2gtk-4.1-0 locales"
_CLIENT_MESSAGE = 33


def missing_for_windows() -> str | None:
    """What this machine lacks for a window of its own; None where all is there."""
    lacking = [program for program in PROGRAMS if shutil.which(program) is None]
    try:
        ctypes.CDLL("libwebkit2gtk-4.1.so.0")
    except OSError:
        lacking.append("WebKitGTK")
    return f"missing: {', '.join(lacking)} (Debian: {PACKAGES})" if lacking else None


def has_locale(name: str) -> bool:
    """Whether the C library has it; `name` as in LC_ALL."""
    listed = subprocess.run(["locale", "-a"], capture_output=True, text=True, timeout=60)
    return name.replace("UTF-8", "utf8") in listed.stdout.split()


@dataclass(frozen=True)
class Picture:
    """A screenshot: rows of RGB bytes."""

    width: int
    pixels: bytes

    def at(self, x: int, y: int) -> tuple[int, int, int]:
        """The colour of a pixel."""
        start = (y * self.width + x) * 3
        red, green, blue = self.pixels[start : start + 3]
        return red, green, blue

    def count(self, color: tuple[int, int, int]) -> int:
        """How many pixels have exactly this colour."""
        wanted = bytes(color)
        return sum(self.pixels[at : at + 3] == wanted for at in range(0, len(self.pixels), 3))


class Screen:
    """An X display; `environ` makes a program use it."""

    def __init__(self, number: int) -> None:
        self.name = f":{number}"
        self.environ = {"DISPLAY": self.name, "NO_AT_BRIDGE": "1", "GDK_BACKEND": "x11"}

    def windows(self, class_name: str = "chatbelle") -> list[int]:
        """The windows that can be seen, by the class that the desktop entry names."""
        found = self._ask("xdotool", "search", "--onlyvisible", "--class", class_name)
        return [int(line) for line in found.split()]

    def title(self, window: int) -> str:
        """What its title bar would say."""
        return self._ask("xdotool", "getwindowname", str(window)).strip()

    def property(self, window: int, name: str) -> str:
        """As xprop prints it."""
        return self._ask("xprop", "-id", str(window), name)

    def size(self, window: int) -> tuple[int, int]:
        """Width and height in pixels."""
        lines = self._ask("xdotool", "getwindowgeometry", "--shell", str(window)).splitlines()
        values = dict(line.split("=") for line in lines)
        return int(values["WIDTH"]), int(values["HEIGHT"])

    def resize(self, window: int, width: int, height: int) -> None:
        """As a person who drags its corner."""
        self._ask("xdotool", "windowsize", str(window), str(width), str(height))

    def focus(self, window: int) -> None:
        """Let the keys go to it, as a window manager does with a new window."""
        self._ask("xdotool", "windowfocus", "--sync", str(window))

    def click(self, x: int, y: int, button: int = 1) -> None:
        """Press a button of the mouse at a place."""
        self._ask("xdotool", "mousemove", str(x), str(y), "click", str(button))

    def type(self, text: str) -> None:
        """Type a text, whatever its script."""
        self._ask("xdotool", "type", "--delay", "100", text)

    def press(self, *keys: str) -> None:
        """Press keys as xdotool names them: `Return`, `ctrl+plus`."""
        self._ask("xdotool", "key", *keys)

    def clipboard(self) -> str:
        """What was copied; "" where nothing was."""
        return self._ask("xclip", "-selection", "clipboard", "-out")

    def copy(self, text: str) -> None:
        """Put a text on the clipboard; the program that holds it there stays until the screen's end."""
        subprocess.run(
            ["xclip", "-selection", "clipboard", "-in"],
            env={**os.environ, **self.environ},
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )

    def close(self, window: int) -> None:
        """The button of the title bar: what a window manager sends (ICCCM, WM_DELETE_WINDOW)."""
        x11 = ctypes.CDLL("libX11.so.6")
        for name, arguments in (
            ("XOpenDisplay", (ctypes.c_char_p,)),
            ("XInternAtom", (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)),
            ("XSendEvent", (ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_void_p)),
            ("XCloseDisplay", (ctypes.c_void_p,)),
        ):
            getattr(x11, name).argtypes = arguments
        x11.XOpenDisplay.restype, x11.XInternAtom.restype = ctypes.c_void_p, ctypes.c_ulong
        display = x11.XOpenDisplay(self.name.encode())
        event = _ClientMessage(_CLIENT_MESSAGE, 0, 1, display, window)
        event.message_type = x11.XInternAtom(display, b"WM_PROTOCOLS", 0)
        event.format = 32
        event.data[0] = x11.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
        x11.XSendEvent(display, window, 0, 0, ctypes.byref(event))
        x11.XCloseDisplay(display)

    def picture(self) -> Picture:
        """What is to be seen now."""
        data = subprocess.run(
            ["import", "-window", "root", "-depth", "8", "ppm:-"],
            env={**os.environ, **self.environ},
            capture_output=True,
            timeout=60,
            check=True,
        ).stdout
        _kind, width, _height, _depth, pixels = data.split(maxsplit=4)[:5]
        return Picture(int(width), pixels)

    def save(self, path: Path) -> None:
        """Keep a screenshot as PNG."""
        self._ask("import", "-window", "root", str(path))

    def wait_for(self, condition: Callable[[], Any], what: str, timeout_s: float) -> Any:
        """Wait until `condition` is true, and return its value."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.2)
        raise AssertionError(f"never: {what}")

    def _ask(self, *command: str) -> str:
        done = subprocess.run(
            command, env={**os.environ, **self.environ}, capture_output=True, text=True, timeout=120
        )
        return done.stdout


class _ClientMessage(ctypes.Structure):
    """XClientMessageEvent, padded to the size of an XEvent: 24 longs."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("padding", ctypes.c_long * 24),
    ]


@contextmanager
def open_screen() -> Iterator[Screen]:
    """A fresh display with a free number."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as numbers:
            yield Screen(int(numbers.readline()))
    finally:
        server.terminate()
        server.wait(30)
