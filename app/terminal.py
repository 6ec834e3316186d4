"""The terminal as the commands see it: answers go to stdout, everything about them to stderr.

Knows encodings, colours, and pipes whose reader has gone; knows nothing about chats.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import StringIO, TextIOWrapper
from threading import Timer
from typing import TextIO

from app.errors import OutputNotWritable

# What a model must never send to a terminal: escape sequences and other controls, but tab and newline.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_N_COLUMNS = 80
_PATIENCE_S = 3.0


class OutputClosed(Exception):  # noqa: N818 - not an error: the reader has all it wanted
    """Whoever reads our stdout has closed it, as `head` does."""


class Terminal:
    """The three standard streams; `stdout` carries answers only."""

    def __init__(self, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._styles_notes = stderr.isatty() and _styles_wanted()

    @property
    def is_interactive(self) -> bool:
        """A person types and reads here: lines can be edited."""
        return self.stdin.isatty() and self.stdout.isatty()

    @property
    def is_watched(self) -> bool:
        """There is a terminal at all; without one, nobody sees what is written."""
        return any(stream.isatty() for stream in (self.stdin, self.stdout, self.stderr))

    def write(self, text: str) -> None:
        """Show a piece of an answer at once; control characters are left out. Raises OutputClosed."""
        self.write_raw(_CONTROLS.sub("", text))

    def write_raw(self, text: str) -> None:
        """Like `write`, for text that we made ourselves. Raises OutputClosed and OutputNotWritable."""
        try:
            self.stdout.write(text)
            self.stdout.flush()
        except OSError as error:
            # Windows reports a closed pipe as EINVAL.
            if error.errno in (errno.EPIPE, errno.EINVAL, errno.ESHUTDOWN):
                raise OutputClosed from error
            raise OutputNotWritable(error.strerror or str(error)) from error

    def write_json(self, document: Mapping[str, object]) -> None:
        """One JSON object on a line; escaped if stdout is not in Unicode. Raises OutputClosed."""
        is_unicode = (self.stdout.encoding or "utf-8").lower().replace("-", "").startswith("utf")
        self.write_raw(json.dumps(document, ensure_ascii=not is_unicode) + "\n")

    def read_piped(self, on_wait: Callable[[], None]) -> str:
        """All of stdin where it is a file or a pipe, to its end; "" where a person types, or it is closed.

        on_wait: called once, from another thread, where nothing has ended it for some seconds.
        """
        if self.stdin.isatty():
            return ""
        timer = Timer(_PATIENCE_S, on_wait)
        timer.daemon = True
        timer.start()
        try:
            return self.stdin.read()
        except OSError:  # not open for reading, so that nobody can have put anything there
            return ""
        finally:
            timer.cancel()

    def prompt(self, text: str) -> None:
        """An invitation to type, without a newline."""
        self._write_stderr(text)

    def note(self, text: str) -> None:
        """A line beside the answers, dimmed where that is possible."""
        self._write_stderr(self._dimmed(text) + "\n")

    def aside(self, text: str) -> None:
        """A piece of a text beside the answers, as `note`; `end_line` ends it."""
        if text:
            self._write_stderr(self._dimmed(text))

    @property
    def can_redraw(self) -> bool:
        """Notes go to a terminal in which a line can be written over."""
        return self.stderr.isatty() and os.environ.get("TERM") != "dumb"

    @property
    def n_columns(self) -> int:
        """How wide the terminal is that notes go to; 80 where that is not known."""
        try:
            return os.get_terminal_size(self.stderr.fileno()).columns or _N_COLUMNS
        except (OSError, ValueError):
            return _N_COLUMNS

    def redraw(self, text: str) -> None:
        """A note in the place of the one that this wrote last, and as long at least; see `end_line`."""
        self._write_stderr("\r" + self._dimmed(text))

    def end_line(self) -> None:
        """What `redraw` or `aside` wrote stays; the next note gets a line of its own."""
        self._write_stderr("\n")

    def complain(self, text: str) -> None:
        """A line about something that failed."""
        self._write_stderr(_CONTROLS.sub("", text) + "\n")

    def _dimmed(self, text: str) -> str:
        text = _CONTROLS.sub("", text)
        return f"\x1b[2m{text}\x1b[0m" if self._styles_notes else text

    def _write_stderr(self, text: str) -> None:
        with suppress(OSError, ValueError):  # nobody reads it: nothing is lost
            self.stderr.write(text)
            self.stderr.flush()


def open_terminal() -> Terminal:
    """The standard streams of this process, made safe for any character."""
    _fill_standard_descriptors()
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Windows pipes use an old code page by default; elsewhere the terminal's encoding is right.
            encoding = "utf-8" if sys.platform == "win32" else None
            stream.reconfigure(encoding=encoding, errors="replace")
    # A stream that was closed before we started is None.
    return Terminal(sys.stdin or StringIO(), sys.stdout or StringIO(), sys.stderr or StringIO())


def _fill_standard_descriptors() -> None:
    """Keep files that are opened later from becoming a standard stream, into which any library may write."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest free number


def remove_surrogates(text: str) -> str:
    """Text that can be encoded: bytes on a command line that were no UTF-8 become `?`."""
    return text.encode("utf-8", "replace").decode()


def abandon_stdout() -> None:
    """Send what is still buffered for a closed stdout nowhere, so that Python does not fail at exit."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _styles_wanted() -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.platform != "win32" or "WT_SESSION" in os.environ or "ANSICON" in os.environ
