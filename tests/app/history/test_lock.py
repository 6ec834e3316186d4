"""One process owns the history; others are told so, and get it when the owner is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.history.errors import HistoryInUse
from app.history.lock import HistoryLock, Owner, read_owner
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
    assert (folder / "history.lock").read_bytes() == f"{os.getpid()}\n".encode()
    (folder / "history.lock").write_bytes(b"no number")
    with pytest.raises(HistoryInUse) as caught:
        HistoryLock(folder)

    assert caught.value.pid == 0
    lock.release()
    lock.release()


def test_the_file_says_where_its_owner_can_be_reached(folder: Path) -> None:
    folder.mkdir()
    lock = HistoryLock(folder)
    assert read_owner(folder) == Owner(os.getpid(), None, can_be_reached=True)
    lock.announce("http://127.0.0.1:1/secret")
    owner = read_owner(folder)
    assert owner == Owner(os.getpid(), "http://127.0.0.1:1/secret", can_be_reached=True)
    assert "secret" not in repr(owner)
    lock.release()

    HistoryLock(folder).release()
    assert read_owner(folder).address is None  # the next owner is somewhere else
    lock.announce("http://127.0.0.1:2/late")
    assert read_owner(folder).address is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps it in the person's own folder")
def test_only_its_owner_may_read_it_whoever_could_before(folder: Path) -> None:
    folder.mkdir()
    path = folder / "history.lock"
    path.touch()
    path.chmod(0o644)
    lock = HistoryLock(folder)
    assert path.stat().st_mode & 0o777 == 0o600
    lock.release()


@pytest.mark.parametrize(
    ("content", "owner"),
    [
        (b"", Owner(0, None, can_be_reached=True)),  # while it is written
        (b"12", Owner(12)),  # as older versions wrote it, which can't be reached
        (b"12\n", Owner(12, None, can_be_reached=True)),
        (b"12\nhttp://127.0", Owner(12, None, can_be_reached=True)),
        (b"12\nhttp://127.0.0.1:1/x\n", Owner(12, "http://127.0.0.1:1/x", can_be_reached=True)),
        (b"no number\nhttp://127.0.0.1:1/x\n", Owner(0)),
        (b"9" * 5000, Owner(0)),
        (b"\xff\xfe\n\n\n", Owner(0)),
    ],
)
def test_whatever_is_in_the_file_is_read(folder: Path, content: bytes, owner: Owner) -> None:
    folder.mkdir()
    (folder / "history.lock").write_bytes(content)
    assert read_owner(folder) == owner
