"""The front ends' texts in zh-CN and en, and sentences for every expected error.

Errors of the engine, the app, its history and its settings are worded here, most of the converter's in
`convert.i18n`; and so are its notes.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from app.errors import AppError, ModelNotFound
from app.history.errors import HistoryError
from app.settings_file import SettingsError
from convert.errors import ConvertError
from convert.i18n import Catalog, Language, size_text
from convert.notes import Note
from engine.errors import EngineError, NotEnoughMemory
from engine.installation import is_phone

ExpectedError = EngineError | ConvertError | AppError | HistoryError | SettingsError
EXPECTED_ERRORS = (EngineError, ConvertError, AppError, HistoryError, SettingsError)


# What a phone is not called by those who hold it.
_ON_PHONES = {
    "device.own_computer": "device.phone",
    "device.this_computer": "device.phone",
    "device.this_machine": "device.phone",
}
_NO_BREAK_SPACE = "\u00a0"


@cache
def catalog(joint: str = " ") -> Catalog:
    """The texts of the front ends; `joint` stands between a number of bytes and its unit."""
    return Catalog("app.i18n", joint, _ON_PHONES if is_phone() else {})


@cache
def _convert_catalog(joint: str) -> Catalog:
    return Catalog("convert.i18n", joint)


def window_size(size_bytes: int) -> str:
    """`convert.i18n.size_text` for windows, which never put the unit on a line of its own."""
    return size_text(size_bytes, _NO_BREAK_SPACE)


class Texts:
    """All texts in one language."""

    joint = " "  # what a terminal shows is copied, searched and piped

    def __init__(self, language: Language) -> None:
        self.language = language

    def text(self, key: str, **values: Any) -> str:
        """The text for `key` with its fields filled in."""
        return catalog(self.joint).text(key, self.language, **values)

    def error(self, error: ExpectedError) -> str:
        """What went wrong, where, and what to do next, in one or two sentences."""
        # What the converter says may name an option that only its own command line has.
        is_own = f"error.{type(error).__name__}" in catalog().keys(self.language)
        if isinstance(error, ConvertError) and not is_own:
            return _convert_catalog(self.joint).error_text(error, self.language)
        sentence = catalog(self.joint).error_text(error, self.language)
        if isinstance(error, NotEnoughMemory):
            return f"{sentence} {self._memory_advice(error)}"
        if isinstance(error, ModelNotFound):
            key = "advice.known_names" if error.known else "advice.no_names"
            second = self.text(key, known=error.known)
            return self.text("get.two_sentences", first=sentence, second=second)
        return sentence

    def note(self, note: Note) -> str:
        """What a person should know of a checkpoint, in a sentence or two."""
        key = f"note.{note.key}"
        is_own = key in catalog().keys(self.language)
        texts = catalog(self.joint) if is_own else _convert_catalog(self.joint)
        return texts.text(key, self.language, **note.values)

    def _memory_advice(self, error: NotEnoughMemory) -> str:
        if error.smaller_context_tokens is None:
            return self.text("advice.memory")
        return self.text("advice.memory_context", context_tokens=error.smaller_context_tokens)


class WindowTexts(Texts):
    """The texts of a window: where the terminal's sentence names a command, another one takes its place."""

    joint = _NO_BREAK_SPACE

    def error(self, error: ExpectedError) -> str:
        """As `Texts.error`; buttons do what command-line options do elsewhere."""
        if isinstance(error, NotEnoughMemory):
            sentence = catalog(self.joint).error_text(error, self.language)
            return f"{sentence} {self.text('chat.failure.memory')}"
        if f"window.{type(error).__name__}" in catalog().keys(self.language):
            return catalog(self.joint).error_text(error, self.language, "window")
        return super().error(error)
