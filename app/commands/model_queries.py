"""The questions of `chatbelle models`: list, search, show, where; and add.

They change nothing but what a person adds: folders, and entries of the catalog.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from app.commands.model_tables import (
    added_table,
    catalog_table,
    details_table,
    hub_table,
    local_table,
    places_table,
    print_table,
)
from app.models.added_folders import folder_problem
from app.models.finding import load_catalog, not_listed, open_entries, open_library
from app.models.own_entries import add_entry, find_entry, search_entries
from app.models.report import (
    catalog_report,
    entry_report,
    listing_report,
    local_report,
    unfinished_report,
)
from app.models.unfinished import list_unfinished
from app.shell import EXIT_FAILED, EXIT_OK, Shell
from engine.models.fetch_errors import FetchError, NetworkForbidden, Offline
from engine.models.machine import look_at_machine
from engine.models.places import find_hf_cache, normal_path
from engine.models.presence import look_at_folder

if TYPE_CHECKING:
    from engine.models.library import Library
    from engine.models.machine import Machine


def list_models(options: argparse.Namespace, shell: Shell) -> int:
    """What is on this disk, or the catalog."""
    if options.catalog:
        return _list_catalog(options, shell)
    library = open_library(shell.home)
    report = listing_report(library.look(), library, look_at_machine(), shell.texts)
    report["unfinished"] = [unfinished_report(record, shell.home) for record in list_unfinished(shell.home)]
    if options.json:
        shell.terminal.write_json(report)
        return EXIT_OK
    if report["models"]:
        print_table(shell.terminal, local_table(shell.texts, report["models"]))
    elif not report["unreadable"]:
        shell.terminal.note(shell.texts.text("models.list.none"))
    for model in report["models"]:
        if model["problem"]:
            shell.terminal.note(f"{model['name']}: {model['problem']}")
        if model["moved_from"]:
            moved = {"name": model["name"], "old": model["moved_from"], "new": model["path"]}
            shell.terminal.note(shell.texts.text("models.list.moved", **moved))
    for gone in report["missing"]:
        shell.terminal.note(shell.texts.text("models.list.missing", name=gone["name"], path=gone["path"]))
    for folder in report["unreadable"]:
        shell.terminal.note(shell.texts.text("models.list.unreadable", folder=folder))
    for record in report["unfinished"]:
        kind = "at_work" if record["is_at_work"] else "download" if record["is_download"] else "import"
        shell.terminal.note(shell.texts.text(f"models.list.unfinished.{kind}", **record))
    if report["free_bytes"] is not None:
        text = shell.texts.text("models.list.free", folder=report["folder"], free_bytes=report["free_bytes"])
        shell.terminal.note(text)
    return EXIT_OK


def _list_catalog(options: argparse.Namespace, shell: Shell) -> int:
    catalog, machine = load_catalog(), look_at_machine()
    models = [catalog_report(model, catalog, machine, shell.texts) for model in catalog.models]
    own = [entry_report(entry) for entry in open_entries(shell.home).all()]
    if options.json:
        shell.terminal.write_json({"catalog": models, "added": own})
    else:
        print_table(shell.terminal, catalog_table(shell.texts, models))
        _print_added(shell, own)
    return EXIT_OK


def search_models(options: argparse.Namespace, shell: Shell) -> int:
    """The catalog, what was added to it, and the hub; without a network the first two."""
    catalog, machine = load_catalog(), look_at_machine()
    models = [catalog_report(model, catalog, machine, shell.texts) for model in catalog.search(options.query)]
    own = [entry_report(entry) for entry in search_entries(options.query, open_entries(shell.home).all())]
    hub = [] if options.offline else _search_hub(options.query, shell)
    if options.json:
        shell.terminal.write_json({"catalog": models, "added": own, "hub": hub})
        return EXIT_OK
    if models:
        print_table(shell.terminal, catalog_table(shell.texts, models))
    _print_added(shell, own)
    if hub:
        print_table(shell.terminal, hub_table(shell.texts, hub))
    if not (models or own or hub):
        shell.terminal.note(shell.texts.text("models.search.none"))
    return EXIT_OK


def _search_hub(query: str, shell: Shell) -> list[dict[str, Any]] | None:
    """None where the hub can't be asked, which is said and is no failure: everything local works."""
    from engine.models.endpoints import find_endpoints
    from engine.models.hub import search

    try:
        found = search(query, find_endpoints())
    except Offline as error:
        shell.terminal.note(shell.texts.text("models.search.unreachable", reason=error.reason))
    except NetworkForbidden:
        shell.terminal.note(shell.texts.text("models.search.forbidden"))
    except FetchError as error:
        shell.terminal.note(shell.texts.error(error))
    else:
        return [
            {"name": result.name, "n_downloads": result.n_downloads, "is_gated": result.is_gated}
            for result in found
        ]
    return None


