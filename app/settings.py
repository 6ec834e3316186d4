"""What a person set, typed and kept in `settings.json`.

A value that is of the wrong type or out of its range is replaced by its default when read; a file that is no
JSON is set aside. Knows no screen; personas are in `app.personas`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from app.models.finding import DEMO_NAME
from app.old_sampling import chosen_values, is_complete
from app.settings_file import SettingsFile
from app.typed_json import JsonMismatch, field_from_json, from_json
from convert.i18n import Language
from engine.errors import InvalidSampling
from engine.models.kept_paths import kept_path
from engine.partial_sampling import NOTHING, PartialSampling, check_partial
from engine.prompt import PROMPT_FORMATS
from engine.types import LoadOptions

SETTINGS_NAME = "settings.json"
VERSION = 1

_WHOLE = ("model_sampling", "general_sampling", "prompt_formats")
_RANGES: dict[str, tuple[float, float]] = {
    "font_scale": (0.7, 2.0),
    "width": (320, 32_000),
    "height": (320, 32_000),
    "left": (-32_000, 32_000),
    "top": (-32_000, 32_000),
    "sidebar_width": (160, 800),
    "context_tokens": (64, 1 << 20),
    "threads": (1, 1024),
    "gpu_layers": (0, 10_000),
}


@dataclass(frozen=True, slots=True)
class WindowPlace:
    """Where the window was, in logical pixels; `left` and `top` None leave it to the system."""

    width: int = 1100
    height: int = 800
    left: int | None = None
    top: int | None = None
    maximized: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. `system` follows the operating system.

    font_scale: 0.7 to 2.0. last_conversation: its id in the history. new_draft: what is typed for a
    conversation that does not exist yet. default_model: a model's key (see `app.chat.choices`); None is the
    demo. model_sampling: what the person set for single models, by their keys; general_sampling: for all
    models without an entry there, which only older versions could set.
    prompt_formats: the formats chosen for some, or the paths of templates. show_statistics: numbers under
    answers without being asked. load: how models are loaded.
    """

    language: Literal["system", "zh-CN", "en"] = "system"
    theme: Literal["system", "light", "dark"] = "system"
    font_scale: float = 1.0
    window: WindowPlace = field(default_factory=WindowPlace)
    sidebar_open: bool = True
    sidebar_width: int = 280
    last_conversation: int | None = None
    new_draft: str = ""
    default_model: str | None = None
    persona: str = "assistant"
    model_sampling: Mapping[str, PartialSampling] = field(default_factory=dict)
    general_sampling: PartialSampling = NOTHING
    prompt_formats: Mapping[str, str] = field(default_factory=dict)
    load: LoadOptions = field(default_factory=LoadOptions)
    show_statistics: bool = False

    def language_on(self, system: Language) -> Language:
        """The language to speak where the operating system, or the command line, has this one."""
        return system if self.language == "system" else self.language

    def prompt_format_of(self, model_key: str) -> str | Path | None:
        """The format chosen for this model, by its name or as a template's path; None is the file's own."""
        kept = self.prompt_formats.get(model_key)
        return kept if kept is None or kept in PROMPT_FORMATS else Path(kept)

    def sampling_of(self, model_key: str) -> PartialSampling:
        """What the person set for this model, or for all."""
        return self.model_sampling.get(model_key, self.general_sampling)

    def is_general(self, model_key: str) -> bool:
        """Whether what was set for all models applies to this one."""
        return self.general_sampling != NOTHING and model_key not in self.model_sampling


class SettingsStore:
    """The settings in a folder; safe to use from any thread.

    settings: the present ones. damaged_path: where an unreadable file was moved to, None when all was well.
    """

    def __init__(self, folder: Path) -> None:
        self._file = SettingsFile(folder / SETTINGS_NAME, VERSION)
        self._lock = threading.Lock()
        self.settings = _read(self._file.content, folder)
        self.damaged_path = self._file.damaged_path

    def update(self, **changes: Any) -> Settings:
        """Change fields by name and save, if anything is different; returns the settings.

        Raises SettingsNotSaved (the change holds until the app ends), InvalidSampling (nothing was changed),
        and TypeError for a name that is not a field.
        """
        return self._change(lambda settings: replace(settings, **changes))

    def set_sampling(self, model_key: str, sampling: PartialSampling) -> Settings:
        """Keep what the person set for one model, also instead of what was set for all.

        NOTHING leaves all to the model. Raises as `update` does.
        """

        def change(settings: Settings) -> Settings:
            values = {**settings.model_sampling, model_key: sampling}
            return replace(settings, model_sampling=_that_say_something(values, settings.general_sampling))

        return self._change(change)

    def forget_general_sampling(self) -> Settings:
        """Leave all models without values of their own to themselves. Raises as `update` does."""

        def change(settings: Settings) -> Settings:
            values = _that_say_something(settings.model_sampling, NOTHING)
            return replace(settings, model_sampling=values, general_sampling=NOTHING)

        return self._change(change)

    def set_prompt_format(self, model_key: str, chosen: str | None) -> Settings:
        """Keep a format's name, or a template's path, for one model; None forgets it. Raises as `update`."""

        def change(settings: Settings) -> Settings:
            others = {key: value for key, value in settings.prompt_formats.items() if key != model_key}
            formats = others if chosen is None else {**others, model_key: chosen}
            return replace(settings, prompt_formats=formats)

        return self._change(change)

    def reset(self) -> Settings:
        """Go back to the defaults, but for the window, the last conversation and a draft. Raises
        SettingsNotSaved.
        """
        kept = self.settings
        defaults = Settings(
            window=kept.window, last_conversation=kept.last_conversation, new_draft=kept.new_draft
        )
        return self.update(**{item.name: getattr(defaults, item.name) for item in fields(defaults)})

    def _change(self, change: Callable[[Settings], Settings]) -> Settings:
        with self._lock:
            changed = change(self.settings)
            for partial in (*changed.model_sampling.values(), changed.general_sampling):
                check_partial(partial)
            if changed == self.settings:
                return changed
            self.settings = changed
            self._file.write(_content(changed), whole=_WHOLE)
            return changed


