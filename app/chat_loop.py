"""The interactive terminal chat: read, answer or obey, until the person leaves.

Works on any `QuestionReader` and `Dialogue`, so it knows neither keyboards nor models.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from app.answers import remarks, statistics_lines, stream_answer, summary_line
from app.dialogue import Dialogue
from app.errors import SaveError
from app.i18n import Texts
from app.questions import QuestionReader
from app.shell import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK
from app.terminal import Terminal, remove_surrogates
from app.transcript import save_transcript
from convert.interrupts import exit_code
from engine.errors import EngineError
from engine.types import FinishReason

_COMMAND = re.compile(r"/[a-z]+")


class ChatLoop:
    """One sitting; `run` returns the exit code."""

    def __init__(
        self, dialogue: Dialogue, reader: QuestionReader, terminal: Terminal, texts: Texts, model_name: str
    ) -> None:
        self._dialogue = dialogue
        self._reader = reader
        self._terminal = terminal
        self._texts = texts
        self._model_name = model_name
        self._is_over = False
        self._exit_code = EXIT_OK
        self._n_forgotten = 0

    def run(self) -> int:
        """Until the end of input, `/quit`, or Ctrl-C while nothing is being answered. Raises OutputClosed."""
        while not self._is_over:
            try:
                line = self._reader.read()
            except KeyboardInterrupt as interrupt:
                return exit_code(interrupt)
            if line is None:
                break
            if line.strip():
                self._handle(remove_surrogates(line))
        return self._exit_code

    def _handle(self, line: str) -> None:
        word, _, rest = line.rstrip().partition(" ")
        if word in COMMANDS:
            COMMANDS[word](self, rest.strip())
        elif _COMMAND.fullmatch(word):
            self._note("chat.unknown_command", command=word)
        else:
            self._answer(line)

    def _answer(self, question: str) -> None:
        try:
            finished = stream_answer(self._dialogue, question, self._terminal, self._texts)
        except EngineError as error:
            self._terminal.complain(self._texts.error(error))
            self._fail(EXIT_FAILED)
            return
        for remark in remarks(self._texts, finished, self._n_forgotten):
            self._terminal.note(remark)
        self._n_forgotten = finished.statistics.forgotten_turns
        self._terminal.note(summary_line(self._texts, self._model_name, finished.statistics))
        if finished.reason is FinishReason.CANCELLED:
            self._note("chat.stopped")
            if not self._terminal.stdin.isatty():  # nobody is there for a second Ctrl-C
                self._is_over, self._exit_code = True, EXIT_INTERRUPTED
        elif not self._terminal.is_interactive:
            return
        self._terminal.note("")

    def _fail(self, exit_code: int) -> None:
        """A person sees the failure and goes on; a script learns of it at the end."""
        if not self._terminal.stdin.isatty():
            self._exit_code = exit_code

    def _note(self, key: str, **values: object) -> None:
        self._terminal.note(self._texts.text(key, **values))

    def help(self, _rest: str) -> None:
        """`/help`"""
        self._note("chat.help")

    def reset(self, _rest: str) -> None:
        """`/reset`"""
        self._dialogue.reset()
        self._n_forgotten = 0
        self._note("chat.reset")

    def save(self, rest: str) -> None:
        """`/save FILE`"""
        name = rest[1:-1] if len(rest) > 1 and rest[0] == rest[-1] and rest[0] in "\"'" else rest
        if not name:
            self._note("chat.save_usage")
        elif not self._dialogue.n_turns:
            self._note("chat.nothing_to_save")
        else:
            self._save_to(Path(os.path.expanduser(name)))

    def _save_to(self, path: Path) -> None:
        names = ("system", "user", "assistant", "thought")
        headings = {name: self._texts.text(f"role.{name}") for name in names}
        try:
            save_transcript(path, self._dialogue.messages, self._model_name, headings)
        except SaveError as error:
            self._terminal.complain(self._texts.error(error))
            self._fail(EXIT_FAILED)
        else:
            self._note("chat.saved", path=path.absolute())

    def stats(self, _rest: str) -> None:
        """`/stats`"""
        if self._dialogue.last is None:
            self._note("chat.no_statistics")
            return
        for line in statistics_lines(self._texts, self._dialogue.last.statistics):
            self._terminal.note(line)

    def quit(self, _rest: str) -> None:
        """`/quit`"""
        self._is_over = True


COMMANDS: dict[str, Callable[[ChatLoop, str], None]] = {
    "/help": ChatLoop.help,
    "/reset": ChatLoop.reset,
    "/save": ChatLoop.save,
    "/stats": ChatLoop.stats,
    "/quit": ChatLoop.quit,
}
