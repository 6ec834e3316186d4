"""`chatbelle gui`, also what `chatbelle` alone means: the app, in a window or in the browser."""

from __future__ import annotations

import argparse

from app.arguments import add_command, port
from app.shell import EXIT_OK, Shell
from convert.i18n.arguments import LocalizedParser, typed_path

NAME = "gui"
OPTIONS = ("--web", "--port", "--no-browser")
"""What it takes, also without its name."""


def add_parser(commands: argparse._SubParsersAction[LocalizedParser], parent: LocalizedParser) -> None:
    """Describe the subcommand."""
    parser = add_command(commands, parent, NAME)
    parser.arguments.add_argument(
        "path", nargs="?", metavar="PATH", type=typed_path, help=parser.text("gui.path")
    )
    add = parser.options.add_argument
    web, port_option, no_browser = OPTIONS
    add(web, action="store_true", help=parser.text("gui.web"))
    add(port_option, metavar="N", type=port, default=0, help=parser.text("gui.port"))
    add(no_browser, action="store_true", help=parser.text("gui.no_browser"))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, shell: Shell) -> int:
    """Open the app and return when it is closed. Raises AppError and HistoryError."""
    from app.gui.launch import launch
    from app.gui.view import Lack, choose_view
    from app.main import open_app

    choice = choose_view(options.web, options.no_browser)
    lack = None if choice.lack is None else shell.texts.text(f"gui.lacks_{choice.lack}")
    app = open_app(
        shell.home,
        shell.texts,
        options.path.absolute() if options.path else None,
        in_window=choice.open_window is not None,
        # Where nobody starts programs in a terminal, only the page can say it.
        notice=lack if choice.lack in (Lack.WEBVIEW, Lack.WEBVIEW2) else None,
    )
    if lack is not None:
        shell.terminal.note(lack)

    def say_address(address: str) -> None:
        shell.terminal.note(shell.texts.text("gui.serving"))
        shell.terminal.write_raw(f"{address}\n")

    launch(app, choice, options.port, say_address)
    return EXIT_OK
