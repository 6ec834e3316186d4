"""The prompt format of a model from an offline kit: the one that was chosen where the kit was made."""

from __future__ import annotations

from pathlib import Path

from app.chat.choices import find_key
from app.home import Home
from app.kit.manifest import kit_around, model_of_kit
from app.settings import SettingsStore


def keep_kit_format(source: Path, result: Path, settings: SettingsStore, home: Home) -> None:
    """Choose it for the model at `result`, imported from `source`, unless a format was chosen here.

    Does nothing for what came from no kit. Raises KitErrors and SettingsNotSaved.
    """
    kit = kit_around(model_of_kit(source) or source)
    if kit is None or kit.model.prompt_format is None:
        return
    key = find_key(result, home)
    if settings.settings.prompt_format_of(key) is None:
        settings.set_prompt_format(key, kit.model.prompt_format)
