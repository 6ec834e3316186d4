"""`chatbelle kit`: the program, a model and instructions in one folder, for machines without a network."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import TYPE_CHECKING

from app.arguments import add_command
from app.models.finding import DEMO_NAME, find_model, open_library
from app.settings import read_settings
from app.shell import EXIT_OK, Shell
from convert.i18n.arguments import LocalizedParser, typed_path

if TYPE_CHECKING:
    from app.kit.writing import KitDone, PackedModel

NAME = "kit"


def add_parser(commands: argparse._SubParsersAction[LocalizedParser], parent: LocalizedParser) -> None:
    """Describe the subcommand."""
    parser = add_command(commands, parent, NAME)
    parser.arguments.add_argument("folder", metavar="FOLDER", type=typed_path, help=parser.text("kit.folder"))
    parser.options.add_argument("--model", metavar="NAME_OR_PATH", help=parser.text("kit.model"))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, shell: Shell) -> int:
    """Make the kit. Raises KitErrors, ModelNotFound, ModelIsFolder and EngineErrors."""
    from app.commands.work_progress import TerminalProgress
    from app.kit.writing import KitDone, make_kit

    model = _choose_model(options.model, shell)
    name = shell.texts.text("demo.name") if model is None else model.name
    shell.terminal.note(shell.texts.text("kit.making", name=name))
    done: KitDone | None = None
    with closing(make_kit(options.folder, model)) as work, TerminalProgress(shell) as progress:
        try:
            for event in work:
                if isinstance(event, KitDone):
                    done = event
                else:
                    progress.update(event)
        except KeyboardInterrupt:
            shell.terminal.note(shell.texts.text("kit.left", path=options.folder))
            raise
    if done is not None:
        key = "kit.done_demo" if model is None else "kit.done"
        shell.terminal.note(shell.texts.text(key, page=done.page.name, system=done.kit.system))
        shell.terminal.write_raw(f"{done.folder}\n")
    return EXIT_OK


def _choose_model(name: str | None, shell: Shell) -> PackedModel | None:
    """The model that `--model` names, else the one used last; None is the built-in one."""
    from app.chat.choices import find_key
    from app.kit.writing import PackedModel
    from engine.models.places import find_parts

    listing = open_library(shell.home).look()
    if name is not None and name.casefold() == DEMO_NAME:
        return None
    if name is None:
        used = [model for model in listing.models if model.used_at is not None and model.problem is None]
        if not used:
            return None
        path = max(used, key=lambda model: model.used_at or 0.0).path
    else:
        path = find_model(name, shell.home).absolute()
    known, found = listing.at(path), find_parts(path)
    chosen = read_settings(shell.home.root).prompt_format_of(find_key(path, shell.home))
    return PackedModel(
        found=found,
        name=found.name,
        license=known.license if known is not None else None,
        prompt_format=chosen if isinstance(chosen, str) else None,
        expected_sha256=known.expected_sha256 if known is not None else None,
    )
