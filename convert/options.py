"""The command line of `belle-convert`: its commands and their options, in one language."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from convert.i18n import Catalog, Language
from convert.i18n.arguments import LocalizedParser, typed_path
from convert.prompt_choice import REQUESTED_FORMATS
from convert.recipes import AUTO, DEFAULT_TARGET, TARGETS

if TYPE_CHECKING:
    from convert.sources.lora import LoraChoice


class Options:
    """Builds the parser; `parser` is the result, `command` names the chosen one in what it parses."""

    def __init__(self, catalog: Catalog, language: Language) -> None:
        self._catalog = catalog
        self._language = language
        self.parser = LocalizedParser(
            catalog=catalog,
            language=language,
            prog="belle-convert",
            description=self._text("cli.description"),
        )
        self.parser.add_language_option()
        self._commands = self.parser.add_subparsers(
            dest="command",
            title=self._text("cli.commands"),
            metavar=self._text("cli.command"),
            parser_class=LocalizedParser,
        )
        self._add_inspect()
        self._add_to_gguf()
        self._add_decrypt()

    def _text(self, key: str, /, **values: object) -> str:
        return self._catalog.text(key, self._language, **values)

    def _add_command(self, name: str, key: str, source_key: str) -> LocalizedParser:
        command: LocalizedParser = self._commands.add_parser(
            name,
            help=self._text(key),
            description=self._text(key),
            catalog=self._catalog,
            language=self._language,
        )
        command.add_language_option()
        command.options.add_argument("--json", action="store_true", help=self._text("cli.json"))
        command.arguments.add_argument(
            "source", metavar="SOURCE", type=typed_path, help=self._text(source_key)
        )
        return command

    def _add_inspect(self) -> None:
        self._add_checkpoint_options(self._add_command("inspect", "cli.inspect", "cli.source"))

    def _add_to_gguf(self) -> None:
        command = self._add_command("to-gguf", "cli.to_gguf", "cli.source")
        command.arguments.add_argument(
            "output", metavar="OUTPUT", type=typed_path, help=self._text("cli.output")
        )
        types = (AUTO, *TARGETS)
        command.options.add_argument(
            "--type",
            choices=types,
            default=AUTO,
            metavar="T",
            help=self._text("cli.type", types=types, default=AUTO, fallback=DEFAULT_TARGET),
        )
        self._add_checkpoint_options(command)
        command.options.add_argument("--threads", type=_count, metavar="N", help=self._text("cli.threads"))
        command.options.add_argument("--force", action="store_true", help=self._text("cli.force"))

    def _add_checkpoint_options(self, command: LocalizedParser) -> None:
        add = command.options.add_argument
        add("--tokenizer", type=typed_path, metavar="PATH", help=self._text("cli.tokenizer"))
        add("--file", metavar="NAME", help=self._text("cli.file"))
        add(
            "--lora",
            type=_adapter,
            action="append",
            metavar="DIR[:SCALE]",
            help=self._text("cli.lora"),
        )
        add("--key", type=typed_path, metavar="FILE", help=self._text("cli.key"))
        add(
            "--prompt-format",
            choices=REQUESTED_FORMATS,
            default="auto",
            help=self._text("cli.prompt_format"),
        )

    def _add_decrypt(self) -> None:
        command = self._add_command("decrypt", "cli.decrypt", "cli.decrypt_source")
        command.arguments.add_argument(
            "key", metavar="KEY", type=typed_path, help=self._text("cli.decrypt_key")
        )
        command.arguments.add_argument(
            "output", metavar="OUTPUT_DIR", type=typed_path, help=self._text("cli.output_folder")
        )
        command.options.add_argument("--check-key", action="store_true", help=self._text("cli.check_key"))
        command.options.add_argument("--force", action="store_true", help=self._text("cli.decrypt_force"))


def _adapter(value: str) -> LoraChoice:
    # Readers of checkpoints need numpy, which --help does without.
    from convert.sources.lora import LoraChoice

    return LoraChoice.parse(os.path.expanduser(value))


def _count(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError(value)
    return number
