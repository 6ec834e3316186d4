"""Where the questions of a terminal chat come from: an edited line with history, or the lines of a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from app.terminal import Terminal
from convert.interrupts import Stopped, held_back

if TYPE_CHECKING:
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.key_binding.key_processor import KeyPressEvent

_PROMPT = "> "


class QuestionReader(Protocol):
    """A source of questions."""

    def read(self) -> str | None:
        """The next question or command, None at the end. KeyboardInterrupt when the person wants to leave."""
        ...


class LineReader:
    """Every line of stdin is a question."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def read(self) -> str | None:
        """The next line without its end, None after the last one."""
        if self._terminal.stdin.isatty():
            self._terminal.prompt(_PROMPT)
        line = self._terminal.stdin.readline()
        return line.rstrip("\r\n").removeprefix("\ufeff") if line else None


class EditedLineReader:
    """A line editor: history in a file, several lines by pasting or Alt+Enter, completion of commands."""

    def __init__(self, history_path: Path | None, commands: Sequence[str]) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter
        from prompt_toolkit.shortcuts import CompleteStyle

        self._session: PromptSession[str] = PromptSession(
            message=_PROMPT,
            history=_history(history_path),
            key_bindings=_key_bindings(),
            completer=WordCompleter(list(commands), sentence=True),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,  # a menu would keep eight lines of the screen free
            multiline=True,
            prompt_continuation="  ",
        )

    def read(self) -> str | None:
        """What was typed until Enter; None at Ctrl-D on an empty line, KeyboardInterrupt at Ctrl-C on one."""
        try:
            with held_back(self._end):
                return self._session.prompt()
        except EOFError:
            return None

    def _end(self, stopped: Stopped) -> None:
        """The editor answers an exception inside its background tasks with "Press ENTER to continue"."""
        editor = self._session.app
        if editor.loop is None:
            raise stopped

        def leave() -> None:
            if editor.is_running and not editor.is_done:
                editor.exit(result="")

        editor.loop.call_soon_threadsafe(leave)


def open_reader(terminal: Terminal, history_path: Path | None, commands: Sequence[str]) -> QuestionReader:
    """An editor where a person types into a terminal, otherwise lines."""
    if not terminal.is_interactive:
        return LineReader(terminal)
    try:
        return EditedLineReader(history_path, commands)
    except _editor_failures():
        return LineReader(terminal)


def _editor_failures() -> tuple[type[Exception], ...]:
    """What prompt_toolkit raises in a terminal it can't drive, such as mintty on Windows."""
    if sys.platform == "win32":
        from prompt_toolkit.output.win32 import NoConsoleScreenBufferError

        return (OSError, NoConsoleScreenBufferError)
    return (OSError,)


def _history(path: Path | None) -> History:
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    if path is None:
        return InMemoryHistory()
    try:
        path.open("ab").close()
        path.chmod(0o600)
    except OSError:
        return InMemoryHistory()

    class LenientHistory(FileHistory):
        """A full disk costs the arrow keys, not the conversation."""

        def store_string(self, string: str) -> None:
            with suppress(OSError):
                super().store_string(string)

    return LenientHistory(str(path))


def _key_bindings() -> KeyBindings:
    """Enter sends, Alt+Enter breaks the line, Ctrl-C first clears what was typed."""
    from prompt_toolkit.key_binding import KeyBindings

    bindings = KeyBindings()

    @bindings.add("enter")
    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @bindings.add("escape", "enter")
    def break_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @bindings.add("c-c")
    def clear_or_leave(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt())

    return bindings
