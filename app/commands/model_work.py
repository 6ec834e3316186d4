"""The long work of `chatbelle models`: download, import, verify, remove, with progress on stderr."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import TYPE_CHECKING, Any

from app.commands.work_progress import TerminalProgress
from app.errors import NotForGguf, TypeNotOffered
from app.models.finding import load_catalog, not_listed, open_entries, open_library
from app.models.own_entries import find_entry
from app.shell import EXIT_FAILED, EXIT_OK, Shell

if TYPE_CHECKING:
    from app.models.errands import Work
    from app.models.progress import WorkDone
    from engine.models.library import Library
    from engine.models.listing import LocalModel

# Places whose files are not ours alone, and the ends of the keys about them: --yes is no answer there.
_OTHERS = {"hf-cache": "_cached", "in-place": "_in_place"}


def download_model(options: argparse.Namespace, shell: Shell) -> int:
    """Get a model of the catalog, the hub or an address; convert it where it must be."""
    from app.models.errands import carry_out
    from app.models.wishes import find_get
    from engine.models.endpoints import find_endpoints

    try:
        errand = find_get(
            options.name,
            load_catalog(),
            open_entries(shell.home).all(),
            target=options.type,
            key=options.key,
            tokenizer=options.tokenizer,
        )
    except NotForGguf as error:
        options.parser.error(shell.texts.error(error))
    except TypeNotOffered as error:
        _refuse_type(options, shell, error.known)
    done = _run(carry_out(errand, shell.home, find_endpoints()), shell)
    report = {"path": str(done.path), "sha256": done.sha256, "is_converted": done.is_converted}
    _tell(options, shell, "models.download.done", report)
    return EXIT_OK


def import_from_disk(options: argparse.Namespace, shell: Shell) -> int:
    """Add a GGUF, or convert another checkpoint."""
    from app.models.importing import ImportWish, import_model
    from convert.recipes import AUTO

    _check_options(options, shell)
    wish = ImportWish(
        path=options.path,
        how=options.how,
        target=options.type or AUTO,
        key=options.key,
        tokenizer=options.tokenizer,
    )
    shell.home.make(shell.home.models)
    done = _run(import_model(wish, open_library(shell.home)), shell)
    report = {
        "path": str(done.path),
        "size_bytes": done.size_bytes,
        "sha256": done.sha256,
        "is_converted": done.is_converted,
    }
    _tell(options, shell, "models.import.done", report)
    return EXIT_OK


def verify_model(options: argparse.Namespace, shell: Shell) -> int:
    """Compute the hash and compare.

    Raises ModelNotFound, ModelNotListed, ModelChanged, and what a damaged file raises.
    """
    from app.models.errands import Verify, carry_out
    from engine.models.endpoints import Endpoints

    model = _find(options.name, open_library(shell.home), shell)
    done = _run(carry_out(Verify(model.path), shell.home, Endpoints(())), shell)
    report = {"name": model.name, "sha256": done.sha256, "is_confirmed": done.is_confirmed}
    key = "models.verify.confirmed" if done.is_confirmed else "models.verify.new"
    _tell(options, shell, key, report)
    return EXIT_OK


def remove_model(options: argparse.Namespace, shell: Shell) -> int:
    """Remove a model, to the trash where there is one; or only from the list, with its file kept.

    Raises ModelNotFound, ModelNotListed and LibraryErrors.
    """
    library = open_library(shell.home)
    if library.find(options.name) is None and (
        _forget(options, library, shell) or _drop_entry(options, shell)
    ):
        return EXIT_OK
    model = _find(options.name, library, shell)
    if options.keep_file:
        return _keep_file(options, library, shell, model)
    other = _OTHERS.get(model.place, "")
    if other and not options.delete and (options.yes or not _can_ask(options, shell)):
        _complain(shell, f"models.remove.unsaid{other}", model)
        return EXIT_FAILED
    if not options.yes and not _agrees(options, shell, f"models.remove.ask{other}", model):
        return EXIT_FAILED
    outcome = library.remove(model, to_trash=not options.delete)
    if outcome == "kept":
        # Deleting for good was not what was agreed to.
        if options.yes or not _agrees(options, shell, "models.remove.ask_delete", model):
            _complain(shell, "models.remove.kept", model)
            return EXIT_FAILED
        outcome = library.remove(model, to_trash=False)
    report = {"name": model.name, "outcome": outcome, "size_bytes": model.size_bytes}
    _tell(options, shell, f"models.remove.{outcome}", report)
    return EXIT_OK


def _run(work: Work, shell: Shell) -> WorkDone:
    """Carry it out to its end."""
    from app.models.progress import WorkDone

    with closing(work), TerminalProgress(shell) as progress:
        for event in work:
            if isinstance(event, WorkDone):
                return event
            progress.update(event)
    raise KeyboardInterrupt  # work that just ends was cancelled


def _forget(options: argparse.Namespace, library: Library, shell: Shell) -> bool:
    """Forget a model whose file is gone already; nothing is lost by that, so nobody is asked."""
    gone = library.find_missing(options.name)
    if gone is None:
        return False
    library.forget(gone.path)
    report = {"name": gone.name, "outcome": "forgotten", "size_bytes": 0}
    _tell(options, shell, "models.remove.forgotten", report)
    return True


def _keep_file(options: argparse.Namespace, library: Library, shell: Shell, model: LocalModel) -> int:
    """Forget a model that was left in its place; its file stays, so nobody is asked."""
    if model.place != "in-place":
        _complain(shell, "models.remove.listed_again", model)
        return EXIT_FAILED
    library.forget(model.path)
    report = {"name": model.name, "outcome": "forgotten", "size_bytes": 0}
    _tell(options, shell, "models.remove.file_kept", report, path=model.path)
    return EXIT_OK


def _drop_entry(options: argparse.Namespace, shell: Shell) -> bool:
    """Take an entry out of the catalog again; models that were got by it stay."""
    entries = open_entries(shell.home)
    entry = find_entry(options.name, entries.all())
    if entry is None or not entries.remove(entry.source):
        return False
    report = {"name": entry.name, "outcome": "dropped", "size_bytes": 0}
    _tell(options, shell, "models.remove.dropped", report)
    return True


def _can_ask(options: argparse.Namespace, shell: Shell) -> bool:
    return not options.json and shell.terminal.stdin.isatty()


def _agrees(options: argparse.Namespace, shell: Shell, key: str, model: LocalModel) -> bool:
    """Ask in a terminal; exits with 2 where nobody can be asked."""
    if not _can_ask(options, shell):
        options.parser.error(shell.texts.text("models.remove.needs_yes"))
    question = shell.texts.text(key, name=model.name, path=model.path, size_bytes=model.size_bytes)
    shell.terminal.prompt(f"{question} ")
    return shell.terminal.stdin.readline().strip().casefold() in ("y", "yes", "是", "好")


def _complain(shell: Shell, key: str, model: LocalModel) -> None:
    shell.terminal.complain(shell.texts.text(key, name=model.name, path=model.path))


def _find(name: str, library: Library, shell: Shell) -> LocalModel:
    model = library.find(name)
    if model is None:
        raise not_listed(name, shell.home, library.paths())
    return model


def _check_options(options: argparse.Namespace, shell: Shell) -> None:
    """Exits with 2 where there is no such type, or no source that all options are for."""
    from convert.recipes import AUTO, TARGETS

    if options.type not in (None, AUTO, *TARGETS):
        _refuse_type(options, shell, (AUTO, *TARGETS))
    given = [name for name in ("type", "key", "tokenizer") if getattr(options, name) not in (None, AUTO)]
    if options.how != "copy" and given:
        values = {"name": f"--{given[0]}", "other": f"--{options.how}"}
        options.parser.error(shell.texts.text("arguments.not_with", **values))


def _refuse_type(options: argparse.Namespace, shell: Shell, known: tuple[str, ...]) -> None:
    """Exits with 2."""
    values = {"name": "--type", "value": options.type, "choices": ", ".join(known)}
    options.parser.error(shell.texts.text("arguments.invalid_choice", **values))


def _tell(options: argparse.Namespace, shell: Shell, key: str, report: dict[str, Any], **values: Any) -> None:
    """The report as JSON, or in words, which may use more `values`."""
    if options.json:
        shell.terminal.write_json(report)
    else:
        shell.terminal.write_raw(shell.texts.text(key, **report, **values) + "\n")
