"""Personas: presets that the app ships, changed and added to by the person, in `personas.json`.

The presets' texts are data in `assets/personas.json`, in both languages; a changed preset has the text that
was typed, in whatever language that is, until it is reset.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from app.old_sampling import is_complete, with_partial_sampling
from app.settings_file import SettingsFile
from app.typed_json import JsonMismatch, from_json, parse_json, valid_text
from convert.i18n import Language
from engine.errors import InvalidSampling
from engine.partial_sampling import PartialSampling, check_partial

PERSONAS_NAME = "personas.json"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Persona:
    """How the model is to behave: a system text, which may be empty, and some values of its sampling.

    is_preset: shipped with the app. is_changed: a preset that was edited and can be reset.
    """

    id: str
    name: str
    system: str
    sampling: PartialSampling
    is_preset: bool = False
    is_changed: bool = False


@dataclass(frozen=True, slots=True)
class _Stored:
    name: str
    system: str
    sampling: PartialSampling


class PersonaStore:
    """The personas of a data folder; safe to use from any thread.

    damaged_path: where an unreadable file was moved to, None when all was well. What changes anything raises
    SettingsNotSaved, and InvalidSampling before anything is changed.
    """

    def __init__(self, folder: Path) -> None:
        self._file = SettingsFile(folder / PERSONAS_NAME, VERSION)
        self._lock = threading.Lock()
        self.damaged_path = self._file.damaged_path

    def all(self, language: Language) -> tuple[Persona, ...]:
        """Presets in their order, then own personas in the order they were made."""
        with self._lock:
            stored = self._readable()
        presets = {preset.id: preset for preset in load_presets(language)}
        shown = [_own(id_, stored[id_], is_preset=True) if id_ in stored else presets[id_] for id_ in presets]
        own = [_own(id_, persona, is_preset=False) for id_, persona in stored.items() if id_ not in presets]
        return (*shown, *own)

    def get(self, persona_id: str, language: Language) -> Persona:
        """One persona; the first preset for an id that is gone."""
        personas = self.all(language)
        return next((persona for persona in personas if persona.id == persona_id), personas[0])

    def add(self, name: str, system: str, sampling: PartialSampling) -> Persona:
        """Make an own persona."""
        persona_id = f"own-{uuid.uuid4().hex}"
        return self._put(persona_id, name, system, sampling, is_preset=False)

    def change(self, persona: Persona) -> Persona:
        """Keep a persona's name, system text and sampling, of a preset or an own one."""
        return self._put(
            persona.id, persona.name, persona.system, persona.sampling, is_preset=persona.is_preset
        )

    def reset(self, persona_id: str) -> None:
        """Undo all changes of a preset; an own persona is deleted."""
        with self._lock:
            entries = self._entries()
            if entries.pop(persona_id, None) is not None:
                self._file.write({"personas": entries}, whole=("personas",))

    def _put(
        self, persona_id: str, name: str, system: str, sampling: PartialSampling, *, is_preset: bool
    ) -> Persona:
        check_partial(sampling)
        stored = _Stored(valid_text(name).strip(), valid_text(system), sampling)
        with self._lock:
            self._file.write(
                {"personas": {**self._entries(), persona_id: asdict(stored)}}, whole=("personas",)
            )
        return _own(persona_id, stored, is_preset=is_preset)

    def _entries(self) -> dict[str, Any]:
        entries = self._file.content.get("personas")
        return dict(entries) if isinstance(entries, dict) else {}

    def _readable(self) -> dict[str, _Stored]:
        readable = {}
        for persona_id, entry in self._entries().items():
            try:
                stored = _read(persona_id, entry)
                check_partial(stored.sampling)
            except (JsonMismatch, InvalidSampling):
                continue  # kept in the file: a later version may know what it means
            readable[persona_id] = stored
        return readable


@cache
def load_presets(language: Language) -> tuple[Persona, ...]:
    """The presets as the app ships them."""
    entries = parse_json(files("assets").joinpath(PERSONAS_NAME).read_text(encoding="utf-8"))["personas"]
    return tuple(
        Persona(
            id=entry["id"],
            name=entry["name"][language],
            system=entry["system"][language],
            sampling=from_json(PartialSampling, entry["sampling"]),
            is_preset=True,
        )
        for entry in entries
    )


def _read(persona_id: str, entry: Any) -> _Stored:
    """A stored persona. Of one that was changed while it kept all values, those of the preset that were not
    changed are the present ones.
    """
    stored = from_json(_Stored, with_partial_sampling(entry, persona_id))
    preset = next((each for each in load_presets("en") if each.id == persona_id), None)
    if preset is None or not is_complete(entry["sampling"]):
        return stored
    return replace(stored, sampling=replace(preset.sampling, **stored.sampling.said()))


def _own(persona_id: str, stored: _Stored, *, is_preset: bool) -> Persona:
    return Persona(persona_id, stored.name, stored.system, stored.sampling, is_preset, is_changed=is_preset)
