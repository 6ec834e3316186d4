"""Models on this disk: found wherever they are, followed when they move, verified, added and removed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import gguf
import pytest

from builders.gguf_models import write_model, write_split
from builders.processes import python_environment
from engine.errors import DamagedHeader, ModelFileEmpty, NotGguf, OtherFileFormat, TruncatedModel
from engine.models import library as library_module
from engine.models.adding import Added, Adding, How, add_gguf, discard_copy, partial_path
from engine.models.errors import (
    LibraryInUse,
    ModelChanged,
    ModelInUse,
    ModelNotAdded,
    ModelNotReadable,
    ModelPartlyRemoved,
    PartsMissing,
    RecordsNotSaved,
)
from engine.models.json_store import JsonStore
from engine.models.library import Library, Verified
from engine.models.places import find_hf_cache, scan_hf_cache

REPO = "models--owner--name"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "数据 été"
    (folder / "models").mkdir(parents=True)
    return folder


@pytest.fixture
def library(home: Path, tmp_path: Path) -> Library:
    return Library(home, home / "models", tmp_path / "hub")


def put(source: Path, target: Path) -> Path:
    """A copy with a time of its own, as a person makes one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target


def write_cached(hub: Path, tiny: Path, commit: str = "c" * 40, name: str = "m.gguf") -> Path:
    """A file in the hub's cache: a blob named by its hash, and a link to it."""
    blob = hub / REPO / "blobs" / hashlib.sha256(tiny.read_bytes()).hexdigest()
    put(tiny, blob)
    link = hub / REPO / "snapshots" / commit / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    return link


def verify(library: Library, name: str) -> Verified:
    model = library.find(name)
    assert model is not None
    *_, last = library.verify(model)
    assert isinstance(last, Verified)
    return last


# --- what is found ----------------------------------------------------------------------------------


def test_nothing_is_there_and_nothing_is_created(tmp_path: Path) -> None:
    listing = Library(tmp_path / "a", tmp_path / "a" / "models", tmp_path / "hub").look()

    assert (listing.models, listing.missing) == ((), ())
    assert list(tmp_path.iterdir()) == []


def test_models_are_found_in_all_places(library: Library, tiny: Path, home: Path, tmp_path: Path) -> None:
    put(tiny, home / "models" / "贝拉-7B.gguf")
    put(tiny, home / "models" / "deep" / "er" / "Other.GGUF")
    put(tiny, home / "models" / ".hidden" / "no.gguf")
    (home / "models" / "notes.txt").write_text("")
    elsewhere = put(tiny, tmp_path / "外" / "elsewhere.gguf").parent
    link = write_cached(tmp_path / "hub", tiny)
    library.add_folder(elsewhere)

    listing = library.look()

    assert [(model.name, model.place) for model in listing.models] == [
        ("elsewhere", "folder"),
        ("m", "hf-cache"),
        ("Other", "models"),
        ("贝拉-7B", "models"),
    ]
    cached = listing.find("m")
    assert cached is not None
    assert cached.path == link
    assert cached.source == "owner/name/m.gguf"
    assert cached.expected_sha256 == hashlib.sha256(tiny.read_bytes()).hexdigest()
    assert list(library.paths()) == [model.name for model in listing.models]


def test_the_header_is_told(library: Library, tiny: Path, home: Path) -> None:
    put(tiny, home / "models" / "a.gguf")

    (model,) = library.look().models

    assert model.summary is not None
    assert (model.summary.title, model.summary.architecture) == ("tiny bloom", "bloom")
    assert (model.summary.quantization, model.prompt_format) == ("f32", "belle")
    assert model.summary.footprint.shape.trained_context_tokens == 512
    assert model.size_bytes == tiny.stat().st_size


def test_what_was_read_once_is_remembered(
    library: Library, tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tiny, home / "models" / "a.gguf")
    before = library.look()
    monkeypatch.setattr("engine.models.listing.summarize", None)

    assert library.look() == before


def test_a_changed_file_is_read_anew(library: Library, tiny: Path, home: Path) -> None:
    path = put(tiny, home / "models" / "a.gguf")
    assert library.look().models[0].problem is None

    path.write_bytes(tiny.read_bytes()[:-1000])

    assert isinstance(library.look().models[0].problem, TruncatedModel)


