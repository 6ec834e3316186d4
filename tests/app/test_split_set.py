"""Getting a model of several files: room for all of them, and nothing left when it is given up."""

from __future__ import annotations

import errno
import os
from contextlib import closing
from pathlib import Path

import pytest

from app.models.acquire import Wish, acquire, discard
from app.models.progress import WorkDone
from app.models.split_set import claim_part, discard_parts
from builders.broken_places import out_of_reach
from builders.hub import Fault, LocalHub
from engine.models.endpoints import Endpoints
from engine.models.fetch_errors import DownloadDiskFull, DownloadNotWritable
from engine.models.part_file import PartFile, part_path
from engine.models.parts import part_names
from engine.models.reply import Patience

REPO = "BelleGroup/BELLE-split"
NAMES = part_names("模型-00001-of-00003.gguf")
SIZE = 300_000
FAST = Patience(connect_s=2, stall_s=3, n_failures=2, backoff_s=0.01)


def add_set(hub: LocalHub) -> None:
    for number, name in enumerate(NAMES):
        hub.add(REPO, name, b"GGUF" + bytes([number]) * (SIZE - 4))


def get_two(hub: LocalHub, folder: Path) -> Path:
    """Leave when the third file begins; returns where the first is."""
    with closing(acquire(Wish(REPO), folder, Endpoints((hub.url,)), patience=FAST)) as events:
        for event in events:
            if not isinstance(event, WorkDone) and event.item == NAMES[2]:
                break
    assert (folder / NAMES[1]).exists()
    return folder / NAMES[0]


def test_giving_up_removes_what_the_work_brought(tmp_path: Path) -> None:
    with LocalHub() as hub:
        add_set(hub)
        discard(get_two(hub, tmp_path))
    assert os.listdir(tmp_path) == []


def test_giving_up_keeps_what_was_there_before(tmp_path: Path) -> None:
    with LocalHub() as hub:
        add_set(hub)
        (tmp_path / NAMES[1]).write_bytes(b"GGUF" + b"\1" * (SIZE - 4))
        discard(get_two(hub, tmp_path))
    assert os.listdir(tmp_path) == [NAMES[1]]


def test_a_file_that_can_not_be_reached_does_not_make_a_set_incomplete(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in NAMES]
    for path in paths:
        path.write_bytes(b"GGUF")
        claim_part(paths[0], path)

    with out_of_reach(paths[2], errno.EIO):
        discard_parts(paths[0])

    assert sorted(os.listdir(tmp_path)) == NAMES


def test_giving_up_keeps_what_came_to_its_place_meanwhile(tmp_path: Path) -> None:
    mine = b"another model, saved under the name of one that was to come"
    with LocalHub() as hub:
        add_set(hub)
        output = get_two(hub, tmp_path)
        (tmp_path / NAMES[1]).unlink()
        for name in NAMES[1:]:
            (tmp_path / name).write_bytes(mine)
        output.unlink()
        discard(output)
    assert sorted(os.listdir(tmp_path)) == NAMES[1:]
    assert {(tmp_path / name).read_bytes() for name in NAMES[1:]} == {mine}


def test_giving_up_after_a_pause_keeps_what_was_there_before(tmp_path: Path) -> None:
    with LocalHub() as hub:
        add_set(hub)
        (tmp_path / NAMES[1]).write_bytes(b"GGUF" + b"\1" * (SIZE - 4))
        output = get_two(hub, tmp_path)
        endpoints = Endpoints((hub.url,))
        with closing(acquire(Wish(REPO), tmp_path, endpoints, patience=FAST, output=output)) as events:
            next(event for event in events if not isinstance(event, WorkDone) and event.item == NAMES[2])
        discard(output)
    assert os.listdir(tmp_path) == [NAMES[1]]


def test_an_interrupted_set_goes_on_and_a_finished_one_stays(tmp_path: Path) -> None:
    with LocalHub() as hub:
        add_set(hub)
        output = get_two(hub, tmp_path)
        *_, done = acquire(Wish(REPO), tmp_path, Endpoints((hub.url,)), patience=FAST)
    assert isinstance(done, WorkDone)
    assert done.size_bytes == 3 * SIZE
    assert sorted(os.listdir(tmp_path)) == NAMES

    discard(output)
    assert sorted(os.listdir(tmp_path)) == NAMES


def test_a_set_that_another_process_is_at_is_left_alone(tmp_path: Path) -> None:
    with LocalHub() as hub:
        add_set(hub)
        output = get_two(hub, tmp_path)
    before = sorted(os.listdir(tmp_path))
    part = PartFile(tmp_path / NAMES[2], NAMES[2], SIZE, "other")
    try:
        discard_parts(output)
        assert {NAMES[0], NAMES[1], part_path(tmp_path / NAMES[2]).name} <= set(os.listdir(tmp_path))
    finally:
        part.close()
    assert set(before) <= {*os.listdir(tmp_path)}
    discard_parts(output)
    assert os.listdir(tmp_path) == []


def test_the_list_can_only_name_files_of_the_set(tmp_path: Path) -> None:
    (tmp_path / "precious.gguf").write_bytes(b"x")
    output = tmp_path / "models" / NAMES[0]
    output.parent.mkdir()
    output.write_bytes(b"x")
    claim_part(output, output)
    with output.with_name(f"{output.name}.parts").open("a") as listing:
        state = (tmp_path / "precious.gguf").stat()
        listing.write(f"{state.st_size} {state.st_mtime_ns} ../precious.gguf\n")
    discard_parts(output)
    assert os.listdir(output.parent) == []
    assert (tmp_path / "precious.gguf").exists()


def test_a_list_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    paths = [tmp_path / "file" / name for name in NAMES]
    with pytest.raises(DownloadNotWritable):
        claim_part(paths[0], paths[0])


def test_room_is_needed_for_all_files_before_the_first_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {"bytes": 3 * SIZE - 5000}
    monkeypatch.setattr(
        "engine.models.part_file.shutil.disk_usage",
        lambda path: type("Usage", (), {"free": free["bytes"]})(),
    )
    with LocalHub() as hub:
        add_set(hub)
        hub.fault = lambda seen: Fault(status=500) if seen.name else None
        with pytest.raises(DownloadDiskFull) as full:
            list(acquire(Wish(REPO), tmp_path, Endpoints((hub.url,)), patience=FAST))
        assert os.listdir(tmp_path) == []
        assert (full.value.needed_bytes, full.value.free_bytes) == (3 * SIZE, free["bytes"])
        assert not hub.file_requests()

        hub.fault = lambda seen: None
        (tmp_path / NAMES[1]).write_bytes(b"GGUF" + b"\1" * (SIZE - 4))  # two are missing now
        *_, done = acquire(Wish(REPO), tmp_path, Endpoints((hub.url,)), patience=FAST)
    assert isinstance(done, WorkDone)
