"""What the engine does differently on a phone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from builders.gguf_models import Shape, write_model
from engine import darwin, memory
from engine.backends import make_backend
from engine.gguf_header import read_gguf_header
from engine.installation import is_phone
from engine.memory import Footprint, default_context, footprint
from engine.model_shape import read_model_shape
from engine.models.adding import Added, add_gguf
from engine.models.library import Library
from engine.models.machine import look_at_machine
from engine.types import LoadOptions
from engine.worker_start import can_start_workers


@pytest.fixture
def phone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be on Android, where nothing but its own packages can be imported."""
    monkeypatch.setenv("FLET_PLATFORM", "android")
    monkeypatch.setitem(sys.modules, "psutil", None)


def _model(tmp_path: Path, trained: int) -> Footprint:
    shape = Shape(context=trained)
    header = read_gguf_header(write_model(tmp_path / "model.gguf", architecture="llama", shape=shape))
    return footprint(header, read_model_shape(header))


@pytest.mark.parametrize(
    ("platform", "expected"), [("android", True), ("ios", True), ("IOS", True), ("linux", False), ("", False)]
)
def test_flet_says_what_kind_of_system_this_is(platform: str, expected: bool) -> None:
    assert is_phone({"FLET_PLATFORM": platform}) is expected


@pytest.mark.parametrize("platform", ["android", "ios"])
def test_python_says_it_as_well(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)

    assert is_phone({})
    assert not can_start_workers()


@pytest.mark.usefixtures("phone")
def test_memory_is_known_without_psutil() -> None:
    total, available = memory.total_bytes(), memory.available_bytes()

    assert total is not None
    assert available is not None
    assert 0 < available <= total
    assert look_at_machine().bandwidth <= 20_000_000_000


@pytest.mark.usefixtures("phone")
def test_memory_that_nobody_tells_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "nothing")

    assert memory.total_bytes() is None
    assert darwin.sysctl("hw.memsize") is None
    assert darwin.available_memory() is None


@pytest.mark.skipif(sys.platform == "darwin", reason="there the system does it")
def test_other_systems_know_no_folder_without_a_backup(tmp_path: Path) -> None:
    assert darwin.keep_out_of_backups(tmp_path) is False


@pytest.mark.skipif(sys.platform != "darwin", reason="only Apple's systems do it")
def test_apples_systems_leave_the_folder_out_of_their_backups(tmp_path: Path) -> None:
    assert darwin.keep_out_of_backups(tmp_path) is True


def test_a_phones_context_is_half_of_a_desktops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model(tmp_path, 32_768)
    assert default_context(model, None) == 4096

    monkeypatch.setenv("FLET_PLATFORM", "ios")

    assert default_context(model, None) == 2048
    assert default_context(_model(tmp_path, 1024), None) == 1024


@pytest.mark.usefixtures("phone")
def test_what_a_person_asked_for_holds_on_a_phone_too(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.gguf", architecture="llama", shape=Shape(context=8192))
    backend = make_backend()

    assert backend.load(path, LoadOptions()).context_tokens == 2048
    assert backend.load(path, LoadOptions(context_tokens=3072)).context_tokens == 3072
    backend.unload()


@pytest.mark.usefixtures("phone")
def test_a_chosen_file_becomes_the_model_without_a_copy(tmp_path: Path) -> None:
    """The system made a copy of what was chosen already, in a cache; links are closed to apps."""
    (tmp_path / "cache").mkdir()
    chosen = write_model(tmp_path / "cache" / "选中.gguf", architecture="llama")
    identity = chosen.stat().st_ino
    library = Library(tmp_path, tmp_path / "models", tmp_path / "hub")

    *_, added = add_gguf(chosen, library, "link")

    assert isinstance(added, Added)
    assert added.path.stat().st_ino == identity
    assert not chosen.exists()
