"""One process owns the history; others are told so, and get it when the owner is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.history.errors import HistoryInUse
from app.history.lock import HistoryLock
from app.history.store import HistoryStore

ROOT = Path(__file__).resolve().parents[3]
HOLDER = """
import sys
from pathlib import Path
from app.history.store import HistoryStore
with HistoryStore.open(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.readline()
"""
ASKER = """
import sys
from pathlib import Path
from app.history.errors import HistoryInUse
from app.history.store import HistoryStore
try:
    HistoryStore.open(Path(sys.argv[1]))
except HistoryInUse as error:
    print(error.pid)
"""


def _start(script: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_second_process_is_refused_and_told_who_is_first(history: HistoryStore, folder: Path) -> None:
    output, _ = _start(ASKER, folder).communicate()

    assert output == f"{os.getpid()}\n"


def test_the_lock_ends_with_its_process(folder: Path) -> None:
    holder = _start(HOLDER, folder)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    with pytest.raises(HistoryInUse) as caught:
        HistoryStore.open(folder)
    assert (caught.value.path, caught.value.pid) == (folder, holder.pid)

    holder.kill()
    holder.communicate()
    HistoryStore.open(folder).close()


def test_a_second_opening_in_one_process_is_refused_too(history: HistoryStore, folder: Path) -> None:
    with pytest.raises(HistoryInUse):
        HistoryStore.open(folder)
    history.close()
    HistoryStore.open(folder).close()


def test_a_lock_file_of_any_content_is_only_a_file(folder: Path) -> None:
    folder.mkdir()
    (folder / "history.lock").write_bytes("锁\xff".encode() * 50)
    lock = HistoryLock(folder)
    assert (folder / "history.lock").read_bytes() == str(os.getpid()).encode()
    (folder / "history.lock").write_bytes(b"no number")
    with pytest.raises(HistoryInUse) as caught:
        HistoryLock(folder)

    assert caught.value.pid == 0
    lock.release()
    lock.release()
