"""Whether a model's files are in use by the chat, and whether it can be let go of now.

Knows no screen; takes what the chat service tells.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from app.chat.choices import ModelChoice
from app.chat.events import EngineState
from app.chat.service import ChatService


def chosen_model(service: ChatService) -> ModelChoice:
    """The model that answers, or that would: from the settings. May wait for the disk."""
    return service.state.model or service.chosen_model()


def is_in_use(state: EngineState, files: Collection[Path]) -> bool:
    """Whether the engine has, or wants, the model of these files."""
    return state.model is not None and state.model.path in files


def refusal(state: EngineState, files: Collection[Path]) -> Literal["answering", "loading"] | None:
    """Why its files can't be taken away now; None where they can, after another took over."""
    if not is_in_use(state, files):
        return None
    if state.answering is not None:
        return "answering"
    return "loading" if state.phase in ("loading", "restarting") else None