def test_damaged_files_are_listed_with_the_reason(library: Library, tiny: Path, home: Path) -> None:
    data = tiny.read_bytes()
    for name, content in {
        "cut": data[:-100],
        "zip": b"PK\x03\x04" + data[4:],
        "empty": b"",
        "count": data[:8] + b"\xff" * 8 + data[16:],
    }.items():
        (home / "models" / f"{name}.gguf").write_bytes(content)

    problems = {model.name: type(model.problem) for model in library.look().models}

    assert problems == {
        "cut": TruncatedModel,
        "zip": OtherFileFormat,
        "empty": ModelFileEmpty,
        "count": DamagedHeader,
    }


def test_split_models_are_one(library: Library, tiny: Path, home: Path) -> None:
    paths = write_split(home / "models" / "大", "split", tiny)

    (model,) = library.look().models

    assert (model.name, model.path, model.parts) == ("split", paths[0], tuple(paths))
    assert model.size_bytes == sum(path.stat().st_size for path in paths)
    assert model.summary is not None
    whole = sum(int(tensor.n_elements) for tensor in gguf.GGUFReader(tiny).tensors)
    assert model.summary.n_parameters == whole


def test_a_missing_part_is_named(library: Library, tiny: Path, home: Path) -> None:
    write_split(home / "models", "split", tiny)[1].unlink()

    (model,) = library.look().models

    assert isinstance(model.problem, PartsMissing)
    assert (model.problem.n_parts, model.problem.missing) == (3, (2,))


def test_same_names_are_told_apart(library: Library, tiny: Path, home: Path) -> None:
    for folder in ("", "a", "b", "c/b"):
        put(tiny, home / "models" / folder / "m.gguf")

    assert sorted(model.name for model in library.look().models) == ["m", "m (2)", "m (a)", "m (b)"]


def test_only_the_newest_name_of_the_same_bytes_is_listed(tiny: Path, tmp_path: Path) -> None:
    old = write_cached(tmp_path / "hub", tiny, "a" * 40, "old.gguf")
    new = write_cached(tmp_path / "hub", tiny, "b" * 40, "new.gguf")
    os.utime(old.parent, (1, 1))

    assert [model.path for model in scan_hf_cache(tmp_path / "hub")] == [new]


def test_dangling_links_of_the_cache_are_no_models(tiny: Path, tmp_path: Path) -> None:
    write_cached(tmp_path / "hub", tiny).resolve().unlink()

    assert scan_hf_cache(tmp_path / "hub") == ()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"HF_HOME": "/b"}, "/b/hub"),
        ({"HF_HOME": "~nobody-of-this-name"}, "~nobody-of-this-name/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
    ],
)
def test_the_cache_is_where_the_hub_client_puts_it(environ: dict[str, str], expected: str) -> None:
    assert find_hf_cache(environ) == Path(expected)


def test_use_is_remembered(library: Library, tiny: Path, home: Path) -> None:
    first = write_split(home / "models", "split", tiny)[0]
    assert library.look().models[0].used_at is None

    library.note_used(first)
    library.note_used(home / "elsewhere.gguf")

    assert [model.used_at is not None for model in library.look().models] == [True]
    assert library.look().missing == ()


# --- behind our back --------------------------------------------------------------------------------


def test_a_renamed_file_keeps_its_record(library: Library, tiny: Path, home: Path) -> None:
    path = put(tiny, home / "models" / "a.gguf")
    library.note(path, source="owner/name", license="apache-2.0", expected_sha256="0" * 64)

    new = path.rename(home / "models" / "新.gguf")
    listing = library.look()

    (model,) = listing.models
    assert (model.name, model.path, model.moved_from) == ("新", new, path)
    assert (model.source, model.license, model.expected_sha256) == ("owner/name", "apache-2.0", "0" * 64)
    assert listing.missing == ()


def test_whoever_looks_hears_of_a_move_until_the_program_ends(
    library: Library, tiny: Path, home: Path
) -> None:
    path = put(tiny, home / "models" / "a.gguf")
    library.note(path, source="owner/name")
    between = path.rename(home / "models" / "b.gguf")

    assert [library.look().models[0].moved_from for _ in range(3)] == [path] * 3
    between.rename(home / "models" / "c.gguf")
    assert [library.look().models[0].moved_from for _ in range(2)] == [between] * 2
    put(tiny, between)  # another file
    moves = {model.name: model.moved_from for model in library.look().models}
    assert moves == {"b": None, "c": between}


