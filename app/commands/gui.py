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
    from app.gui.view import choose_view, look_around
    from app.main import open_app

    choice = choose_view(options.web, options.no_browser, look_around())
    app = open_app(shell.home, shell.texts, options.path.absolute() if options.path else None)
    if choice.suggests_client:
        shell.terminal.note(shell.texts.text("gui.suggest_client"))

    def say_address(address: str) -> None:
        shell.terminal.note(shell.texts.text("gui.serving"))
        shell.terminal.write_raw(f"{address}\n")

    launch(app, choice, options.port, say_address)
    return EXIT_OK
