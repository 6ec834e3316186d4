"""What is left of work that came to no end: named by people, shown in a list, and given up.

It goes on when the same is asked for again. Knows no queue and no screen.
"""

from __future__ import annotations

from pathlib import Path

from app.errors import WorkUnderWay
from app.home import Home
from app.models.errands import Get, Verify, discard_unfinished
from app.models.finding import open_library
from app.models.job_records import JobRecord, is_record_held, read_records, remove_record
from engine.models.places import strip_suffix


def list_unfinished(home: Home) -> tuple[JobRecord, ...]:
    """Work whose result is not there, oldest first; a verification makes none."""
    found = [record for record in read_records(home.jobs) if not isinstance(record.errand, Verify)]
    return tuple(sorted(found, key=lambda record: record.created_s))


def find_unfinished(name: str, home: Home) -> tuple[JobRecord, ...]:
    """All of this title, of what they get, or of the file that they make; case doesn't matter."""
    wanted = name.casefold()
    return tuple(each for each in list_unfinished(home) if wanted in map(str.casefold, _names(each)))


def own_name(record: JobRecord) -> str:
    """What no other work is called."""
    return record.output or record.id


def is_at_work(record: JobRecord, home: Home) -> bool:
    """Whether a process is at it, or is going to be."""
    return is_record_held(home.jobs, record.id)


def give_up(record: JobRecord, home: Home) -> None:
    """Remove all that was done, and the record. Raises WorkUnderWay and ModelInUse."""
    if is_at_work(record, home):
        raise WorkUnderWay(record.title)
    is_alone = all(other.output != record.output for other in read_records(home.jobs) if other != record)
    if record.output and is_alone:
        output = Path(record.output)
        with open_library(home).held(output):  # as a conversion does
            discard_unfinished(record.errand, output)
    remove_record(home.jobs, record.id)


def _names(record: JobRecord) -> list[str]:
    output = Path(record.output).name
    names = [own_name(record), record.title, output, strip_suffix(output)]
    if isinstance(record.errand, Get):
        names += [record.errand.source, record.errand.catalog_id or ""]
    return [name for name in names if name]
