"""belle-convert: the converter at the command line.

Exit codes: 0; 1 after a refusal, with one sentence on stderr; 2 for usage; 130 when interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.errors import ConvertError
from convert.i18n import Catalog, Language, system_language
from convert.i18n.arguments import LocalizedParser, requested_language

if TYPE_CHECKING:
    from convert.terminal import Terminal

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


@cache
def catalog() -> Catalog:
    """The converter's texts."""
    return Catalog("convert.i18n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    language = requested_language(given, system_language())
    parser, commands = _parser(language)
    options = parser.parse_args(given)
    if options.command is None:
        sys.stderr.write(parser.format_help())
        return 2
    # rich and numpy, only once there is something to do
    from convert.terminal import Terminal
    from engine.native.kernels import NativeLibraryMissing

    terminal = Terminal(catalog(), language, as_json=options.json)
    try:
        commands[options.command](options, terminal)
        sys.stdout.flush()
    except KeyboardInterrupt:
        terminal.note(catalog().text("cli.interrupted", language))
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader left; keep the interpreter from failing again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except (ConvertError, NativeLibraryMissing) as error:
        terminal.fail(error)
        return EXIT_FAILED
    except MemoryError:
        terminal.note(catalog().text("cli.out_of_memory", language))
        return EXIT_FAILED
    return 0


def _parser(language: Language) -> tuple[LocalizedParser, dict[str, Callable[[Any, Terminal], None]]]:
    from convert.prompt_choice import REQUESTED_FORMATS
    from convert.recipes import AUTO, TARGETS

    def text(key: str) -> str:
        return catalog().text(key, language)

    parser = LocalizedParser(
        catalog=catalog(), language=language, prog="belle-convert", description=text("cli.description")
    )
    parser.add_language_option()
    commands = parser.add_subparsers(
        dest="command", title=text("cli.commands"), metavar=text("cli.command"), parser_class=LocalizedParser
    )

    def add_command(name: str, key: str) -> LocalizedParser:
        command: LocalizedParser = commands.add_parser(
            name, help=text(key), description=text(key), catalog=catalog(), language=language
        )
        command.add_language_option()
        command.arguments.add_argument("source", metavar="SOURCE", type=Path, help=text("cli.source"))
        return command

    inspect = add_command("inspect", "cli.inspect")
    convert = add_command("to-gguf", "cli.to_gguf")
    convert.arguments.add_argument("output", metavar="OUTPUT", type=Path, help=text("cli.output"))
    convert.options.add_argument(
        "--type",
        choices=(AUTO, *TARGETS),
        default=AUTO,
        metavar="T",
        help=catalog().text("cli.type", language, types=(AUTO, *TARGETS), default=AUTO),
    )
    convert.options.add_argument("--threads", type=_count, metavar="N", help=text("cli.threads"))
    convert.options.add_argument("--force", action="store_true", help=text("cli.force"))
    for command in (inspect, convert):
        command.options.add_argument("--tokenizer", type=Path, metavar="PATH", help=text("cli.tokenizer"))
        command.options.add_argument(
            "--prompt-format", choices=REQUESTED_FORMATS, default="auto", help=text("cli.prompt_format")
        )
        command.options.add_argument("--json", action="store_true", help=text("cli.json"))
    return parser, {"inspect": _inspect, "to-gguf": _to_gguf}


def _count(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError(value)
    return number


def _inspect(options: argparse.Namespace, terminal: Terminal) -> None:
    from convert.detect import open_checkpoint
    from convert.report import inspection

    with open_checkpoint(options.source, options.tokenizer) as checkpoint:
        terminal.show_inspection(inspection(checkpoint, checkpoint.prompt(options.prompt_format)))


def _to_gguf(options: argparse.Namespace, terminal: Terminal) -> None:
    from convert.detect import open_checkpoint
    from convert.pipeline import Converted, convert
    from convert.report import conversion

    with open_checkpoint(options.source, options.tokenizer) as checkpoint:
        prompt = checkpoint.prompt(options.prompt_format)
        plan = checkpoint.plan(options.type, prompt)
        events = convert(plan, options.output, threads=options.threads, force=options.force)
        with terminal.progress() as bar:
            for event in events:
                if isinstance(event, Converted):
                    result = conversion(plan, prompt, event)
                else:
                    bar.update(event)
        terminal.show_conversion(result)


if __name__ == "__main__":
    sys.exit(main())