def show_model(options: argparse.Namespace, shell: Shell) -> int:
    """Everything about one model. Raises ModelNotFound and ModelNotListed."""
    machine = look_at_machine()
    library = open_library(shell.home)
    local = library.find(options.name)
    if local is not None:
        report = local_report(local, machine, shell.texts)
    else:
        report = _show_known(options.name, library, machine, shell)
    if options.json:
        shell.terminal.write_json(report)
    else:
        print_table(shell.terminal, details_table(shell.texts, report))
    return EXIT_OK


def _show_known(name: str, library: Library, machine: Machine, shell: Shell) -> dict[str, Any]:
    """Of the catalog, or of what was added to it."""
    catalog, entries = load_catalog(), open_entries(shell.home).all()
    known = catalog.find(name)
    if known is not None:
        return catalog_report(known, catalog, machine, shell.texts)
    own = find_entry(name, entries)
    if own is not None:
        return entry_report(own)
    ids = [model.id for model in catalog.models]
    raise not_listed(name, shell.home, (*library.paths(), *ids, *(entry.name for entry in entries)))


def add_source(options: argparse.Namespace, shell: Shell) -> int:
    """Add a model to the catalog. Raises EntryInvalid, EntryKnown, RecordsNotSaved, LibraryInUse."""
    shell.home.make()
    report = entry_report(add_entry(options.source, open_entries(shell.home), load_catalog()))
    if options.json:
        shell.terminal.write_json(report)
    else:
        shell.terminal.write_raw(shell.texts.text("models.add.done", **report) + "\n")
    return EXIT_OK


def show_places(options: argparse.Namespace, shell: Shell) -> int:
    """Where models are looked for; adds or drops a folder first."""
    library = open_library(shell.home)
    complaint = _change_folders(options, library, shell)
    if complaint is not None:
        shell.terminal.complain(complaint)
        return EXIT_FAILED
    models, folders, hf_cache = shell.home.models, library.folders, find_hf_cache()
    report = {
        "data": str(shell.home.root),
        "models": str(models),
        "folders": [str(folder) for folder in folders],
        "hf_cache": str(hf_cache),
        "states": {str(folder): look_at_folder(folder) for folder in (models, *folders, hf_cache)},
        "free_bytes": library.free_bytes(),
    }
    if options.json:
        shell.terminal.write_json(report)
    else:
        print_table(shell.terminal, places_table(shell.texts, report))
    return EXIT_OK


def _change_folders(options: argparse.Namespace, library: Library, shell: Shell) -> str | None:
    """Add and drop what was asked for; returns the sentence that says why one can't be."""
    if options.add is not None:
        folder = normal_path(options.add)
        problem = folder_problem(folder, shell.home)
        if problem is not None:
            return shell.texts.text(problem, path=folder, data=shell.home.root)
        library.add_folder(folder)
    if options.drop is not None:
        folder = normal_path(options.drop)
        if folder not in library.folders:
            return shell.texts.text("models.where.not_added", path=folder)
        library.remove_folder(folder)
    return None


def _print_added(shell: Shell, entries: list[dict[str, Any]]) -> None:
    if entries:
        shell.terminal.write_raw(f"\n{shell.texts.text('models.list.added')}\n")
        print_table(shell.terminal, added_table(shell.texts, entries))
