"""What is listed and missed when a place is out of reach, gone, or not looked at any more."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from builders.broken_places import out_of_reach
from builders.gguf_models import write_model, write_split
from engine.models.library import Library
from engine.models.places import find_parts
from engine.models.presence import look_at_folder, look_at_path

AWAY = (errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ETIMEDOUT)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def library(tmp_path: Path, tiny: Path) -> Library:
    """A model in every place: `own` in the models folder, `disk`, `kept` left in its place, and `cached`."""
    library = Library(tmp_path / "数据", tmp_path / "数据" / "models", tmp_path / "hub")
    put(tiny, library.folder / "own.gguf")
    library.add_folder(put(tiny, tmp_path / "盘" / "a" / "disk.gguf").parents[1])
    library.note(put(tiny, tmp_path / "place" / "kept.gguf"), in_place=True)
    put(tiny, tmp_path / "hub" / "models--owner--name" / "snapshots" / "c1" / "cached.gguf")
    assert names(library) == ["cached", "disk", "kept", "own"]
    return library


def put(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(source, target))


def names(library: Library) -> list[str]:
    return [model.name for model in library.look().models]


def missing(library: Library) -> list[str]:
    return [gone.name for gone in library.look().missing]


# --- out of reach -----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", AWAY, ids=errno.errorcode.get)
@pytest.mark.parametrize("has_names", [False, True])
@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("数据/models", "own"),
        ("盘", "disk"),
        ("盘/a", "disk"),
        ("place", "kept"),
        ("hub", "cached"),
        ("hub/models--owner--name/snapshots/c1", "cached"),
    ],
)
def test_a_place_that_is_out_of_reach_hides_its_own_models_only(
    library: Library, tmp_path: Path, place: str, name: str, has_names: bool, code: int
) -> None:
    library.look()
    before = library.look()

    with out_of_reach(tmp_path / place, code, has_names=has_names):
        listing = library.look()
        paths = library.paths()

    others = sorted({"own", "disk", "kept", "cached"} - {name})
    assert [model.name for model in listing.models] == list(paths) == others
    assert listing.missing == ()
    assert library.look() == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may look everywhere")
@pytest.mark.parametrize("mode", [0, 0o444, 0o111])
def test_a_folder_that_may_not_be_read_hides_its_own_models_only(
    library: Library, tmp_path: Path, mode: int
) -> None:
    (tmp_path / "盘").chmod(mode)
    try:
        assert names(library) == ["cached", "kept", "own"]
        assert missing(library) == []
        assert library.unreadable_folders() == (tmp_path / "盘",)
    finally:
        (tmp_path / "盘").chmod(0o700)
    assert names(library) == ["cached", "disk", "kept", "own"]


def test_what_is_out_of_reach_was_not_moved(library: Library, tiny: Path, tmp_path: Path) -> None:
    kept = tmp_path / "place" / "kept.gguf"
    library.note(kept, source="owner/name", in_place=True)
    state = kept.stat()

    with out_of_reach(kept.parent):
        copy = put(tiny, library.folder / "copy.gguf")
        os.utime(copy, ns=(state.st_atime_ns, state.st_mtime_ns))
        found = library.look().at(copy)

    left = library.find("kept")
    assert found is not None
    assert left is not None
    assert (found.moved_from, found.source, left.source) == (None, None, "owner/name")


def test_a_split_model_with_a_part_out_of_reach_lacks_none(
    library: Library, tiny: Path, tmp_path: Path
) -> None:
    disk = write_split(tmp_path / "盘", "split", tiny)
    kept = write_split(tmp_path / "place", "left", tiny)
    library.note(kept[0], in_place=True)
    assert names(library) == ["cached", "disk", "kept", "left", "own", "split"]

    for part in (disk[0], disk[1], kept[0], kept[1]):
        with out_of_reach(part, errno.EIO):
            other = "left" if part in disk else "split"
            assert names(library) == sorted(["cached", "disk", "kept", "own", other])
            assert missing(library) == []
            assert find_parts(part).missing_parts == ()


def test_the_folders_that_can_not_be_read_are_named(library: Library, tmp_path: Path) -> None:
    assert library.unreadable_folders() == ()
    library.add_folder(tmp_path / "gone")

    for place in (library.folder, tmp_path / "盘"):
        with out_of_reach(place, errno.EIO):
            assert library.unreadable_folders() == (place,)
    with out_of_reach(tmp_path, errno.ESTALE, has_names=True):  # as a server that is mounted and gone
        assert library.unreadable_folders() == (library.folder, tmp_path / "盘", tmp_path / "gone")


def test_what_is_plainly_not_there_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    loop = tmp_path / "loop"
    loop.symlink_to(loop)

    assert look_at_path(tmp_path) == "folder"
    assert look_at_path(file) == "file"
    for name in ("nothing", "file/below", "loop", "long" * 100, "nul\0"):
        assert (name, look_at_path(tmp_path / name)) == (name, "gone")
    assert [look_at_folder(path) for path in (tmp_path, file, loop)] == ["readable", "gone", "gone"]


@pytest.mark.parametrize(("code", "presence"), [(2, "gone"), (53, "unreachable"), (67, "unreachable")])
def test_a_server_that_windows_does_not_find_is_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, presence: str
) -> None:
    def refuse(path: Path) -> os.stat_result:
        error = FileNotFoundError(errno.ENOENT, "as Python calls it", str(path))
        error.winerror = code
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", refuse)
        assert look_at_path(tmp_path) == presence


# --- gone -------------------------------------------------------------------------------------------


def test_models_that_are_gone_from_places_that_are_looked_at_are_missing(
    library: Library, tmp_path: Path
) -> None:
    (library.folder / "own.gguf").unlink()
    shutil.rmtree(tmp_path / "盘")
    shutil.rmtree(tmp_path / "place")
    (tmp_path / "place").touch()  # a file where the folder was

    assert sorted(missing(library)) == ["disk", "kept", "own"]


def test_files_of_other_programs_come_and_go(library: Library, tmp_path: Path) -> None:
    """The hub's cache is not ours; what was only seen there is not missed."""
    library.note_used(tmp_path / "hub" / "models--owner--name" / "snapshots" / "c1" / "cached.gguf")
    shutil.rmtree(tmp_path / "hub")

    assert missing(library) == []


