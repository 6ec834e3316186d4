"""What an unfinished download says of the room it needs."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from engine.models import part_file
from engine.models.fetch_errors import DownloadDiskFull
from engine.models.part_file import PartFile, check_room, part_path

BLOCK = 1 << 20


def set_free_bytes(monkeypatch: pytest.MonkeyPatch, free_bytes: int) -> None:
    usage = type("Usage", (), {"free": free_bytes})()
    monkeypatch.setattr("engine.models.part_file.shutil.disk_usage", lambda path: usage)


def test_a_disk_that_fills_on_the_way_says_what_the_rest_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_full(*unused: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    part = PartFile(tmp_path / "a.gguf", "a", 8 * BLOCK, "id")
    try:
        part.write(0, bytes(BLOCK))
        part.write(6 * BLOCK, os.urandom(BLOCK))  # blocks come in any order: the length tells nothing
        monkeypatch.setattr(part_file, "_write_at", is_full)
        set_free_bytes(monkeypatch, 10)
        with pytest.raises(DownloadDiskFull) as full:
            part.write(BLOCK, bytes(BLOCK))
    finally:
        part.close()
    assert abs(full.value.needed_bytes - 6 * BLOCK) < BLOCK // 2
    assert full.value.free_bytes == 10


def test_room_for_several_files_is_what_is_missing_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished, begun, new = (tmp_path / name for name in ("a", "b", "c"))
    finished.write_bytes(bytes(BLOCK))
    part_path(begun).write_bytes(os.urandom(BLOCK))
    sizes = {finished: BLOCK, begun: 3 * BLOCK, new: 2 * BLOCK}
    set_free_bytes(monkeypatch, 5 * BLOCK)
    check_room("set", sizes)
    set_free_bytes(monkeypatch, 3 * BLOCK)
    with pytest.raises(DownloadDiskFull) as full:
        check_room("set", sizes)
    assert full.value.name == "set"
    assert abs(full.value.needed_bytes - 4 * BLOCK) < BLOCK // 2


def test_a_folder_that_is_not_there_yet_has_room(tmp_path: Path) -> None:
    check_room("set", {tmp_path / "no" / "a": 1 << 60})
