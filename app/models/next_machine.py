"""The memory that the next model finds: what is available now, and what the loaded one gives back.

Reads the loaded model's header; measures nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from app.chat.events import EngineState
from app.models.service import ModelService
from engine.errors import EngineError
from engine.memory import estimate
from engine.models.header_summary import summarize
from engine.models.machine import Machine
from engine.models.places import find_parts

NOTHING_LOADED = EngineState()


def loaded_file(state: EngineState) -> Path | None:
    """The model that is loaded; None for the demo, whose memory does not count, and without one."""
    return state.model.path if state.model is not None and state.phase == "ready" else None


def machine_for_next(models: ModelService, state: EngineState) -> Machine:
    """This machine once the model that is loaded has gone: two are never there at a time."""
    machine = models.machine()
    loaded = loaded_file(state)
    if loaded is None or machine.available_bytes is None:
        return machine
    freed_bytes = _owned_bytes(loaded, state)
    return replace(machine, available_bytes=machine.available_bytes + freed_bytes)


def _owned_bytes(loaded: Path, state: EngineState) -> int:
    """What the engine owns for it; the pages of its file count as available already."""
    found = find_parts(loaded)
    try:
        footprint = summarize(found.path, found.parts).footprint
    except EngineError:
        return 0
    context_tokens = state.info.context_tokens if state.info is not None else 0
    return estimate(footprint, context_tokens).committed
