"""`chatbelle get-window`: fetch the program that shows a native window, once, because it was asked for."""

from __future__ import annotations

import argparse

from app.arguments import add_command
from app.shell import EXIT_OK, Shell
from convert.i18n import size_text
from convert.i18n.arguments import LocalizedParser

NAME = "get-window"
_STEP_PERCENT = 10


def add_parser(commands: argparse._SubParsersAction[LocalizedParser], parent: LocalizedParser) -> None:
    """Describe the subcommand."""
    parser = add_command(commands, parent, NAME)
    parser.set_defaults(run=run)


def run(_options: argparse.Namespace, shell: Shell) -> int:
    """Fetch the client unless it is here. Raises ClientNotFetched."""
    from app.gui.client import client_url, fetch_client
    from app.gui.view import has_client

    if has_client():
        shell.terminal.note(shell.texts.text("get-window.present"))
        return EXIT_OK
    shell.terminal.note(shell.texts.text("get-window.fetching", url=client_url()))
    folder = fetch_client(_Progress(shell))
    shell.terminal.note(shell.texts.text("get-window.done", folder=folder))
    return EXIT_OK


class _Progress:
    """A line every ten percent, which reads well in a log too."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._next_percent = _STEP_PERCENT

    def __call__(self, done_bytes: int, total_bytes: int | None) -> None:
        if not total_bytes or done_bytes * 100 < self._next_percent * total_bytes:
            return
        percent = done_bytes * 100 // total_bytes
        self._next_percent = (percent // _STEP_PERCENT + 1) * _STEP_PERCENT
        sizes = f"{size_text(done_bytes)} / {size_text(total_bytes)}"
        self._shell.terminal.note(f"{percent:3}%  {sizes}")
