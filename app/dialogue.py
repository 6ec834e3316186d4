"""One conversation with one loaded model: the messages so far, and how the next answer is made.

Stands above the `Backend` protocol; knows no screen. What failed or said nothing leaves no trace in it.
"""

from __future__ import annotations

from collections.abc import Generator

from engine.backend import Backend
from engine.types import Event, Finished, FinishReason, Message, Sampling, Statistics


class Dialogue:
    """Question and answer in turn, after an optional system text."""

    def __init__(self, backend: Backend, sampling: Sampling, system: str | None = None) -> None:
        self._backend = backend
        self._sampling = sampling
        self._system = [Message("system", system)] if system and system.strip() else []
        self._turns: list[Message] = []
        self.last: Finished | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """Everything said so far, system text first."""
        return (*self._system, *self._turns)

    @property
    def n_turns(self) -> int:
        """Answered questions."""
        return len(self._turns) // 2

    @property
    def last_statistics(self) -> Statistics | None:
        """Of the newest answer."""
        return self.last.statistics if self.last else None

    def ask(self, question: str) -> Generator[Event, None, None]:
        """Answer `question`; it joins the conversation together with its answer, when that is finished.

        An answer that was cancelled before its first word leaves the conversation as it was. Raises what the
        backend raises.
        """
        asked = Message("user", question)
        for event in self._backend.chat([*self._system, *self._turns, asked], self._sampling):
            if isinstance(event, Finished):
                self.last = event
                if event.reason is not FinishReason.CANCELLED or event.message.text.strip():
                    self._turns += [asked, event.message]
            yield event

    def cancel(self) -> None:
        """End the running answer as soon as possible."""
        self._backend.cancel()

    def reset(self) -> None:
        """Forget all turns; the system text stays."""
        self._turns.clear()
        self.last = None


class DisplayText:
    """An answer as it is shown while it streams: without white space around it.

    Models begin answers with blanks and end them with newlines; the conversation keeps those.
    """

    def __init__(self) -> None:
        self._held = ""
        self.started = False

    def push(self, text: str) -> str:
        """What can be shown now; trailing white space waits until something follows it."""
        text = self._held + text
        if not self.started:
            text = text.lstrip()
        shown = text.rstrip()
        self.started = self.started or bool(shown)
        self._held = text[len(shown) :] if self.started else ""
        return shown
