"""The same source imported again, and imports whose process was killed: nothing is made twice or left."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import ModelHere, NotForGguf, OnlyForGguf
from app.home import Home
from app.models.errands import Import
from app.models.finding import open_library
from app.models.importing import ImportWish, import_model
from app.models.job_records import JobRecord, save_record
from app.models.progress import WorkDone, WorkProgress
from app.models.service import ModelService
from builders.checkpoints import write_bloom
from builders.gguf_models import write_model
from builders.lora import write_adapter
from convert.errors import OutputExists, SeveralCheckpoints, SeveralWeightFiles
from convert.resumable import journal_path, partial_path
from engine.models.adding import How
from engine.models.adding import partial_path as copy_path
from engine.models.endpoints import Endpoints
from engine.models.errors import ModelChanged
from engine.models.library import Library

NAMED_OR_NOT = pytest.mark.parametrize("name", ["贝拉", None])


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "data", tmp_path / "模型")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_bloom(tmp_path / "检查点", dtype="f16").folder


def finish(
    wish: ImportWish, library: Library, *, resumes: bool = False
) -> tuple[list[WorkProgress], WorkDone]:
    *progress, done = import_model(wish, library, resumes=resumes)
    assert isinstance(done, WorkDone)
    return [event for event in progress if isinstance(event, WorkProgress)], done


def damage(path: Path, library: Library) -> None:
    """Change a byte, and let it be found out."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    model = library.look().at(path)
    assert model is not None
    with pytest.raises(ModelChanged):
        list(library.verify(model))


def files(library: Library) -> list[str]:
    return sorted(os.listdir(library.folder))


@NAMED_OR_NOT
def test_a_checkpoint_is_not_converted_again(library: Library, checkpoint: Path, name: str | None) -> None:
    wish = ImportWish(checkpoint, target="q8_0", name=name)
    _, done = finish(wish, library)

    with pytest.raises(ModelHere) as here:
        finish(wish, library)

    assert (here.value.name, here.value.path) == (checkpoint.name, done.path)
    assert files(library) == [done.path.name]