def test_a_removed_file_is_missed_until_it_is_forgotten(library: Library, tiny: Path, home: Path) -> None:
    path = put(tiny, home / "models" / "a.gguf")
    library.note(path, source="owner/name")
    path.unlink()

    listing = library.look()

    assert listing.models == ()
    assert [(gone.name, gone.path, gone.source) for gone in listing.missing] == [("a", path, "owner/name")]
    library.forget(path)
    assert library.look().missing == ()


def test_two_copies_of_a_lost_file_are_not_mistaken_for_it(library: Library, tiny: Path, home: Path) -> None:
    path = put(tiny, home / "models" / "a.gguf")
    library.note(path, source="owner/name")
    state = path.stat()
    path.unlink()
    for name in ("b", "c"):
        os.utime(put(tiny, home / "models" / f"{name}.gguf"), ns=(state.st_atime_ns, state.st_mtime_ns))

    listing = library.look()

    assert [model.source for model in listing.models] == [None, None]
    assert len(listing.missing) == 1


# --- verifying --------------------------------------------------------------------------------------


def test_the_hash_is_computed_when_asked_and_remembered(library: Library, tiny: Path, home: Path) -> None:
    path = put(tiny, home / "models" / "a.gguf")
    expected = hashlib.sha256(tiny.read_bytes()).hexdigest()
    assert library.look().models[0].sha256 is None

    assert verify(library, "a") == Verified(expected, is_confirmed=False)
    assert library.look().models[0].sha256 == expected

    path.write_bytes(tiny.read_bytes() + b"\0")
    assert library.look().models[0].sha256 is None


def test_a_flipped_bit_is_found(library: Library, tiny: Path, home: Path) -> None:
    path = put(tiny, home / "models" / "a.gguf")
    library.note(path, expected_sha256=hashlib.sha256(tiny.read_bytes()).hexdigest())
    assert verify(library, "a").is_confirmed

    state = path.stat()
    data = bytearray(tiny.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))

    with pytest.raises(ModelChanged) as caught:
        verify(library, "a")
    assert caught.value.path == path


def test_a_damaged_model_is_told_as_one_until_it_is_whole_again(
    library: Library, tiny: Path, home: Path
) -> None:
    path = put(tiny, home / "models" / "a.gguf")
    whole, state = tiny.read_bytes(), path.stat()
    expected = verify(library, "a").sha256  # known from nowhere else
    damaged = whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:]
    path.write_bytes(damaged)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(ModelChanged):
        verify(library, "a")

    found = library.look().models[0]
    assert isinstance(found.problem, ModelChanged)
    assert found.problem.expected_sha256 == expected
    assert found.problem.found_sha256 == found.sha256 == hashlib.sha256(damaged).hexdigest()
    assert found.summary is not None

    path.write_bytes(whole)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert verify(library, "a").sha256 == expected
    assert library.look().models[0].problem is None

    path.write_bytes(damaged + b"\0")
    assert library.look().models[0].problem is None  # another file: nobody has looked at it


def test_the_cache_tells_what_a_file_should_be(library: Library, tiny: Path, tmp_path: Path) -> None:
    link = write_cached(tmp_path / "hub", tiny)
    assert verify(library, "m").is_confirmed

    data = bytearray(tiny.read_bytes())
    data[-5] ^= 1
    link.resolve().write_bytes(data)

    with pytest.raises(ModelChanged):
        verify(library, "m")


def test_the_cache_tells_what_the_files_of_a_set_should_be(
    library: Library, tiny: Path, tmp_path: Path
) -> None:
    for path in write_split(tmp_path / "away", "split", tiny):
        link = write_cached(tmp_path / "hub", path, name=path.name)
    assert verify(library, "split").is_confirmed

    flip_a_byte(link.resolve())

    with pytest.raises(ModelChanged):
        verify(library, "split")


def test_a_cancelled_verification_says_nothing(library: Library, tiny: Path, home: Path) -> None:
    put(tiny, home / "models" / "a.gguf")
    model = library.find("a")
    assert model is not None

    assert list(library.verify(model, is_cancelled=lambda: True)) == []
    assert library.look().models[0].sha256 is None


