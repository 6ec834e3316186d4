"""What every subcommand is given: texts in one language, the terminal, the data folder, an engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.demo_model import DEMO_THREADS, prepare_demo
from app.home import Home
from app.i18n import Texts
from app.models.finding import DEMO_NAME, find_model, open_library
from app.terminal import Terminal
from engine.backend import Backend
from engine.types import ModelInfo

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def make_backend() -> Backend:
    """The engine that this front end uses."""
    from engine import backends

    return backends.make_backend()


def warn_of_context(wanted: int | None, info: ModelInfo, shell: Shell) -> None:
    """Say it where a person asked for a longer context than the model was trained with."""
    if wanted is not None and wanted > info.trained_context_tokens:
        values = {"wanted": wanted, "trained": info.trained_context_tokens}
        shell.terminal.note(shell.texts.text("context.longer_than_trained", **values))


@dataclass(frozen=True)
class ChosenModel:
    """A GGUF, and whether it is the built-in demo."""

    path: Path
    is_demo: bool

    @property
    def threads(self) -> int | None:
        """With how many threads it runs when nothing else is asked for; None leaves it to the engine."""
        return DEMO_THREADS if self.is_demo else None


@dataclass(frozen=True)
class Shell:
    """The surroundings of a subcommand."""

    texts: Texts
    terminal: Terminal
    home: Home
    make_backend: Callable[[], Backend]

    def choose_model(self, name: str | None) -> ChosenModel:
        """The model that `--model` names, by default the demo, which is made if need be.

        Raises ModelNotFound, ModelIsFolder, and what `prepare_demo` raises.
        """
        if name is None or name.casefold() == DEMO_NAME:
            path = prepare_demo(self.home, lambda: self.terminal.note(self.texts.text("demo.making")))
            return ChosenModel(path, is_demo=True)
        path = find_model(name, self.home)
        open_library(self.home).note_used(path)
        return ChosenModel(path, is_demo=False)