def test_a_repository_of_a_hubs_cache_is_imported_under_its_name(library: Library, tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--BelleGroup--BELLE-7B-2M"
    write_bloom(repository / "snapshots" / ("0" * 40), dtype="f16")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    _, done = finish(ImportWish(repository.parent, target="q8_0"), library)
    assert done.path.name == "BELLE-7B-2M-q8_0.gguf"
    with pytest.raises(ModelHere):
        finish(ImportWish(repository / "snapshots" / ("0" * 40), target="q8_0"), library)


def test_the_only_model_below_a_folder_is_the_one_that_was_meant(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "publisher" / "model"
    folder.mkdir(parents=True)
    write_model(folder / "q4.gguf")
    _, done = finish(ImportWish(tmp_path / "models"), library)
    assert done.path.name == "q4.gguf"
    write_model(folder.parent / "q8.gguf")
    (folder.parents[1] / "other").mkdir()
    write_model(folder.parents[1] / "other" / "q8.gguf")
    with pytest.raises(SeveralCheckpoints) as refused:
        finish(ImportWish(tmp_path / "models"), library)
    assert refused.value.names == ("other", "publisher")


def test_another_checkpoint_of_the_same_shape_is_another_model(library: Library, tmp_path: Path) -> None:
    for parent in ("一", "二"):
        finish(
            ImportWish(write_bloom(tmp_path / parent / "small").folder, target="q8_0"), library, resumes=True
        )
    assert files(library) == ["small-q8_0-2.gguf", "small-q8_0.gguf"]


def test_a_checkpoint_with_an_adapter_is_another_model(library: Library, tmp_path: Path) -> None:
    base = write_bloom(tmp_path / "base")
    write_adapter(tmp_path / "adapter", base.weights, ["query_key_value"])
    merged = ImportWish(base.folder, target="q8_0", loras=(tmp_path / "adapter",))

    _, first = finish(ImportWish(base.folder, target="q8_0"), library)
    _, second = finish(merged, library)
    with pytest.raises(ModelHere) as here:
        finish(merged, library)

    assert first.path != second.path == here.value.path


@NAMED_OR_NOT
def test_a_result_that_nobody_heard_of_is_taken_over(
    library: Library, checkpoint: Path, name: str | None
) -> None:
    wish = ImportWish(checkpoint, target="q8_0", name=name)
    _, first = finish(wish, library, resumes=True)
    library.forget(first.path)  # as if the kill had come before the record
    journal_path(first.path).write_text("left behind")

    progress, again = finish(wish, library, resumes=True)

    assert again == first
    assert {event.phase for event in progress} == {"verify"}
    assert files(library) == [first.path.name]
    model = library.look().at(first.path)
    assert model is not None
    assert (model.source, model.sha256) == (str(checkpoint), first.sha256)


def test_only_what_was_left_is_taken_over(library: Library, checkpoint: Path) -> None:
    wish = ImportWish(checkpoint, target="q8_0", name="贝拉")
    _, first = finish(wish, library)
    library.note(first.path, source="BelleGroup/another of the same shape")
    with pytest.raises(OutputExists):
        finish(wish, library, resumes=True)

    library.forget(first.path)
    with pytest.raises(OutputExists):  # nothing is resumed there
        finish(wish, library)


def test_an_unfinished_conversion_goes_on_though_a_name_before_it_is_free(
    library: Library, checkpoint: Path
) -> None:
    wish = ImportWish(checkpoint, target="q8_0")
    taken = library.folder / f"{checkpoint.name}-q8_0.gguf"
    taken.parent.mkdir()
    taken.write_bytes(b"mine")
    with closing(import_model(wish, library, resumes=True)) as events:
        begun = next(
            event for event in events if isinstance(event, WorkProgress) and event.n_tensors_done > 1
        )
    assert begun.output is not None
    assert partial_path(begun.output).exists()
    taken.unlink()

    progress, done = finish(wish, library, resumes=True)

    assert done.path == begun.output
    assert progress[0].phase == "resume"
    assert files(library) == [done.path.name]


@pytest.mark.parametrize("how", ["copy", "link"])
def test_a_file_is_not_added_again(library: Library, tmp_path: Path, how: How) -> None:
    wish = ImportWish(write_model(tmp_path / "贝拉.gguf"), how)
    _, done = finish(wish, library)

    for again in ("copy", "link"):
        with pytest.raises(ModelHere) as here:
            finish(replace(wish, how=again), library)
        assert here.value.path == done.path

    assert files(library) == ["贝拉.gguf"]


def test_what_only_a_conversion_gives_is_not_asked_of_a_gguf(library: Library, tmp_path: Path) -> None:
    path = write_model(tmp_path / "贝拉-f32.gguf")
    for wish in (
        ImportWish(path, target="q8_0"),
        ImportWish(path, key=path),
        ImportWish(path, tokenizer=path),
    ):
        with pytest.raises(NotForGguf):
            finish(wish, library)

    _, done = finish(ImportWish(path, target="f32"), library)
    assert done.path.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("how", ["link", "in-place"])
def test_a_checkpoint_is_neither_linked_nor_left_in_place(
    library: Library, checkpoint: Path, how: How
) -> None:
    with pytest.raises(OnlyForGguf) as refused:
        finish(ImportWish(checkpoint, how), library)
    assert (refused.value.name, refused.value.option) == (checkpoint.name, how)


def test_the_only_gguf_of_a_folder_is_the_one_that_was_meant(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "下载"
    folder.mkdir()
    write_model(folder / "贝拉.gguf")
    (folder / "README.md").write_text("notes")

    _, done = finish(ImportWish(folder), library)

    assert done.path == library.folder / "贝拉.gguf"
    with pytest.raises(ModelHere):
        finish(ImportWish(folder), library)
    write_model(folder / "other.gguf")
    with pytest.raises(SeveralWeightFiles) as several:
        finish(ImportWish(folder), library)
    assert several.value.names == ("other.gguf", "贝拉.gguf")


def test_after_damage_a_file_is_added_again(library: Library, tmp_path: Path) -> None:
    wish = ImportWish(write_model(tmp_path / "贝拉.gguf"))
    _, damaged = finish(wish, library)
    damage(damaged.path, library)

    _, again = finish(wish, library)

    assert again.path == library.folder / "贝拉-2.gguf"
    assert again.path.read_bytes() == wish.path.read_bytes() != damaged.path.read_bytes()
    with pytest.raises(ModelHere) as here:
        finish(wish, library)
    assert here.value.path == again.path


def test_after_damage_a_checkpoint_is_converted_again(library: Library, checkpoint: Path) -> None:
    wish = ImportWish(checkpoint, target="q8_0")
    _, damaged = finish(wish, library)
    damage(damaged.path, library)

    for resumes in (True, False):
        with pytest.raises(OutputExists):  # a wished name is nobody else's
            finish(replace(wish, name=damaged.path.stem), library, resumes=resumes)
    _, again = finish(wish, library, resumes=True)

    assert again.path != damaged.path
    assert again.sha256 == damaged.sha256


@pytest.mark.parametrize("how", ["copy", "link", "in-place"])
def test_a_file_in_the_models_folder_stays_the_only_one(library: Library, tmp_path: Path, how: How) -> None:
    wish = ImportWish(write_model(tmp_path / "贝拉.gguf"))
    _, done = finish(wish, library)
    (tmp_path / "link").symlink_to(library.folder)

    for path in (done.path, tmp_path / "link" / done.path.name):
        with pytest.raises(ModelHere) as here:
            finish(ImportWish(path, how), library)
        assert here.value.path == done.path

    assert files(library) == [done.path.name]
    model = library.look().at(done.path)
    assert model is not None
    assert (model.source, model.expected_sha256) == (str(wish.path), done.sha256)
    damage(done.path, library)
    with pytest.raises(ModelChanged):
        finish(ImportWish(done.path, how), library)


def test_a_model_of_another_folder_is_copied_though_it_is_listed(library: Library, tmp_path: Path) -> None:
    (tmp_path / "外部").mkdir()
    path = write_model(tmp_path / "外部" / "贝拉.gguf")
    library.add_folder(path.parent)

    with pytest.raises(ModelHere):
        finish(ImportWish(path, "in-place"), library)
    _, done = finish(ImportWish(path), library)

    assert done.path.read_bytes() == path.read_bytes()


def test_giving_up_a_killed_copy_leaves_nothing_unfinished(tmp_path: Path) -> None:
    home = Home(tmp_path / "data")
    home.make(home.models)
    mine = home.models / "贝拉.gguf"
    mine.write_bytes(b"mine")
    wish = ImportWish(write_model(tmp_path / "贝拉.gguf"))
    with closing(import_model(wish, open_library(home), resumes=True)) as events:
        told = next(events)
        assert isinstance(told, WorkProgress)
        assert told.output is not None
        killed = copy_path(told.output).read_bytes()
    copy_path(told.output).write_bytes(killed)
    record = JobRecord("0" * 16, Import(wish), "running", 0.0, 1, 2, str(told.output))
    save_record(home.make(home.jobs), record)

    service = ModelService(home, endpoints=lambda: Endpoints(()))
    service.jobs.cancel(record.id)
    service.close()

    assert os.listdir(home.models) == [mine.name]
    assert mine.read_bytes() == b"mine"
    assert wish.path.exists()
