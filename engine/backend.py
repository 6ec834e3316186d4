"""The protocol every engine backend fulfils: in this process, or in a worker behind plain-data messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from engine.types import Event, LoadOptions, Message, ModelInfo, Sampling

Progress = Callable[[float], None]
"""Takes how much of a model is loaded, from 0 to 1, some ten times; called on any thread."""


def untold(_share: float) -> None:
    """The progress that nobody wants to know."""


class Backend(Protocol):
    """Holds at most one model and answers one conversation at a time."""

    def load(self, path: Path, options: LoadOptions, progress: Progress = untold) -> ModelInfo:
        """Load the GGUF at `path`, replacing the model held so far.

        Raises a subclass of `EngineError`; afterwards no model is loaded.
        """
        ...

    def chat(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[Event]:
        """Answer the last user message: any number of `TokenChunk`, then one `Finished`.

        Closing the iterator early cancels. Raises a subclass of `EngineError`.
        """
        ...

    def cancel(self) -> None:
        """End the running answer as soon as possible; safe from any thread, harmless when nothing runs."""
        ...

    def unload(self) -> None:
        """Free the model and everything that belongs to it; harmless when nothing is loaded."""
        ...
