"""Text catalogs in zh-CN and en, and the language of this system.

A catalog is a pair of JSON files in a package: flat keys, values in `str.format` syntax. A value may use the
format `{n:size}` for a number of bytes, `{n:count}` for a number with thousands separators, and
`{path:quoted}` for a word of a command that a person may copy into a shell.
"""

from __future__ import annotations

import json
import locale
import os
import shlex
import string
import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from convert.errors.base import Detail
from convert.i18n.system_reasons import in_chinese
from engine.installation import is_bundled

Language = Literal["zh-CN", "en"]
LANGUAGES: tuple[Language, ...] = ("zh-CN", "en")
_NOTHING: Mapping[str, str] = {}
_UNITS = ("B", "kB", "MB", "GB")


class _Formatter(string.Formatter):
    def __init__(self, joint: str) -> None:
        self._joint = joint

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "size":
            return size_text(int(value), self._joint)
        if format_spec == "quoted":
            return _quoted(str(value))
        if format_spec == "count":
            return f"{int(value):,}"
        if isinstance(value, tuple):
            value = ", ".join(str(item) for item in value)
        return str(super().format_field(value, format_spec))


class Catalog:
    """The texts of one package in both languages; `joint` stands between a number of bytes and its unit.

    instead: keys of words in all texts, and of the words that take their places.
    """

    def __init__(self, package: str, joint: str = " ", instead: Mapping[str, str] = _NOTHING) -> None:
        self._formatter = _Formatter(joint)
        self._texts: dict[Language, Mapping[str, str]] = {
            language: _read(package, language, instead) for language in LANGUAGES
        }

    def keys(self, language: Language) -> frozenset[str]:
        """All keys of one language."""
        return frozenset(self._texts[language])

    def template(self, key: str, language: Language) -> str:
        """The unformatted text."""
        return self._texts[language][key]

    def text(self, key: str, language: Language, /, **values: Any) -> str:
        """The text for `key` with its fields filled in; raises `KeyError` for an unknown key or field.

        A `reason` that the system gave is said in Chinese where the text is, and a `Detail` in its language.
        """
        values = {name: _said(value, language) for name, value in values.items()}
        reason = values.get("reason")
        if language == "zh-CN" and isinstance(reason, str):
            values["reason"] = in_chinese(reason)
        return self._formatter.vformat(self._texts[language][key], (), values)

    def error_text(self, error: Any, language: Language, group: str = "error") -> str:
        """The sentence for a dataclass exception: key `<group>.<ClassName>`, its fields as values.

        In a bundle the group `bundle` comes first: whoever has one can't install packages. Of an error with
        two sizes that people read alike, `exact` has them in bytes.
        """
        values = {field.name: getattr(error, field.name) for field in fields(error)}
        name = type(error).__name__
        key = f"bundle.{name}"
        if not (is_bundled() and key in self._texts[language]):
            key = f"{group}.{name}"
        if f"exact.{name}" in self._texts[language] and _are_alike(values):
            key = f"exact.{name}"
        return self.text(key, language, **values)


def _are_alike(values: Mapping[str, Any]) -> bool:
    """Whether the sizes among an error's fields are within two hundredths of each other."""
    sizes = [int(value) for name, value in values.items() if name.endswith("_bytes")]
    return 50 * (max(sizes) - min(sizes)) < max(sizes)


def _read(package: str, language: Language, instead: Mapping[str, str]) -> Mapping[str, str]:
    text = files(package).joinpath(f"{language}.json").read_text(encoding="utf-8")
    read: dict[str, str] = json.loads(text)
    for word, other in instead.items():
        text = text.replace(read[word], read[other])
    replaced: dict[str, str] = json.loads(text)
    return replaced


@cache
def _details(language: Language) -> Mapping[str, str]:
    return _read(__name__, language, _NOTHING)


def _said(value: Any, language: Language) -> Any:
    """The words for a `Detail`; any other value as it is."""
    if not isinstance(value, Detail):
        return value
    return _Formatter(" ").vformat(_details(language)[f"detail.{value.key}"], (), value.values)


def size_text(size_bytes: int, joint: str = " ") -> str:
    """Bytes as people read them, in decimal units: `4.68 GB`; `joint` stands before the unit."""
    value = float(size_bytes)
    for unit in _UNITS[:-1]:
        if value < 999.5:  # more would be rounded to 1000, which takes the next unit
            return f"{value:.3g}{joint}{unit}"
        value /= 1000
    return f"{value:.2f}{joint}{_UNITS[-1]}"


def share_text(done_bytes: int, total_bytes: int, joint: str = " ") -> str:
    """Bytes of a total, both in its unit and as exact: `0.34 / 4.68 GB`."""
    total, _, unit = size_text(total_bytes, joint).rpartition(joint)
    n_decimals = len(total.partition(".")[2])
    done = done_bytes / 1000 ** _UNITS.index(unit)
    return f"{done:.{n_decimals}f}{joint}/{joint}{total}{joint}{unit}"


def _quoted(word: str) -> str:
    """As the system's usual shell takes it for one word."""
    if sys.platform == "win32":
        import subprocess

        return subprocess.list2cmdline([word])
    return shlex.quote(word)


def system_language() -> Language:
    """zh-CN on a Chinese system, else en; the first of LC_ALL, LC_MESSAGES, LANG decides where set."""
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(variable)
        if value:
            return _language_of(value)
    if sys.platform == "win32":
        import ctypes

        # The user's display language; the low ten bits are the primary language, 4 is Chinese.
        language_id = ctypes.windll.kernel32.GetUserDefaultUILanguage()
        return "zh-CN" if language_id & 0x3FF == 0x04 else "en"
    return _language_of(locale.getlocale()[0] or "")


def _language_of(name: str) -> Language:
    return "zh-CN" if name.lower().startswith(("zh", "chinese")) else "en"
