"""`chatbelle models remove`: a model, one that is gone, unfinished work, or an entry of the catalog.

Asks before anything is lost, unless that was said already.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from app.commands.model_answers import find_listed, tell
from app.models.finding import open_entries, open_library
from app.models.own_entries import find_entry
from app.models.unfinished import find_unfinished, give_up, own_name
from app.shell import EXIT_FAILED, EXIT_OK, Shell

if TYPE_CHECKING:
    from app.models.job_records import JobRecord
    from engine.models.library import Library
    from engine.models.listing import LocalModel

# Places whose files are not ours alone, and the ends of the keys about them: --yes is no answer there.
_OTHERS = {"hf-cache": "_cached", "in-place": "_in_place"}


def remove_model(options: argparse.Namespace, shell: Shell) -> int:
    """Remove a model, to the trash where there is one; or only from the list, with its file kept.

    Raises ModelNotFound, ModelNotListed and LibraryErrors.
    """
    library = open_library(shell.home)
    found = library.find(options.name)
    records = find_unfinished(options.name, shell.home)
    if len(records) + (found is not None) > 1:
        paths = [*([str(found.path)] if found is not None else []), *map(own_name, records)]
        text = shell.texts.text("models.remove.several", name=options.name, paths=paths)
        shell.terminal.complain(text)
        return EXIT_FAILED
    if records:
        return _give_up(options, shell, records[0])
    if found is None and (_forget(options, library, shell) or _drop_entry(options, shell)):
        return EXIT_OK
    model = found or find_listed(options.name, library, shell)
    if options.keep_file:
        return _keep_file(options, library, shell, model)
    other = _OTHERS.get(model.place, "")
    if other and not options.delete and (options.yes or not _can_ask(options, shell)):
        _complain(shell, f"models.remove.unsaid{other}", model)
        return EXIT_FAILED
    if not options.yes and not _agrees(options, shell, f"models.remove.ask{other}", **_values(model)):
        return EXIT_FAILED
    outcome = library.remove(model, to_trash=not options.delete)
    if outcome == "kept":
        # Deleting for good was not what was agreed to.
        if options.yes or not _agrees(options, shell, "models.remove.ask_delete", **_values(model)):
            _complain(shell, "models.remove.kept", model)
            return EXIT_FAILED
        outcome = library.remove(model, to_trash=False)
    report = {"name": model.name, "outcome": outcome, "size_bytes": model.size_bytes}
    tell(options, shell, f"models.remove.{outcome}", report)
    return EXIT_OK


def _forget(options: argparse.Namespace, library: Library, shell: Shell) -> bool:
    """Forget a model whose file is gone already; nothing is lost by that, so nobody is asked."""
    gone = library.find_missing(options.name)
    if gone is None:
        return False
    library.forget(gone.path)
    report = {"name": gone.name, "outcome": "forgotten", "size_bytes": 0}
    tell(options, shell, "models.remove.forgotten", report)
    return True


def _keep_file(options: argparse.Namespace, library: Library, shell: Shell, model: LocalModel) -> int:
    """Forget a model that was left in its place; its file stays, so nobody is asked."""
    if model.place != "in-place":
        _complain(shell, "models.remove.listed_again", model)
        return EXIT_FAILED
    library.forget(model.path)
    report = {"name": model.name, "outcome": "forgotten", "size_bytes": 0}
    tell(options, shell, "models.remove.file_kept", report, path=model.path)
    return EXIT_OK


def _give_up(options: argparse.Namespace, shell: Shell, record: JobRecord) -> int:
    """Drop a download or an import that is not finished. Raises WorkUnderWay and ModelInUse."""
    if not options.yes and not _agrees(options, shell, "models.remove.ask_unfinished", name=record.title):
        return EXIT_FAILED
    give_up(record, shell.home)
    report = {"name": record.title, "outcome": "given_up", "size_bytes": record.done_bytes}
    tell(options, shell, "models.remove.given_up", report)
    return EXIT_OK


def _drop_entry(options: argparse.Namespace, shell: Shell) -> bool:
    """Take an entry out of the catalog again; models that were got by it stay."""
    entries = open_entries(shell.home)
    entry = find_entry(options.name, entries.all())
    if entry is None or not entries.remove(entry.source):
        return False
    report = {"name": entry.name, "outcome": "dropped", "size_bytes": 0}
    tell(options, shell, "models.remove.dropped", report)
    return True


def _can_ask(options: argparse.Namespace, shell: Shell) -> bool:
    return not options.json and shell.terminal.stdin.isatty()


def _agrees(options: argparse.Namespace, shell: Shell, key: str, **values: Any) -> bool:
    """Ask in a terminal; exits with 2 where nobody can be asked."""
    if not _can_ask(options, shell):
        options.parser.error(shell.texts.text("models.remove.needs_yes"))
    shell.terminal.prompt(f"{shell.texts.text(key, **values)} ")
    return shell.terminal.stdin.readline().strip().casefold() in ("y", "yes", "是", "好")


def _complain(shell: Shell, key: str, model: LocalModel) -> None:
    shell.terminal.complain(shell.texts.text(key, **_values(model)))


def _values(model: LocalModel) -> dict[str, Any]:
    return {"name": model.name, "path": model.path, "size_bytes": model.size_bytes}
