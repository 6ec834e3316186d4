"""`chatbelle gui`, also what `chatbelle` alone means: the app, in a window or in the browser."""

from __future__ import annotations

import argparse
import webbrowser

from app.arguments import add_command, port
from app.models.typed_path import opened_path
from app.shell import EXIT_OK, Shell
from convert.i18n.arguments import LocalizedParser

NAME = "gui"
OPTIONS = ("--web", "--port", "--no-browser")
"""What it takes, also without its name."""
VALUED = ("--port",)
"""Those that are followed by a value."""


def add_parser(commands: argparse._SubParsersAction[LocalizedParser], parent: LocalizedParser) -> None:
    """Describe the subcommand."""
    parser = add_command(commands, parent, NAME)
    parser.arguments.add_argument(
        "paths", nargs="*", metavar="PATH", type=opened_path, help=parser.text("gui.path")
    )
    add = parser.options.add_argument
    web, port_option, no_browser = OPTIONS
    add(web, action="store_true", help=parser.text("gui.web"))
    add(port_option, metavar="N", type=port, default=0, help=parser.text("gui.port"))
    add(no_browser, action="store_true", help=parser.text("gui.no_browser"))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, shell: Shell) -> int:
    """Open the app and return when it is closed, or let the one that runs already show itself.

    Raises AppError and HistoryError.
    """
    from app.gui.control import Opening
    from app.gui.instance import Running, activation_token, claim
    from app.gui.view import choose_view, has_display

    # Also where this start would have made a window: the one that runs may have none.
    opens_page = has_display() and not options.no_browser
    opening = Opening(tuple(options.paths), opens_page, activation_token())
    home = shell.home
    found = claim(home.make(home.history), opening)
    if isinstance(found, Running):
        _show_running(found.address, opens_page, shell)
        return EXIT_OK
    from app.gui.launch import launch  # only now: it takes a second, which a later start need not wait
    from app.main import open_app

    choice = choose_view(options.web, options.no_browser)
    lack = None if choice.lack is None else shell.texts.text(f"gui.lacks_{choice.lack}")
    app = open_app(
        home,
        shell.texts,
        found,
        in_window=choice.open_window is not None,
        # Who started it by its icon has no terminal: only the page can say it.
        notice=None if shell.terminal.is_watched else lack,
    )
    app.open_paths(options.paths)
    if lack is not None:
        shell.terminal.note(lack)

    def say_address(address: str) -> None:
        shell.terminal.note(shell.texts.text("gui.serving"))
        shell.terminal.write_raw(f"{address}\n")

    launch(app, choice, options.port, say_address)
    return EXIT_OK


def _show_running(address: str | None, opens_browser: bool, shell: Shell) -> None:
    """Say where it is to be seen: in its window (no address), or in the browser."""
    if address is None:
        shell.terminal.note(shell.texts.text("gui.running_window"))
        return
    shell.terminal.note(shell.texts.text("gui.running"))
    shell.terminal.write_raw(f"{address}\n")
    if opens_browser:
        webbrowser.open(address)