def test_what_we_know_the_origin_of_is_missed_wherever_it_was(
    library: Library, tiny: Path, tmp_path: Path
) -> None:
    cached = tmp_path / "hub" / "models--owner--name" / "snapshots" / "c1" / "cached.gguf"
    library.note(cached, source="owner/name")
    shutil.rmtree(tmp_path / "hub")

    assert missing(library) == ["cached"]


# --- not looked at any more -------------------------------------------------------------------------


def test_the_models_of_a_dropped_folder_are_not_missed(library: Library, tmp_path: Path) -> None:
    library.remove_folder(tmp_path / "盘")
    assert names(library) == ["cached", "kept", "own"]
    shutil.rmtree(tmp_path / "盘")

    assert missing(library) == []


def test_records_that_an_older_version_left_of_a_dropped_folder_miss_nothing(
    library: Library, tmp_path: Path
) -> None:
    library._records.remove_folder(tmp_path / "盘", kept=[tmp_path])  # noqa: SLF001 - the folder, and no record
    shutil.rmtree(tmp_path / "盘")

    assert missing(library) == []


def test_with_a_folder_goes_what_was_only_learned_of_it(library: Library, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "盘"
    library.note(put(tiny, folder / "ours.gguf"), source="owner/name")
    library.note(put(tiny, folder / "stays.gguf"), in_place=True)
    put(tiny, folder / "inner" / "both.gguf")
    library.add_folder(folder / "inner")
    library.note_used(folder / "inner" / "both.gguf")
    library.look()

    library.remove_folder(folder)

    kept = {path.stem for path in library._records.read() if path.is_relative_to(folder)}  # noqa: SLF001
    assert kept == {"ours", "stays", "both"}
    both = library.find("both")
    assert both is not None
    assert both.used_at is not None
    assert names(library) == ["both", "cached", "kept", "own", "stays"]


def test_what_is_also_in_another_place_keeps_its_record(library: Library, tmp_path: Path) -> None:
    cached = tmp_path / "hub" / "models--owner--name" / "snapshots" / "c1" / "cached.gguf"
    library.note_used(cached)
    library.note_used(library.folder / "own.gguf")
    library.add_folder(tmp_path)

    library.remove_folder(tmp_path)

    used = [model.name for model in library.look().models if model.used_at is not None]
    assert used == ["cached", "own"]