def read_settings(folder: Path) -> Settings:
    """The settings in a folder, for who only reads them: a damaged file stays where it is."""
    return _read(SettingsFile(folder / SETTINGS_NAME, VERSION, sets_aside=False).content, folder)


def _content(settings: Settings) -> dict[str, Any]:
    """What is written: of the models' values only those that say something."""
    said = {key: partial.said() for key, partial in settings.model_sampling.items()}
    general = settings.general_sampling.said()
    return {**asdict(settings), "model_sampling": said, "general_sampling": general}


def _that_say_something(
    values: Mapping[str, PartialSampling], general: PartialSampling
) -> dict[str, PartialSampling]:
    """Without entries that say nothing; one that keeps the general values from its model does."""
    return {key: partial for key, partial in values.items() if partial != NOTHING or general != NOTHING}


def _read(stored: Mapping[str, Any], folder: Path) -> Settings:
    content = {**stored, **_modern_keys(stored, folder)}
    values: dict[str, Any] = {
        **_read_sampling(content),
        "prompt_formats": _read_prompt_formats(content),
    }
    for item in fields(Settings):
        if item.name not in content or item.name in values:
            continue
        try:
            value = field_from_json(Settings, item.name, content[item.name])
        except JsonMismatch:
            continue
        if _is_in_range(item.name, value):
            values[item.name] = value
    return Settings(**values)


def _modern_keys(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What names models: older versions wrote the paths of those in the data folder whole."""
    default = content.get("default_model")
    chosen = {"default_model": kept_path(default, folder)} if isinstance(default, str) else {}
    tables = ((name, content.get(name)) for name in ("model_sampling", "prompt_formats"))
    return chosen | {
        name: {kept_path(key, folder): value for key, value in table.items()}
        for name, table in tables
        if isinstance(table, Mapping)
    }


def _read_sampling(content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields `model_sampling` and `general_sampling`, of older files from what was set for all models."""
    stored, general = content.get("model_sampling"), content.get("general_sampling")
    if not isinstance(stored, Mapping):
        stored, general = _modern_sampling(content.get("sampling"))
    kept = _read_partial(general) or NOTHING
    read = {key: _read_partial(entry) for key, entry in stored.items()}
    values = {key: partial for key, partial in read.items() if partial is not None}
    return {"model_sampling": _that_say_something(values, kept), "general_sampling": kept}


def _modern_sampling(old: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """By model, and for all: of what was set for all models the demo only took its limit."""
    if not isinstance(old, Mapping) or not is_complete(old):
        return {}, {}
    chosen = chosen_values(old)
    limit = {name: value for name, value in chosen.items() if name == "max_tokens"}
    return {DEMO_NAME: limit}, chosen


def _read_partial(entry: Any) -> PartialSampling | None:
    """None for what can't be read."""
    try:
        partial = from_json(PartialSampling, entry)
        check_partial(partial)
    except (JsonMismatch, InvalidSampling):
        return None
    return partial


def _read_prompt_formats(content: Mapping[str, Any]) -> dict[str, str]:
    """Those that are the name of a format or an absolute path."""
    stored = content.get("prompt_formats")
    formats = stored.items() if isinstance(stored, Mapping) else ()
    return {
        key: value
        for key, value in formats
        if isinstance(value, str) and (value in PROMPT_FORMATS or Path(value).is_absolute())
    }


def _is_in_range(name: str, value: Any) -> bool:
    if isinstance(value, WindowPlace | LoadOptions):
        return all(_is_in_range(item.name, getattr(value, item.name)) for item in fields(value))
    if name not in _RANGES or value is None:
        return True
    lowest, highest = _RANGES[name]
    return bool(lowest <= value <= highest)
