"""chatbelle: the program's command line; without a subcommand it opens the app, and takes `gui`'s options.

Exit codes: 0; 1 after a failure, with one sentence on stderr; 2 for usage; when a signal stopped it,
128 and the signal's number: 130 after Ctrl-C.
Anything heavy is imported by the subcommand that needs it, so that help is instant.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from app.arguments import wrap_wide_text
from app.commands import bench, chat, gui, models
from app.crash_report import keep_recent_log, write_report
from app.errors import OutputNotWritable
from app.home import find_home
from app.i18n import EXPECTED_ERRORS, Texts, catalog
from app.models.typed_path import looks_opened
from app.shell import EXIT_FAILED, EXIT_OK, Shell, make_backend
from app.terminal import OutputClosed, abandon_stdout, open_terminal
from convert.i18n import Language, system_language
from convert.i18n.arguments import LocalizedParser, requested_language
from convert.interrupts import exit_code, stopping_on_signals
from engine.backend import Backend
from engine.installation import is_bundled
from engine.native.registry import require_processor
from engine.worker_start import serve_if_worker

_COMMANDS = (gui, chat, models, bench)


def main(arguments: Sequence[str] | None = None, make_backend: Callable[[], Backend] = make_backend) -> int:
    """Run the command line and return the exit code; usage errors raise SystemExit(2) as argparse does."""
    serve_if_worker(sys.argv)
    given = list(sys.argv[1:] if arguments is None else arguments)
    terminal = open_terminal()
    texts = Texts(requested_language(given, system_language()))
    shell = Shell(texts, terminal, find_home(), make_backend)

    def complain(text: str) -> int:
        terminal.complain(text)
        if is_bundled() and not terminal.is_watched and _opens_app(given):
            from app.gui.alert import show_alert

            show_alert("ChatBELLE", text)
        return EXIT_FAILED

    recent_log = keep_recent_log()
    try:
        with stopping_on_signals():
            return _run(given, shell)
    except KeyboardInterrupt as interrupt:
        terminal.note(shell.texts.text("cli.interrupted"))
        return exit_code(interrupt)
    except OutputClosed:
        abandon_stdout()
        return EXIT_OK
    except EXPECTED_ERRORS as error:
        if isinstance(error, OutputNotWritable):
            abandon_stdout()
        return complain(texts.error(error))
    except MemoryError:
        return complain(texts.text("cli.out_of_memory"))
    except Exception as error:
        path = write_report(error, shell.home, recent_log)
        return complain(texts.text("cli.unexpected", kind=type(error).__name__, path=path))


def _run(given: Sequence[str], shell: Shell) -> int:
    parser = _parser(shell.texts.language)
    given = with_command(given)
    options = parser.parse_args(given)
    if options.version:
        shell.terminal.write_raw(f"chatbelle {_version()}\n")
        return EXIT_OK
    if options.command is None:
        options = parser.parse_args([*given, gui.NAME])
    require_processor()
    exit_code: int = options.run(options, shell)
    return exit_code


def _opens_app(given: Sequence[str]) -> bool:
    """Whether no other command is named, as when a person has clicked on an icon or a file."""
    others = {command.NAME for command in _COMMANDS} - {gui.NAME}
    return others.isdisjoint(given)


def with_command(given: Sequence[str]) -> list[str]:
    """The arguments, with `gui` put before its options and its PATHs where no command is named.

    So files and folders that were dropped on the program's icon are opened: they come alone.
    """
    words = list(given)
    if any(command.NAME in words for command in _COMMANDS):
        return words
    own = [index for index, word in enumerate(words) if word.partition("=")[0] in gui.OPTIONS]
    paths = [index for index in range(len(words)) if _is_argument(words, index)]
    if own or (paths and all(looks_opened(words[index]) for index in paths)):
        words.insert(min(own + paths), gui.NAME)
    return words


def _is_argument(words: Sequence[str], index: int) -> bool:
    """Whether the word is neither an option nor the value of one."""
    return not words[index].startswith("-") and (
        index == 0 or words[index - 1] not in ("--lang", *gui.VALUED)
    )


def _parser(language: Language) -> LocalizedParser:
    texts = Texts(language)
    parser = LocalizedParser(
        catalog=catalog(), language=language, prog="chatbelle", description=texts.text("cli.description")
    )
    wrap_wide_text(parser)
    parser.options.add_argument("--version", action="store_true", help=texts.text("cli.version"))
    parser.add_language_option()
    commands = parser.add_subparsers(
        dest="command",
        title=texts.text("cli.commands"),
        metavar=texts.text("cli.command"),
        parser_class=LocalizedParser,
    )
    for command in _COMMANDS:
        command.add_parser(commands, parser)
    return parser


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("chatbelle")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "?"


if __name__ == "__main__":
    sys.exit(main())
