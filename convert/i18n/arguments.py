"""argparse in zh-CN and en: headings, the help option, the usual errors; and paths as they are typed.

Texts come from a `Catalog` under `arguments.*`; errors that are not listed here stay in English.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from convert.i18n import LANGUAGES, Catalog, Language

# argparse words its errors itself; these are the ones a person meets.
_ERRORS = (
    (re.compile(r"the following arguments are required: (?P<names>.+)"), "arguments.required"),
    (re.compile(r"unrecognized arguments: (?P<names>.+)"), "arguments.unrecognized"),
    (re.compile(r"argument (?P<name>.+?): expected one argument"), "arguments.expected_one"),
    (
        re.compile(
            r"argument (?P<name>.+?): invalid choice: '?(?P<value>.+?)'? \(choose from (?P<choices>.+)\)"
        ),
        "arguments.invalid_choice",
    ),
    (re.compile(r"argument (?P<name>.+?): invalid \w+ value: ''"), "arguments.empty"),
    (re.compile(r"argument (?P<name>.+?): invalid \w+ value: '(?P<value>.*)'"), "arguments.invalid_value"),
    (re.compile(r"argument (?P<name>.+?): ignored explicit argument '(?P<value>.*)'"), "arguments.no_value"),
    (re.compile(r"argument (?P<name>.+?): not allowed with argument (?P<other>.+)"), "arguments.not_with"),
    (re.compile(r"ambiguous option: (?P<name>.+?) could match (?P<choices>.+)"), "arguments.ambiguous"),
)


class LocalizedParser(argparse.ArgumentParser):
    """An `ArgumentParser` that speaks the given language; usage errors exit with 2 as argparse's do."""

    def __init__(self, *, catalog: Catalog, language: Language, **options: Any) -> None:
        self.catalog = catalog
        self.language = language
        super().__init__(add_help=False, formatter_class=_formatter(self.text("arguments.usage")), **options)
        self.arguments = self.add_argument_group(self.text("arguments.positional"))
        self.options = self.add_argument_group(self.text("arguments.options"))
        self.options.add_argument("-h", "--help", action="help", help=self.text("arguments.help"))

    def text(self, key: str, /, **values: Any) -> str:
        """A text of the catalog in this parser's language."""
        return self.catalog.text(key, self.language, **values)

    def add_language_option(self) -> None:
        """`--lang`; its value is read by `requested_language` before the parser exists."""
        self.options.add_argument("--lang", choices=LANGUAGES, help=self.text("arguments.lang"))

    def error(self, message: str) -> NoReturn:
        for pattern, key in _ERRORS:
            match = pattern.fullmatch(message)
            if match:
                message = self.text(key, **match.groupdict())
                break
        self.exit(2, f"{self.format_usage()}{self.prog}: {message}\n")


def typed_path(value: str) -> Path:
    """A path whose home folder's tilde the shell left in place, as in `--key=~/a`; that of nobody stays.

    No text is none: an unset variable of a script must not mean the current folder. Raises ValueError.
    """
    if not value:
        raise ValueError
    return Path(os.path.expanduser(value))


def requested_language(arguments: Iterable[str], default: Language) -> Language:
    """The language a `--lang` among the arguments asks for, else `default`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--lang", choices=LANGUAGES)
    try:
        known, _ = parser.parse_known_args(list(arguments))
    except argparse.ArgumentError:
        return default
    language: Language | None = known.lang
    return language or default


def _formatter(usage_prefix: str) -> type[argparse.HelpFormatter]:
    class Formatter(argparse.HelpFormatter):
        def add_usage(
            self,
            usage: str | None,
            actions: Iterable[argparse.Action],
            groups: Iterable[Any],
            prefix: str | None = None,
        ) -> None:
            super().add_usage(usage, actions, groups, usage_prefix if prefix is None else prefix)

        def format_help(self) -> str:
            # argparse puts a half-width colon after the headings.
            text = super().format_help()
            return re.sub(r"^(\w+):$", r"\1：", text, flags=re.M) if usage_prefix.endswith("：") else text

    return Formatter
