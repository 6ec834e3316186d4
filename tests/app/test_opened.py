"""Files and folders that are opened with the app: which models they are, and what becomes of each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.cli import with_command
from app.models.conversion import Draft
from app.models.inspection import Given
from app.models.opened import Drafts, sources_of
from app.models.typed_path import opened_path
from builders.checkpoints import write_bloom
from builders.encrypted import encrypt_folder

KEY = bytes(range(256)) * 40


def _touch(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")
    return [folder / name for name in names]


# --- which models they are --------------------------------------------------------------------------


def test_every_model_is_looked_at_once_in_the_order_of_opening(tmp_path: Path) -> None:
    two, one = _touch(tmp_path, "two.gguf", "one.gguf")
    folder = write_bloom(tmp_path / "检查点").folder

    assert sources_of([two, folder, one, two, folder / ".." / "two.gguf"]) == (two, folder, one)
    assert sources_of([]) == ()


@pytest.mark.parametrize("n", [1, 3])
def test_the_encrypted_files_of_a_folder_are_one_model(tmp_path: Path, n: int) -> None:
    folder = tmp_path / "加密 enc"
    encrypt_folder(write_bloom(tmp_path / "plain").folder, folder, KEY)
    files = sorted(path for path in folder.iterdir() if path.suffix == ".enc")

    assert sources_of(files[:n]) == (folder,)
    assert sources_of([folder, *files]) == (folder,)


def test_the_shards_and_the_descriptions_of_a_checkpoint_are_their_folder(tmp_path: Path) -> None:
    folder = write_bloom(tmp_path / "b", n_shards=2).folder
    names = sorted(path.name for path in folder.iterdir())
    assert "model-00001-of-00002.safetensors" in names

    for name in names:
        if name.endswith(".json") or "-of-" in name:
            assert sources_of([folder / name]) == (folder,), name
    assert sources_of(folder / name for name in names) == (folder,)
    (adapter,) = _touch(tmp_path / "lora", "adapter_model.safetensors")
    meta = _touch(tmp_path / "7B", "consolidated.00.pth", "params.json")
    assert sources_of([adapter, *meta]) == (adapter.parent, tmp_path / "7B")


def test_a_file_that_is_a_model_by_itself_stays_one(tmp_path: Path) -> None:
    first, second, pickle = _touch(tmp_path, "ggml-q4_0.bin", "ggml-f16.bin", "belle.pt")
    part, alone = _touch(tmp_path, "ggml-f16.bin.1", "lost.bin.1")

    assert sources_of([first, second, pickle]) == (first, second, pickle)
    assert sources_of([part, second, alone]) == (second, alone)


def test_the_parts_of_a_gguf_are_one_model_and_do_not_belong_to_their_folder(tmp_path: Path) -> None:
    one, two = _touch(tmp_path, "m-00001-of-00002.gguf", "m-00002-of-00002.gguf")
    (other,) = _touch(tmp_path, "other.gguf")

    assert sources_of([two]) == sources_of([two, one]) == (one,)
    assert sources_of([tmp_path, other, two]) == (tmp_path, other, one)


def test_what_is_not_there_is_kept_so_that_it_can_be_told(tmp_path: Path) -> None:
    gone = [tmp_path / "gone.gguf", tmp_path / "没有" / "x.enc", tmp_path / ("n" * 300)]
    assert sources_of(gone) == tuple(gone)


# --- as it comes from a shell or a file manager -----------------------------------------------------


def test_paths_are_absolute_whatever_form_they_come_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "模型 #1?.gguf"

    assert opened_path("模型 #1?.gguf") == path
    assert opened_path(str(path)) == path
    assert opened_path(path.as_uri()) == path
    assert opened_path("~/模型 #1?.gguf") == path
    assert opened_path("file:///%E6%A8%A1/b") == Path(os.sep, "模", "b")
    (tmp_path / "file:").mkdir()
    (tmp_path / "file:" / "a").touch()
    assert opened_path("file:/a") == tmp_path / "file:" / "a"  # somebody calls a folder so
    with pytest.raises(ValueError, match="^$"):
        opened_path("")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("here.gguf", "gui here.gguf"),
        ("gone.gguf", "gui gone.gguf"),
        ("gone.gguf here.gguf", "gui gone.gguf here.gguf"),
        ("folder", "gui folder"),
        ("./folder", "gui ./folder"),
        ("/no/where", "gui /no/where"),
        ("file:///a%20b", "gui file:///a%20b"),
        ("--lang zh-CN here.gguf", "--lang zh-CN gui here.gguf"),
        ("--port 1 here.gguf", "gui --port 1 here.gguf"),
        ("models", "models"),  # a folder, too
        ("here.gguf cht", "here.gguf cht"),
        ("chta", "chta"),
        ("chat here.gguf", "chat here.gguf"),
    ],
)
def test_what_is_opened_needs_no_command(
    given: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _touch(tmp_path, "here.gguf")
    (tmp_path / "folder").mkdir()
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    assert with_command(given.split()) == meant.split()


# --- several conversions ----------------------------------------------------------------------------


def _paths(drafts: Drafts) -> list[str]:
    return [str(draft.path) for draft in drafts.all]


def _never(draft: Draft) -> bool:
    return False


def test_one_source_is_just_that() -> None:
    drafts = Drafts()
    assert not drafts.are_several
    drafts.open([Path("/a")], _never)
    assert (_paths(drafts), drafts.are_several) == (["/a"], False)
    assert drafts.current is drafts.all[0]


def test_what_was_begun_stays_beside_what_is_opened() -> None:
    drafts = Drafts()
    drafts.open([Path("/a")], _never)
    begun = drafts.current
    begun.type_name, begun.name = "q8_0", "typed"

    drafts.open([Path("/b"), Path("/c"), Path("/b")], _never)
    assert _paths(drafts) == ["/a", "/b", "/c"]
    assert drafts.current.path == Path("/b")
    drafts.open([Path("/a")], _never)
    assert drafts.current is begun
    assert _paths(drafts) == ["/a", "/b", "/c"]


def test_what_is_over_goes_when_something_else_is_opened() -> None:
    drafts = Drafts()
    drafts.open([Path("/a"), Path("/b")], _never)
    drafts.open([Path("/c")], lambda draft: draft.path == Path("/a"))
    assert _paths(drafts) == ["/b", "/c"]
    drafts.open([], lambda draft: True)
    assert (len(drafts.all), drafts.current.path) == (1, None)


def test_one_can_be_replaced_and_taken_off() -> None:
    drafts = Drafts()
    drafts.open([Path("/a"), Path("/b")], _never)
    other = Draft(Given(Path("/x")))
    drafts.replace(other)
    assert (_paths(drafts), drafts.current) == (["/x", "/b"], other)

    drafts.remove(other)
    assert (_paths(drafts), drafts.current.path) == (["/b"], Path("/b"))
    drafts.remove(drafts.current)
    assert (len(drafts.all), drafts.current.path) == (1, None)
    assert drafts.current is drafts.all[0]
