"""The models of this disk as the screen gets them: groups, verdicts, the disk, and every sentence."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.chat.choices import ModelChoice
from app.chat.events import EngineState
from app.home import Home
from app.i18n import Texts
from app.models.events import LibraryChanged, ModelEvent
from app.models.fit_texts import fit_sentence, fit_word
from app.models.import_look import ImportLook, look_at_import
from app.models.local_shelf import ShelfRow, disk_shares, read_shelf
from app.models.local_texts import (
    about_text,
    details,
    facts,
    parameters_text,
    place_text,
    problem_text,
    used_text,
)
from app.models.service import ModelService
from builders.fake_backend import INFO
from builders.gguf_models import write_model
from builders.sparse_models import SparseShape, write_sparse_model
from convert.i18n import LANGUAGES, Language
from engine.memory import MemoryNeed
from engine.models.fit import Fit, Verdict
from engine.models.library import Library
from engine.models.machine import Machine

GB = 1_000_000_000
HUGE = SparseShape("llama", 8192, 64, 40, 28672, 1000, "Q8_0")


def machine(available: int = 8 * GB) -> Machine:
    return Machine(16 * GB, available, 8, None, 35 * GB)


@pytest.fixture
def service(home_folder: Path) -> ModelService:
    service = ModelService(Home(home_folder), machine=machine)
    service.library.folder.mkdir(parents=True)
    return service


def ready_with(path: Path) -> EngineState:
    """As the engine's state is while it has the model at `path`."""
    return EngineState("ready", ModelChoice(str(path), path.stem, path, 1, is_demo=False), INFO)


def row(service: ModelService, name: str) -> ShelfRow:
    return next(row for row in read_shelf(service).rows if row.model.name == name)


def test_an_empty_disk_is_an_empty_shelf_with_its_disk(service: ModelService) -> None:
    shutil.rmtree(service.library.folder)

    shelf = read_shelf(service)

    assert shelf.groups == ()
    assert shelf.missing == ()
    assert shelf.disk is not None
    assert shelf.disk.models_bytes == 0
    assert not service.library.folder.exists()


def test_models_are_grouped_by_place_and_added_folders_are_kept_when_empty(
    service: ModelService, tmp_path: Path
) -> None:
    added, gone, place = tmp_path / "外接 硬盘", tmp_path / "gone", tmp_path / "place"
    for folder in (added / "深", place):
        folder.mkdir(parents=True)
    write_model(service.library.folder / "own.gguf")
    write_model(added / "深" / "theirs.gguf", seed=1)
    service.library.note(write_model(place / "kept.gguf", seed=2), in_place=True)
    service.add_folder(added)
    service.add_folder(gone)

    groups = read_shelf(service).groups

    assert [(group.kind, [each.model.name for each in group.rows]) for group in groups] == [
        ("models", ["own"]),
        ("folder", ["theirs"]),
        ("folder", []),
        ("elsewhere", ["kept"]),
    ]
    assert [group.state for group in groups] == ["readable", "readable", "gone", "readable"]
    assert [each.is_in_place for group in groups for each in group.rows] == [False, False, True]


def test_a_model_in_two_added_folders_is_shown_once(service: ModelService, tmp_path: Path) -> None:
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    write_model(tmp_path / "outer" / "inner" / "one.gguf")
    service.add_folder(tmp_path / "outer")
    service.add_folder(tmp_path / "outer" / "inner")

    groups = read_shelf(service).groups

    assert [len(group.rows) for group in groups] == [1, 0]


def test_what_does_not_fit_says_what_it_needs_and_what_is_free(service: ModelService) -> None:
    write_sparse_model(service.library.folder / "huge.gguf", HUGE)

    fit = row(service, "huge").fit

    assert fit is not None
    assert fit.verdict is Verdict.NO
    assert f"{fit.need.total / GB:.2f} GB" in fit_sentence(fit, Texts("en"))
    assert "8.00 GB" in fit_sentence(fit, Texts("zh-CN"))


def test_the_memory_of_the_loaded_model_counts_for_the_next(home_folder: Path) -> None:
    service = ModelService(Home(home_folder), machine=lambda: machine(available=30_000_000))
    service.library.folder.mkdir(parents=True)
    loaded = write_model(service.library.folder / "loaded.gguf")
    write_model(service.library.folder / "next.gguf", seed=1)

    before, after = read_shelf(service), read_shelf(service, ready_with(loaded))

    free = [each.fit.free_bytes or 0 for each in (*before.rows, *after.rows) if each.fit is not None]
    assert free[0] == free[1] == 30_000_000
    assert free[2] == free[3] > free[0]


