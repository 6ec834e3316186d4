"""What is in an offline kit, what is not, and how one that was interrupted is finished."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tarfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import app.kit.writing
from app.kit.errors import (
    KitFileTooLarge,
    KitFolderTaken,
    KitNeedsBundle,
    KitNotWritten,
    KitThere,
    KitTooLarge,
    KitUnfinished,
)
from app.kit.manifest import UNFINISHED_NAME, read_kit
from app.kit.page import PAGE_NAME, page_of
from app.kit.writing import KitDone, PackedModel, make_kit
from app.models.progress import WorkProgress
from builders.disks import resize_disk
from builders.gguf_models import write_model
from engine.errors import EngineError
from engine.models.errors import ModelChanged
from engine.models.file_systems import file_size_limit, keeps_programs
from engine.models.places import find_parts

PRIVATE = "私密的对话"


def packed(model: Path, **options: str) -> PackedModel:
    return PackedModel(find_parts(model), model.stem, **options)  # type: ignore[arg-type]


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def test_a_kit_has_the_program_the_model_and_instructions(kit: Any, tiny_model: Path) -> None:
    folder = kit(license="bigscience-bloom-rail-1.0", prompt_format="belle")

    assert everything(folder) == [
        "ChatBELLE/_internal/app/i18n/en.json",
        "ChatBELLE/_internal/libggml.so",
        "ChatBELLE/_internal/libggml.so.0",
        "ChatBELLE/belle-convert",
        "ChatBELLE/chatbelle",
        "ChatBELLE/licences/index.txt",
        "SHA256SUMS.txt",
        "chatbelle-kit.json",
        "models/小模型.gguf",
        PAGE_NAME,
    ]
    assert os.access(folder / "ChatBELLE" / "chatbelle", os.X_OK)
    assert (folder / "ChatBELLE" / "_internal" / "libggml.so").is_symlink()
    found = read_kit(folder)
    assert found.model is not None
    assert found.model.sha256 == hashlib.sha256(tiny_model.read_bytes()).hexdigest()
    assert (found.model.license, found.model.prompt_format) == ("bigscience-bloom-rail-1.0", "belle")
    assert (folder / "models" / "小模型.gguf").read_bytes() == tiny_model.read_bytes()


def test_a_model_of_which_nothing_is_on_record_has_the_licence_that_its_file_names(
    program: Path, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "licensed.gguf", keys={"general.license": "apache-2.0"})

    *_, done = make_kit(tmp_path / "kit", packed(model))

    assert isinstance(done, KitDone)
    assert done.kit.model is not None
    assert done.kit.model.license == "apache-2.0"


def test_nothing_of_the_person_is_in_it(kit: Any, program: Path) -> None:
    folder = kit()

    for path in folder.rglob("*"):
        assert PRIVATE.encode() not in (path.read_bytes() if path.is_file() else b"")
    assert str(program) not in (folder / PAGE_NAME).read_text(encoding="utf-8")
    assert (program / "data" / "settings.json").read_text(encoding="utf-8") == PRIVATE


def test_the_checksums_are_those_of_every_file(kit: Any) -> None:
    folder = kit()

    lines = (folder / "SHA256SUMS.txt").read_text(encoding="utf-8").splitlines()
    sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    assert "models/小模型.gguf" in sums
    assert len(sums) == 6
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_the_page_says_it_in_both_languages_and_needs_no_other_file(kit: Any) -> None:
    folder = kit(license="<MIT> & more")

    page = (folder / PAGE_NAME).read_text(encoding="utf-8")
    model = read_kit(folder).model
    assert model is not None
    assert page.index("离线安装说明") < page.index("without a network")
    assert page.count(model.sha256) == 2
    assert "&lt;MIT&gt; &amp; more" in page
    assert not re.search(r"https?:|src=|href=|<script", page)


@pytest.mark.parametrize("system", ["Windows-AMD64", "Darwin-arm64", "Linux-x86_64"])
def test_the_page_knows_every_system(kit: Any, system: str) -> None:
    page = page_of(replace(read_kit(kit()), system=system))

    start = {"Windows": "ChatBELLE.exe", "Darwin": "Applications", "Linux": "./chatbelle"}
    assert start[system.partition("-")[0]] in page


def test_the_built_in_model_needs_no_file(program: Path, tmp_path: Path) -> None:
    *_, done = make_kit(tmp_path / "kit", None)

    assert isinstance(done, KitDone)
    assert read_kit(done.folder).model is None
    assert not (done.folder / "models").exists()


@pytest.mark.parametrize("n_events", [1, 4, 9])
def test_what_was_interrupted_is_no_kit_and_goes_on(
    program: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_events: int
) -> None:
    monkeypatch.setattr(app.kit.writing, "_CHUNK_BYTES", tiny_model.stat().st_size // 3)
    folder = tmp_path / "kit"
    with closing(make_kit(folder, packed(tiny_model))) as work:
        for _ in range(n_events):
            next(work)

    with pytest.raises(KitUnfinished):
        read_kit(folder)
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / "another that was chosen first.gguf").write_bytes(b"GGUF")
    copied = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name == "belle-convert"}

    events = list(make_kit(folder, packed(tiny_model)))

    shares = [event.done_bytes / event.total_bytes for event in events if isinstance(event, WorkProgress)]
    assert max(shares) <= 1
    assert read_kit(folder).model is not None
    assert not [name for name in everything(folder) if "partial" in name or "another" in name]
    assert all(path.stat().st_mtime_ns == at for path, at in copied.items())


def test_a_kit_begun_by_another_version_has_none_of_its_files(
    program: Path, tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "kit"
    list(make_kit(folder, packed(tiny_model)))
    (folder / UNFINISHED_NAME).touch()
    expected = everything(folder / "ChatBELLE")
    stale = folder / "ChatBELLE" / "_internal" / "chatbelle-0.0.1.dist-info" / "METADATA"
    stale.parent.mkdir()
    stale.write_text("Version: 0.0.1\n", encoding="utf-8")

    list(make_kit(folder, packed(tiny_model)))

    assert everything(folder / "ChatBELLE") == expected
    assert not stale.parent.exists()


def test_a_changed_copy_of_an_earlier_run_is_copied_again(
    program: Path, tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "kit"
    list(make_kit(folder, packed(tiny_model)))
    copy = folder / "models" / tiny_model.name
    copy.write_bytes(bytes(copy.stat().st_size))
    (folder / UNFINISHED_NAME).touch()

    list(make_kit(folder, packed(tiny_model)))

    assert copy.read_bytes() == tiny_model.read_bytes()


def test_a_full_disk_is_said_before_anything_is_written(
    program: Path, tiny_model: Path, small_disk: Path
) -> None:
    (small_disk / "filler").write_bytes(bytes((8 << 20) - 100_000))
    folder = small_disk / "kit"

    with pytest.raises(KitTooLarge) as refused:
        list(make_kit(folder, packed(tiny_model)))

    assert refused.value.needed_bytes > refused.value.free_bytes
    assert not folder.exists()


def test_a_disk_that_becomes_full_leaves_what_can_be_finished(
    program: Path, tiny_model: Path, small_disk: Path
) -> None:
    folder = small_disk / "kit"
    with closing(make_kit(folder, packed(tiny_model))) as work:
        next(work)
        resize_disk(small_disk, "40k")
        with pytest.raises(KitNotWritten):
            list(work)

    resize_disk(small_disk, "8m")
    list(make_kit(folder, packed(tiny_model)))
    assert read_kit(folder).model is not None


def test_only_a_new_or_empty_folder_is_taken(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    taken, there = tmp_path / "taken", tmp_path / "there"
    taken.mkdir()
    (taken / "照片.jpg").touch()
    list(make_kit(there, None))
    (tmp_path / "file").touch()

    with pytest.raises(KitFolderTaken) as refused:
        list(make_kit(taken, None))
    with pytest.raises(KitThere):
        list(make_kit(there, None))
    with pytest.raises(KitNotWritten):
        list(make_kit(tmp_path / "file", None))

    assert refused.value.example == "照片.jpg"
    assert everything(taken) == ["照片.jpg"]


def test_a_copy_of_the_program_that_needs_python_makes_none(tmp_path: Path) -> None:
    with pytest.raises(KitNeedsBundle):
        list(make_kit(tmp_path / "kit", None))
    assert not (tmp_path / "kit").exists()


def test_a_file_too_large_for_the_file_system_is_said_first(
    program: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.kit.writing, "file_size_limit", lambda _folder: (1000, "vfat"))

    with pytest.raises(KitFileTooLarge) as refused:
        list(make_kit(tmp_path / "kit", packed(tiny_model)))

    assert (refused.value.name, refused.value.kind) == (tiny_model.name, "vfat")
    assert not (tmp_path / "kit").exists()


def test_fat_is_told_from_other_file_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    class Partition:
        def __init__(self, mountpoint: Path, fstype: str) -> None:
            self.mountpoint, self.fstype = str(mountpoint), fstype

    parts = [Partition(Path("/"), "ext4"), Partition(tmp_path / "stick", "vfat")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: parts)  # noqa: A002
    (tmp_path / "stick").mkdir()

    assert file_size_limit(tmp_path / "stick" / "new" / "kit") == ((1 << 32) - 1, "vfat")
    assert file_size_limit(tmp_path / "stick of another name") is None


@pytest.mark.skipif(sys.platform == "win32", reason="a disk there keeps programs by their names")
def test_a_disk_without_links_gets_the_program_as_an_archive(
    program: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.kit.writing, "keeps_programs", lambda _folder: False)

    *_, done = make_kit(tmp_path / "kit", packed(tiny_model))

    assert isinstance(done, KitDone)
    assert done.kit.program == "ChatBELLE.tar"
    with tarfile.open(done.folder / "ChatBELLE.tar") as archive:
        assert {(entry.uname, entry.gname, entry.uid) for entry in archive} == {("", "", 0)}
        archive.extractall(tmp_path / "unpacked", filter="data")
    unpacked = tmp_path / "unpacked" / "ChatBELLE"
    assert "data/settings.json" not in everything(unpacked)
    assert (unpacked / "_internal" / "libggml.so").read_bytes() == (
        program / "_internal" / "libggml.so.0"
    ).read_bytes()
    assert os.access(unpacked / "chatbelle", os.X_OK)
    assert not os.access(unpacked / "_internal" / "app" / "i18n" / "en.json", os.X_OK)
    assert "ChatBELLE.tar" in done.page.read_text(encoding="utf-8")


def test_this_disk_keeps_programs(tmp_path: Path) -> None:
    assert keeps_programs(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_model_is_not_given_away(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelChanged):
        list(make_kit(tmp_path / "one", packed(tiny_model, expected_sha256="0" * 64)))
    cut = tmp_path / "cut.gguf"
    shutil.copyfile(tiny_model, cut)
    with cut.open("r+b") as file:
        file.truncate(tiny_model.stat().st_size - 10_000)
    with pytest.raises(EngineError):
        list(make_kit(tmp_path / "two", packed(cut)))

    assert not (tmp_path / "one" / "chatbelle-kit.json").exists()
    assert not (tmp_path / "two").exists()
