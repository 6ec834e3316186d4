"""What a person adds to the catalog, under names that tell them apart from it and from one another.

Asks nobody: what is behind an address is found out when it is fetched.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace

from app.errors import EntryKnown
from engine.models.catalog import Catalog
from engine.models.errors import EntryInvalid
from engine.models.user_entries import UserEntries, UserEntry, parse_source


def add_entry(source: str, entries: UserEntries, catalog: Catalog) -> UserEntry:
    """Add what a person typed, and return the entry; of a source that was added before, that one.

    Raises EntryInvalid (also for a path where nothing is), EntryKnown, RecordsNotSaved and LibraryInUse.
    """
    model = catalog.find(source.strip())
    if model is not None and not os.path.exists(source.strip()):
        raise EntryKnown(model.name, model.id)
    entry = parse_source(source)
    if entry.kind == "path" and not os.path.exists(entry.source):
        raise EntryInvalid(source.strip())
    known = entries.all()
    earlier = next((item for item in known if item.source == entry.source), None)
    if earlier is not None:
        return earlier
    entry = replace(entry, name=_free_name(entry.name, known, catalog), added_at=time.time())
    entries.add(entry)
    return entry


def search_entries(query: str, entries: Sequence[UserEntry]) -> tuple[UserEntry, ...]:
    """Entries in whose name and source every word of `query` occurs, as `Catalog.search` takes it."""
    words = query.casefold().split()
    return tuple(
        entry for entry in entries if all(word in f"{entry.name} {entry.source}".casefold() for word in words)
    )


def find_entry(name: str, entries: Sequence[UserEntry]) -> UserEntry | None:
    """The entry of this name or of this source; in names, upper and lower case don't matter."""
    wanted = name.casefold()
    by_name = next((entry for entry in entries if entry.name.casefold() == wanted), None)
    return by_name or next((entry for entry in entries if entry.source == name), None)


def _free_name(name: str, known: Sequence[UserEntry], catalog: Catalog) -> str:
    candidate, number = name, 1
    while catalog.find(candidate) is not None or find_entry(candidate, known) is not None:
        number += 1
        candidate = f"{name}-{number}"
    return candidate
