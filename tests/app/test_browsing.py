"""Looking through folders: what is listed, in which order, and what can't be read."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from app.browsing import list_folder, nearest_folder, starting_places
from app.errors import FolderNotReadable
from app.home import Home
from app.models.finding import load_catalog, open_entries, open_library
from app.models.import_look import look_at_import
from app.models.importing import ImportWish, import_model
from app.models.local_shelf import read_shelf
from app.models.own_entries import add_entry
from app.models.service import ModelService
from builders.gguf_models import write_model
from convert.errors import SourceMissing
from engine.models.endpoints import Endpoints
from engine.models.errors import EntryInvalid


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


@pytest.mark.parametrize("path", ["a" * 300, "x/" * 3000 + "x", "a\0b"], ids=["name", "path", "nul"])
def test_what_can_be_no_path_is_said_to_be_nowhere(path: str, tmp_path: Path) -> None:
    impossible = tmp_path / path
    home = Home(tmp_path / "home")

    assert nearest_folder(impossible / "x") is not None
    assert not look_at_import(impossible, open_library(home)).exists
    with pytest.raises(SourceMissing):
        next(import_model(ImportWish(impossible), open_library(home)))
    with pytest.raises(EntryInvalid):
        add_entry(str(impossible), open_entries(home), load_catalog())


def test_a_folder_that_can_not_be_looked_at_hides_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    lost = tmp_path / "lost"
    lost.mkdir()
    models = ModelService(home, endpoints=lambda: Endpoints(()))
    models.add_folder(lost)
    write_model(home.make(home.models) / "模型.gguf")
    stat = os.stat

    def fail(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if str(path) == str(lost):  # as of a server that is gone, still mounted
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return stat(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", fail)
    shelf = read_shelf(models)

    assert [row.model.name for row in shelf.rows] == ["模型"]
    assert [group.state for group in shelf.groups if group.kind == "folder"] == ["unreadable"]
    models.close()
