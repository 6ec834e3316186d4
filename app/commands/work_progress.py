"""Progress of long work on stderr: one line that is drawn anew in a terminal, lines that last in a log.

Knows no work; its words are those of the window.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from app.models.progress_texts import (
    bytes_text,
    left_text,
    percent_of,
    rate_text,
    tensors_text,
    waiting_text,
)

if TYPE_CHECKING:
    from app.i18n import Texts
    from app.models.progress import WorkProgress
    from app.shell import Shell
    from app.terminal import Terminal

Clock = Callable[[], float]

_STEP_PERCENT = 10
_DRAW_S = 1.0
_LOG_S = 60.0
_JOINT = "  "  # a dot between the parts would be one column or two, as the terminal likes


class TerminalProgress:
    """The phase as a line of its own, and below it how far that is; on leaving, its line is ended.

    clock: monotonic seconds.
    """

    def __init__(self, shell: Shell, clock: Clock = time.monotonic) -> None:
        self._shell = shell
        self._clock = clock
        self._phase = ""
        self._lines: _DrawnLine | _LogLines | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def update(self, progress: WorkProgress) -> None:
        """Say so if there is something new."""
        terminal, texts = self._shell.terminal, self._shell.texts
        if self._lines is None or progress.phase != self._phase:
            self._end()
            self._phase = progress.phase
            terminal.note(texts.text(f"models.phase.{progress.phase}"))
            kind = _DrawnLine if terminal.can_redraw else _LogLines
            self._lines = kind(terminal, texts, self._clock)
        self._lines.show(progress)

    def _end(self) -> None:
        if self._lines is not None:
            self._lines.end()
            self._lines = None


class _DrawnLine:
    """One line, at most once a second, and never longer than the terminal is wide."""

    def __init__(self, terminal: Terminal, texts: Texts, clock: Clock) -> None:
        self._terminal = terminal
        self._texts = texts
        self._clock = clock
        self._n_columns = 0  # drawn so far
        self._drawn_s: float | None = None
        self._newest: WorkProgress | None = None  # not drawn yet

    def show(self, progress: WorkProgress) -> None:
        self._newest = progress
        if self._drawn_s is None or self._clock() - self._drawn_s >= _DRAW_S:
            self._draw(progress)

    def end(self) -> None:
        """With the last that was told."""
        if self._newest is not None:
            self._draw(self._newest)
        if self._drawn_s is not None:
            self._terminal.end_line()

    def _draw(self, progress: WorkProgress) -> None:
        from rich.text import Text

        self._newest = None
        line = Text(_line(progress, self._texts))
        if not line:
            return
        limit = self._terminal.n_columns - 1  # a full line goes on in the next one
        line.truncate(limit, overflow="ellipsis")
        n_columns = line.cell_len
        line.pad_right(max(0, min(self._n_columns, limit) - n_columns))  # over what was there
        self._terminal.redraw(line.plain)
        self._n_columns, self._drawn_s = n_columns, self._clock()


class _LogLines:
    """A line every ten percent, each minute, and for each host that an outage makes us wait for."""

    def __init__(self, terminal: Terminal, texts: Texts, clock: Clock) -> None:
        self._terminal = terminal
        self._texts = texts
        self._clock = clock
        self._told_s = clock()
        self._next_percent = _STEP_PERCENT
        self._waited_for: set[str] = set()
        self._waited_bytes = 0  # that were there while we waited

    def show(self, progress: WorkProgress) -> None:
        line = _line(progress, self._texts)
        is_minute = self._clock() - self._told_s >= _LOG_S
        is_due = self._is_step(progress) | self._is_new_wait(progress) | is_minute  # both of them take note
        if line and is_due:
            self._terminal.note(line)
            self._told_s = self._clock()

    def end(self) -> None:
        """Every line is ended already."""

    def _is_step(self, progress: WorkProgress) -> bool:
        percent = percent_of(progress)
        if percent < self._next_percent:
            return False
        self._next_percent = (percent // _STEP_PERCENT + 1) * _STEP_PERCENT
        return True

    def _is_new_wait(self, progress: WorkProgress) -> bool:
        """An outage lasts until bytes come: between two waits of it, the host is asked again in vain."""
        if progress.waiting_s <= 0:
            if progress.done_bytes > self._waited_bytes:
                self._waited_for.clear()
            return False
        self._waited_bytes = progress.done_bytes
        is_new = bool(progress.host) and progress.host not in self._waited_for
        self._waited_for.add(progress.host)
        return is_new


def _line(progress: WorkProgress, texts: Texts) -> str:
    """` 34%  9.53 / 28.02 GB  12 MB/s  about 25 min left  tensor 123 of 434`; "" while nothing is known."""
    percent = f"{percent_of(progress):3}%" if progress.total_bytes else ""
    parts = [percent, bytes_text(progress, texts)]
    waiting = waiting_text(progress, texts)
    if waiting:
        parts.append(waiting)
    else:
        parts += [rate_text(progress, texts), left_text(progress, texts), tensors_text(progress, texts)]
    return _JOINT.join(part for part in parts if part)