def test_only_one_process_works_on_a_model(library: Library, tiny: Path, home: Path) -> None:
    path = put(tiny, home / "models" / "a.gguf")

    with library.held(path), pytest.raises(ModelInUse):
        verify(library, "a")


# --- adding -----------------------------------------------------------------------------------------


def test_a_copy_is_the_same_file_with_its_hash(library: Library, tiny: Path, tmp_path: Path) -> None:
    source = put(tiny, tmp_path / "下载" / "模型.gguf")

    *progress, added = add_gguf(source, library)

    assert isinstance(added, Added)
    assert all(isinstance(step, Adding) for step in progress)
    assert added.path == library.folder / "模型.gguf"
    assert added.path.read_bytes() == tiny.read_bytes()
    model = library.find("模型")
    assert model is not None
    assert (model.sha256, model.source) == (added.sha256, str(source))
    assert verify(library, "模型").is_confirmed


def test_a_link_takes_no_room(library: Library, tiny: Path, tmp_path: Path) -> None:
    source = put(tiny, tmp_path / "a.gguf")

    *_, added = add_gguf(source, library, "link")

    assert isinstance(added, Added)
    assert added.path.samefile(source)


def test_a_model_may_stay_where_it_is(library: Library, tiny: Path, tmp_path: Path) -> None:
    source = put(tiny, tmp_path / "away" / "a.gguf")

    list(add_gguf(source, library, "in-place"))

    model = library.find("a")
    assert model is not None
    assert model.path == source
    source.unlink()
    assert [gone.path for gone in library.look().missing] == [source]


def test_all_parts_of_a_split_model_come(library: Library, tiny: Path, tmp_path: Path) -> None:
    paths = write_split(tmp_path / "away", "split", tiny)

    *_, added = add_gguf(paths[2], library)

    assert isinstance(added, Added)
    model = library.find("split")
    assert model is not None
    assert [part.name for part in model.parts] == [path.name for path in paths]
    assert verify(library, "split").sha256 == added.sha256


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("is_left", [False, True])
def test_damage_in_any_part_of_a_split_model_is_found(
    library: Library, tiny: Path, tmp_path: Path, is_left: bool
) -> None:
    first = write_split(tmp_path / "away", "split", tiny)[0]
    *_, added = add_gguf(first, library)
    assert isinstance(added, Added)
    if is_left:  # by a kill before the record, and taken over
        library.forget(added.path)
        list(add_gguf(first, library))
    assert verify(library, "split").is_confirmed

    flip_a_byte(library.folder / "split-00002-of-00003.gguf")

    with pytest.raises(ModelChanged):
        verify(library, "split")


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_name_that_is_taken_gets_a_number(library: Library, tiny: Path, tmp_path: Path) -> None:
    kept = put(tiny, library.folder / "a.gguf")
    kept.write_bytes(b"mine")

    *_, added = add_gguf(put(tiny, tmp_path / "a.gguf"), library)

    assert isinstance(added, Added)
    assert added.path == library.folder / "a-2.gguf"
    assert added.path.read_bytes() == tiny.read_bytes()
    assert kept.read_bytes() == b"mine"
    assert leftovers(library.folder) == ["a-2.gguf", "a.gguf"]


def test_the_files_of_a_set_get_the_same_number(library: Library, tiny: Path, tmp_path: Path) -> None:
    paths = write_split(tmp_path / "away", "split", tiny)
    kept = put(tiny, library.folder / paths[1].name)
    kept.write_bytes(b"mine")

    *_, added = add_gguf(paths[0], library)

    assert isinstance(added, Added)
    model = library.find("split-2")
    assert model is not None
    assert model.problem is None
    assert [part.name for part in model.parts] == [
        path.name.replace("split-", "split-2-", 1) for path in paths
    ]
    assert kept.read_bytes() == b"mine"


def test_a_name_that_is_taken_meanwhile_is_left_alone(library: Library, tiny: Path, tmp_path: Path) -> None:
    kept = put(tiny, library.folder / "a.gguf")
    kept.write_bytes(b"mine")
    looked = iter([False])  # as if the file came just after the look

    with pytest.raises(ModelNotAdded):
        list(add_gguf(put(tiny, tmp_path / "a.gguf"), library, is_taken=lambda path: next(looked)))

    assert kept.read_bytes() == b"mine"
    assert leftovers(library.folder) == ["a.gguf"]


