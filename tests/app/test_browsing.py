"""Looking through folders: what is listed, in which order, and what can't be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.browsing import list_folder, nearest_folder, starting_places
from app.errors import FolderNotReadable


def test_folders_come_first_by_name_and_hidden_entries_are_left_out(tmp_path: Path) -> None:
    for name in ("模型", "b", ".cache"):
        (tmp_path / name).mkdir()
    (tmp_path / "A.gguf").write_bytes(b"12345")
    (tmp_path / ".DS_Store").touch()

    folder = list_folder(tmp_path)

    assert [entry.path.name for entry in folder.entries] == ["b", "模型", "A.gguf"]
    assert [entry.size_bytes for entry in folder.entries] == [None, None, 5]
    assert (folder.parent, folder.n_more) == (tmp_path.parent, 0)


def test_the_top_has_no_parent() -> None:
    assert list_folder(Path("/")).parent is None


def test_what_can_not_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "没有", tmp_path / "file"):
        (tmp_path / "file").touch()
        with pytest.raises(FolderNotReadable) as error:
            list_folder(path)
        assert error.value.path == path
        assert error.value.reason


def test_a_link_to_nowhere_and_a_pipe_are_listed_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")

    assert {entry.path.name: entry.is_folder for entry in list_folder(tmp_path).entries} == {
        "link": False,
        "pipe": False,
    }


def test_a_huge_folder_is_cut_and_says_so(tmp_path: Path) -> None:
    for index in range(2005):
        (tmp_path / f"{index:05d}").touch()

    folder = list_folder(tmp_path)

    assert (len(folder.entries), folder.n_more) == (2000, 5)


def test_looking_begins_at_the_nearest_folder_that_is_there(tmp_path: Path) -> None:
    assert nearest_folder(tmp_path / "gone" / "model.bin") == tmp_path
    (tmp_path / "file").touch()
    assert nearest_folder(tmp_path / "file") == tmp_path
    assert nearest_folder(None) == Path.home()


def test_the_home_folder_is_offered_first_and_nothing_that_is_not_there() -> None:
    places = starting_places()

    assert places[0] == Path.home()
    assert all(place.is_dir() for place in places)
    assert len(set(places)) == len(places)