def test_a_loaded_model_is_never_said_not_to_fit(home_folder: Path) -> None:
    service = ModelService(Home(home_folder), machine=lambda: machine(available=GB))
    service.library.folder.mkdir(parents=True)
    path = write_sparse_model(service.library.folder / "huge.gguf", HUGE)

    alone, loaded = read_shelf(service).rows[0].fit, read_shelf(service, ready_with(path)).rows[0].fit

    assert alone is not None
    assert loaded is not None
    assert alone.verdict is Verdict.NO
    assert loaded.verdict is not Verdict.NO


def test_a_damaged_file_has_a_problem_and_no_verdict(service: ModelService) -> None:
    (service.library.folder / "坏的.gguf").write_bytes(b"GGUF" + bytes(40))

    damaged = row(service, "坏的")

    assert damaged.fit is None
    assert "坏的.gguf" in (problem_text(damaged, Texts("zh-CN")) or "")
    assert about_text(damaged, Texts("en")) == ""
    assert details(damaged, Texts("en"))[0].label == "Problem"


def test_a_model_that_fails_its_verification_is_marked_and_stays_so(home_folder: Path) -> None:
    home = Home(home_folder)
    service = ModelService(home, machine=machine)
    path = write_model(home.make(home.models) / "贝拉.gguf")
    service.library.note(path, expected_sha256="0" * 64)
    told: list[ModelEvent] = []
    service.subscribe(told.append)

    service.verify(path)
    assert service.jobs.wait(30)

    assert [job.state for job in service.jobs.all] == ["failed"]
    assert LibraryChanged() in told
    service.close()
    again = ModelService(home, machine=machine)
    assert again.jobs.all == ()
    damaged = row(again, "贝拉")
    assert damaged.fit is None
    assert "0" * 64 in (problem_text(damaged, Texts("zh-CN")) or "")
    said = [line.value for line in details(damaged, Texts("en"))]
    assert any("not what it should be: the file is damaged" in value for value in said)
    again.close()


def test_shares_of_the_disk_add_up_and_never_go_below_nothing(service: ModelService) -> None:
    write_sparse_model(service.library.folder / "huge.gguf", HUGE)
    listing = service.listing()

    shares = disk_shares(service.library.folder, [replace(listing.models[0], size_bytes=1 << 60)])

    assert shares is not None
    assert shares.other_bytes == 0
    assert shares.total_bytes <= shutil.disk_usage(service.library.folder).total


def test_the_catalog_knows_best_what_a_model_is(service: ModelService) -> None:
    path = write_model(service.library.folder / "贝拉.gguf")
    service.library.note(path, source="BelleGroup/BELLE-7B-2M", catalog_id="belle-7b-2m")

    known = row(service, "贝拉")

    assert known.entry is not None
    assert "200 万条指令" in about_text(known, Texts("zh-CN"))
    assert about_text(known, Texts("en")).startswith("BLOOM-7B tuned on 2 million instructions")
    assert "apache-2.0" in facts(known, Texts("en"))


def test_without_the_catalog_the_header_says_what_it_is(service: ModelService) -> None:
    write_model(service.library.folder / "tiny.gguf")

    tiny = row(service, "tiny")

    assert about_text(tiny, Texts("en")) == (
        "A BLOOM model with 26.6 thousand parameters, type f32, prompt format BELLE."
    )
    assert about_text(tiny, Texts("zh-CN")) == "BLOOM 模型，2.66 万参数，类型 f32，BELLE 提示格式。"
    assert facts(tiny, Texts("en")) == ("113\N{NO-BREAK SPACE}kB", "models folder", "not used yet")


@pytest.mark.parametrize(
    ("n_parameters", "language", "text"),
    [
        (7_069_016_064, "zh-CN", "70.7 亿参数"),
        (7_069_016_064, "en", "7.07 billion parameters"),
        (109_000_000_000, "zh-CN", "1,090 亿参数"),
        (560_000_000, "en", "560 million parameters"),
        (42, "en", "42 parameters"),
    ],
)
def test_parameters_are_said_in_the_units_of_the_language(
    n_parameters: int, language: Language, text: str
) -> None:
    assert parameters_text(n_parameters, Texts(language)) == text