def test_an_abandoned_copy_leaves_nothing(library: Library, tiny: Path, tmp_path: Path) -> None:
    source = put(tiny, tmp_path / "a.gguf")
    run = add_gguf(source, library)
    next(run)
    run.close()
    assert leftovers(library.folder) == []

    assert list(add_gguf(source, library, is_cancelled=lambda: True)) == []
    assert leftovers(library.folder) == []


@pytest.mark.parametrize("how", ["copy", "link"])
@pytest.mark.parametrize("is_split", [False, True])
def test_a_copy_that_nobody_heard_of_is_taken_over(
    library: Library, tiny: Path, tmp_path: Path, how: How, is_split: bool
) -> None:
    """A kill between the result's name and the record of it."""
    folder = tmp_path / "away"
    source = write_split(folder, "split", tiny)[0] if is_split else put(tiny, folder / "a.gguf")
    *_, first = add_gguf(source, library, how)
    assert isinstance(first, Added)
    library.forget(first.path)
    there = leftovers(library.folder)

    if how == "copy":
        assert list(add_gguf(source, library, is_cancelled=lambda: True)) == []
    *progress, again = add_gguf(source, library, how)

    assert again == first
    assert all(isinstance(step, Adding) and step.path is None for step in progress)
    assert leftovers(library.folder) == there
    model = library.look().at(first.path)
    assert model is not None
    assert model.source == str(source)


def test_another_file_of_the_same_size_is_not_taken_over(
    library: Library, tiny: Path, tmp_path: Path
) -> None:
    mine = put(tiny, library.folder / "a.gguf")
    with mine.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\7")
    source = put(tiny, tmp_path / "a.gguf")
    assert source.read_bytes() != mine.read_bytes()

    *_, added = add_gguf(source, library)

    assert isinstance(added, Added)
    assert added.path.name == "a-2.gguf"


def test_a_link_is_not_taken_for_a_copy(library: Library, tiny: Path, tmp_path: Path) -> None:
    source = put(tiny, tmp_path / "a.gguf")
    *_, link = add_gguf(source, library, "link")
    assert isinstance(link, Added)
    library.forget(link.path)

    *_, added = add_gguf(source, library)

    assert isinstance(added, Added)
    assert added.path != link.path


def test_giving_up_a_copy_removes_nothing_that_is_finished_or_at_work(
    library: Library, tiny: Path, tmp_path: Path
) -> None:
    source = put(tiny, tmp_path / "a.gguf")
    run = add_gguf(source, library)
    at_work = next(run)
    assert isinstance(at_work, Adding)
    assert at_work.path is not None
    discard_copy(at_work.path)
    assert leftovers(library.folder) == [partial_path(at_work.path).name]
    *_, added = run
    assert isinstance(added, Added)

    os.link(source, partial_path(added.path))  # as a killed link leaves it
    discard_copy(added.path)

    assert leftovers(library.folder) == ["a.gguf"]
    assert source.read_bytes() == added.path.read_bytes() == tiny.read_bytes()
    discard_copy(added.path)


def test_what_a_killed_copy_left_is_overwritten_by_the_next(
    library: Library, tiny: Path, tmp_path: Path
) -> None:
    source = put(tiny, tmp_path / f"{'模' * 80}.gguf")  # 245 bytes: a name may have 255
    command = "import os, sys; from pathlib import Path; from engine.models.adding import add_gguf;"
    command += "from engine.models.library import Library;"
    command += "run = add_gguf(Path(sys.argv[1]), Library(Path(sys.argv[2]), Path(sys.argv[3]))); next(run);"
    command += "os.kill(os.getpid(), 9)"
    for _ in range(2):
        killed = [sys.executable, "-c", command, str(source), str(tmp_path / "data"), str(library.folder)]
        assert subprocess.run(killed, env=python_environment(), check=False).returncode
        assert len(leftovers(library.folder)) == 1

    list(add_gguf(source, library))

    assert leftovers(library.folder) == [source.name]


