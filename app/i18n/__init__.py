"""The front ends' texts in zh-CN and en, and sentences for every expected error.

Errors of the engine, the app, its history and its settings are worded here, those of the converter in
`convert.i18n`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from app.errors import AppError, ModelNotFound
from app.history.errors import HistoryError
from app.settings_file import SettingsError
from convert.errors import ConvertError
from convert.i18n import Catalog, Language
from engine.errors import EngineError, NotEnoughMemory

ExpectedError = EngineError | ConvertError | AppError | HistoryError | SettingsError
EXPECTED_ERRORS = (EngineError, ConvertError, AppError, HistoryError, SettingsError)


@cache
def catalog() -> Catalog:
    """The texts of the front ends."""
    return Catalog("app.i18n")


@cache
def _convert_catalog() -> Catalog:
    return Catalog("convert.i18n")


class Texts:
    """All texts in one language."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def text(self, key: str, **values: Any) -> str:
        """The text for `key` with its fields filled in."""
        return catalog().text(key, self.language, **values)

    def error(self, error: ExpectedError) -> str:
        """What went wrong, where, and what to do next, in one or two sentences."""
        if isinstance(error, ConvertError):
            return _convert_catalog().error_text(error, self.language)
        sentence = catalog().error_text(error, self.language)
        if isinstance(error, NotEnoughMemory):
            return f"{sentence} {self._memory_advice(error)}"
        if isinstance(error, ModelNotFound):
            key = "advice.known_names" if error.known else "advice.no_names"
            second = self.text(key, known=error.known)
            return self.text("get.two_sentences", first=sentence, second=second)
        return sentence

    def _memory_advice(self, error: NotEnoughMemory) -> str:
        if error.smaller_context_tokens is None:
            return self.text("advice.memory")
        return self.text("advice.memory_context", context_tokens=error.smaller_context_tokens)


class WindowTexts(Texts):
    """The texts of a window: where the terminal's sentence names a command, another one takes its place."""

    def error(self, error: ExpectedError) -> str:
        """As `Texts.error`; buttons do what command-line options do elsewhere."""
        if isinstance(error, NotEnoughMemory):
            return f"{catalog().error_text(error, self.language)} {self.text('chat.failure.memory')}"
        if f"window.{type(error).__name__}" in catalog().keys(self.language):
            return catalog().error_text(error, self.language, "window")
        return super().error(error)