def test_use_is_told_by_the_calendar() -> None:
    now = time.mktime((2026, 11, 21, 0, 30, 0, 0, 0, -1))
    english = Texts("en")

    assert used_text(None, english, now) == "not used yet"
    assert used_text(now - 60, english, now) == "used today"
    assert used_text(now - 3600, english, now) == "used yesterday"
    assert used_text(now - 3 * 86400, english, now) == "used 3 days ago"
    assert used_text(now - 30 * 86400, Texts("zh-CN"), now) == "上次使用 2026-10-22"


@pytest.mark.parametrize("language", LANGUAGES)
def test_details_tell_all_that_is_known(service: ModelService, language: Language) -> None:
    path = write_model(service.library.folder / "tiny.gguf")
    for _ in service.library.verify(service.listing().models[0]):
        pass
    service.library.note(path, source="BelleGroup/x", license="apache-2.0", expected_sha256="0" * 64)
    service.library.note_used(path)
    tiny = row(service, "tiny")

    lines = details(tiny, Texts(language), moved_from=Path("旧") / "tiny.gguf")

    values = [line.value for line in lines]
    assert str(path) in values
    assert {"BelleGroup/x", "apache-2.0", "BLOOM", "f32", "0" * 64} <= set(values)
    assert any("tiny.gguf" in value and "旧" in value for value in values)
    assert len({line.label for line in lines}) == len(lines)


def test_places_have_words_in_both_languages(service: ModelService) -> None:
    write_model(service.library.folder / "tiny.gguf")
    tiny = row(service, "tiny")

    for language in LANGUAGES:
        kept = replace(tiny, model=replace(tiny.model, place="in-place"))
        cached = replace(tiny, model=replace(tiny.model, place="hf-cache"))
        words = {place_text(each, Texts(language)) for each in (tiny, kept, cached)}
        assert len(words) == 3


def test_verdicts_have_a_word_and_a_sentence() -> None:
    need = MemoryNeed(4 * GB, GB // 2, GB // 2)
    texts = Texts("en")

    assert fit_word(None, texts) == "Not known"
    assert fit_sentence(Fit(Verdict.WELL, need, 9 * GB, 2048), texts) == (
        "Runs well on this computer: it needs 5.00 GB of memory, and 9.00 GB are available."
    )
    assert fit_sentence(Fit(Verdict.WELL, need, None, 2048), texts) == (
        "Runs well on this computer: it needs 5.00 GB of memory."
    )
    assert "as q4_k_m" in fit_sentence(Fit(Verdict.SLOWLY, need, 9 * GB, 2048, None, "q4_k_m"), texts)
    no = Fit(Verdict.NO, need, 3 * GB, 2048)
    assert "needs 5.00 GB of memory, and 3.00 GB" in fit_sentence(no, texts)
    assert "smaller model" in fit_sentence(no, texts)
    assert "Choose q3_k_m" in fit_sentence(replace(no, quantization="q3_k_m"), texts)
    assert "1,024" in fit_sentence(replace(no, smaller_context=1024), Texts("zh-CN"))


def test_import_asks_by_what_is_at_the_path(tmp_path: Path) -> None:
    library = Library(tmp_path / "家", tmp_path / "家" / "models")
    gguf = write_model(tmp_path / "模型.gguf")
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK\3\4")

    assert look_at_import(tmp_path / "none", library) == ImportLook(tmp_path / "none")
    assert look_at_import(tmp_path, library) == ImportLook(tmp_path, exists=True)
    assert not look_at_import(tmp_path / "pytorch_model.bin", library).is_gguf
    found = look_at_import(gguf, library)
    assert (found.is_gguf, found.can_link, found.is_known) == (True, True, False)
    assert found.size_bytes == gguf.stat().st_size
    library.add_folder(tmp_path)
    assert look_at_import(gguf, library).is_known


def test_what_the_disk_has_no_room_for_is_linked_or_left_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(tmp_path / "家", tmp_path / "家" / "models")
    gguf = write_model(tmp_path / "模型.gguf")
    wide = look_at_import(gguf, library)
    monkeypatch.setattr(Library, "free_bytes", lambda self: 1)

    found = look_at_import(gguf, library)

    assert (wide.possible("copy"), found.possible("copy"), found.possible("in-place")) == (
        "copy",
        "link",
        "in-place",
    )
    assert replace(found, can_link=False).possible("copy") == "in-place"
    assert found.free_bytes == 1
    assert replace(found, free_bytes=2) == found