def test_a_link_that_was_left_unfinished_does_not_lead_to_its_bytes(
    library: Library, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second name of a person's model, left by a kill: writing through it would destroy the model."""
    source = put(tiny, tmp_path / "a.gguf")
    with monkeypatch.context() as patched:
        patched.setattr("engine.models.adding._Placing.publish", lambda self: self._placed.clear())
        with pytest.raises(ModelNotReadable):  # nothing was published
            list(add_gguf(source, library, "link"))
    assert [path.samefile(source) for path in library.folder.iterdir()] == [True]

    list(add_gguf(source, library))

    assert source.read_bytes() == tiny.read_bytes()
    assert leftovers(library.folder) == ["a.gguf"]
    assert not (library.folder / "a.gguf").samefile(source)


def test_another_file_of_the_same_name_inherits_nothing(library: Library, tiny: Path, tmp_path: Path) -> None:
    """The first was deleted in the file manager, so nobody told the library."""
    first = put(tiny, library.folder / "m.gguf")
    library.note(
        first,
        source="hub",
        license="MIT",
        prompt_format="llama2",
        catalog_id="BELLE-7B-2M",
        expected_sha256="0" * 64,
    )
    library.note_used(first)
    first.unlink()
    source = put(tiny, tmp_path / "m.gguf")
    source.write_bytes(source.read_bytes() + bytes(32))

    list(add_gguf(source, library, "link"))

    model = library.find("m")
    assert model is not None
    assert (model.source, model.license) == (str(source), None)
    assert (model.prompt_format, model.sha256) == ("belle", None)  # as the header says
    assert (model.catalog_id, model.expected_sha256, model.used_at) == (None, None, None)
    assert verify(library, "m").sha256 == hashlib.sha256(source.read_bytes()).hexdigest()


def test_noting_the_same_file_again_keeps_when_it_was_used(library: Library, tiny: Path, home: Path) -> None:
    path = put(tiny, library.folder / "a.gguf")
    library.note(path, source="first", license="MIT")
    library.note_used(path)
    library.note(path, source="second")
    model = library.find("a")
    assert model is not None
    assert (model.source, model.license) == ("second", None)
    assert model.used_at is not None


def test_a_split_model_may_stay_where_it_is(library: Library, tiny: Path, tmp_path: Path) -> None:
    paths = write_split(tmp_path / "away", "split", tiny)

    list(add_gguf(paths[1], library, "in-place"))

    (model,) = library.look().models
    assert (model.parts, model.problem, model.source) == (tuple(paths), None, str(paths[0]))
    assert verify(library, "split") == Verified(library.look().models[0].sha256 or "", is_confirmed=False)


@pytest.mark.parametrize(("n_bytes", "expected"), [(3, NotGguf), (-100, TruncatedModel)])
def test_a_damaged_file_is_not_added(
    library: Library, tiny: Path, tmp_path: Path, n_bytes: int, expected: type[Exception]
) -> None:
    source = tmp_path / "a.gguf"
    source.write_bytes(tiny.read_bytes()[:n_bytes])

    with pytest.raises(expected):
        list(add_gguf(source, library))

    assert leftovers(library.folder) == []


# --- removing ---------------------------------------------------------------------------------------


@pytest.fixture
def trash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trash of our own: the real one is the person's."""
    folder = tmp_path / "trash"
    folder.mkdir()

    def move(path: Path) -> bool:
        shutil.move(path, folder)
        return True

    monkeypatch.setattr(library_module, "move_to_trash", move)
    return folder


def test_a_removed_model_is_in_the_trash(library: Library, tiny: Path, home: Path, trash: Path) -> None:
    write_split(home / "models", "split", tiny)
    model = library.find("split")
    assert model is not None

    assert library.remove(model) == "trash"
    assert len(leftovers(trash)) == 3
    assert library.look().models == ()
    assert library.look().missing == ()


def test_without_a_trash_nothing_is_removed_unasked(
    library: Library, tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tiny, home / "models" / "a.gguf")
    monkeypatch.setitem(sys.modules, "send2trash", None)
    model = library.find("a")
    assert model is not None

    assert library.remove(model) == "kept"
    assert path.exists()
    assert library.remove(model, to_trash=False) == "deleted"
    assert not path.exists()


def test_what_is_left_of_a_split_model_is_told_and_can_be_removed_again(
    library: Library, tiny: Path, home: Path, trash: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = write_split(home / "models", "split", tiny)
    library.note(first, source="owner/name")
    whole = library.find("split")
    assert whole is not None
    move = library_module.move_to_trash
    monkeypatch.setattr(library_module, "move_to_trash", lambda path: path != second and move(path))

    with pytest.raises(ModelPartlyRemoved) as raised:
        library.remove(whole)

    assert (raised.value.path, raised.value.n_parts, raised.value.n_trashed) == (second, 3, 1)
    assert leftovers(trash) == [third.name]
    left = library.find("split")
    assert left is not None
    assert (left.path, left.source) == (first, "owner/name")
    assert isinstance(left.problem, PartsMissing)
    assert library.remove(left) == "kept"
    assert library.remove(left, to_trash=False) == "deleted"
    assert library.look().models == ()
    assert library.look().missing == ()


def test_a_model_of_the_cache_goes_with_its_bytes(library: Library, tiny: Path, tmp_path: Path) -> None:
    blob = write_cached(tmp_path / "hub", tiny).resolve()
    model = library.find("m")
    assert model is not None

    assert library.remove(model) == "deleted"
    assert not blob.exists()
    assert library.look().models == ()


# --- the records ------------------------------------------------------------------------------------


def test_damaged_records_are_kept_aside(library: Library, tiny: Path, home: Path) -> None:
    put(tiny, home / "models" / "a.gguf")
    (home / "library.json").write_bytes(b'{"models": {')

    assert [model.name for model in library.look().models] == ["a"]
    assert (home / "library.json.damaged").read_bytes() == b'{"models": {'
    assert verify(library, "a").sha256


def test_records_that_cannot_be_written_do_not_hide_models(home: Path, tiny: Path) -> None:
    path = put(tiny, home / "models" / "a.gguf")
    (home / "file").write_text("")
    library = Library(home / "file" / "data", home / "models")

    assert [model.name for model in library.look().models] == ["a"]
    library.note_used(path)
    with pytest.raises(RecordsNotSaved):
        library.note(path, source="x")


def test_a_folder_that_was_written_in_several_ways_is_one(library: Library, home: Path) -> None:
    folder = home / "elsewhere"
    written = [str(folder), f"{folder}/../elsewhere", f"{folder}/"]
    (home / "library.json").write_text(json.dumps({"folders": written}))

    assert library.folders == (folder,)
    library.remove_folder(folder / ".." / "elsewhere")
    assert library.folders == ()


@pytest.mark.skipif(sys.platform == "win32", reason="who may read a folder is told otherwise there")
def test_what_is_remembered_is_for_its_owner_only(tmp_path: Path, tiny: Path) -> None:
    before = os.umask(0o022)
    try:
        Library(tmp_path / "data", tmp_path / "data" / "models").add_folder(tmp_path)
        with Library(tmp_path / "app" / "data", tmp_path / "models").held(tiny):
            pass
    finally:
        os.umask(before)

    for folder in ("data", "app", "app/data", "app/data/locks"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700


def test_waiting_for_the_records_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = JsonStore(tmp_path / "x.json")
    monkeypatch.setattr("engine.models.json_store.lock_file", lambda _: False)
    monkeypatch.setattr("engine.models.json_store._WAIT_S", 0.0)

    with pytest.raises(LibraryInUse):
        store.change(lambda content: content.update(a=1))


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="every name is Unicode there")
def test_a_name_that_is_not_utf_8_is_remembered_as_it_is(library: Library, home: Path, tiny: Path) -> None:
    added = home / os.fsdecode(b"\xc4\xa3\xd0")
    model = put(tiny, home / "models" / os.fsdecode(b"m\xc4\xa3\xd0\xcd.gguf"))
    elsewhere = put(tiny, home / "elsewhere" / os.fsdecode(b"\xff\xfe.gguf"))
    library.note(model, source="owner/name")
    library.note(elsewhere, in_place=True)
    library.add_folder(added)

    for _ in range(2):
        listing = library.look()
        assert {each.path for each in listing.models} == {model, elsewhere}
        assert [each.moved_from for each in listing.models] == [None, None]
        assert listing.missing == ()
    assert library.folders == (added,)
    found = listing.at(model)
    assert found is not None
    assert found.source == "owner/name"
