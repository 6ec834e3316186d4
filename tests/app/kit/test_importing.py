"""A model from a kit is verified before it is used, however it is opened; a kit is never trusted."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from app.chat.service import ChatService
from app.errors import ModelHere
from app.history.lock import HistoryLock
from app.history.store import HistoryStore
from app.home import Home
from app.i18n import Texts
from app.kit.errors import KitDamaged, KitError, KitModelDamaged, KitTooNew, KitUnfinished, KitWithoutModel
from app.kit.manifest import MANIFEST_NAME, UNFINISHED_NAME, read_kit
from app.kit.program import kit_of_program
from app.kit.prompt_format import keep_kit_format
from app.kit.writing import make_kit
from app.main import App
from app.models.events import LibraryChanged
from app.models.import_look import look_at_import
from app.models.importing import ImportWish, import_model
from app.models.inspection import GgufFacts, Given, inspect
from app.models.progress import WorkDone
from app.models.service import ModelService
from app.personas import PersonaStore
from app.settings import SettingsStore
from builders.fake_backend import FakeBackend
from builders.gguf_models import write_model
from builders.processes import Run, document
from engine.models.adding import How
from engine.models.endpoints import Endpoints
from engine.models.library import Library
from engine.models.machine import Machine

MACHINE = Machine(16 << 30, 8 << 30, 8, None, 35_000_000_000)
PYTHON = sys.executable
HOWS: tuple[How, ...] = ("copy", "link", "in-place")
OPENED = ("", MANIFEST_NAME, "models", "models/小模型.gguf")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "data", tmp_path / "模型")


def finish(path: Path, library: Library, how: How = "copy") -> WorkDone:
    *_, done = import_model(ImportWish(path, how), library)
    assert isinstance(done, WorkDone)
    return done


@pytest.mark.parametrize("opened", OPENED)
@pytest.mark.parametrize("how", HOWS)
def test_the_model_comes_from_whatever_of_the_kit_is_opened(
    kit: Any, library: Library, opened: str, how: How
) -> None:
    folder = kit(license="some-licence-1.0")

    done = finish(folder / opened, library, how)

    model = library.look().at(done.path)
    packed = read_kit(folder).model
    assert model is not None
    assert packed is not None
    assert done.is_confirmed
    assert done.sha256 == packed.sha256 == model.expected_sha256
    assert model.license == "some-licence-1.0"
    assert (done.path.parent == library.folder) == (how != "in-place")


@pytest.mark.parametrize("how", HOWS)
def test_a_damaged_model_is_named_and_not_added(kit: Any, library: Library, how: How) -> None:
    folder = kit()
    file = folder / "models" / "小模型.gguf"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)

    with pytest.raises(KitModelDamaged) as refused:
        finish(folder, library, how)

    assert refused.value.path == file
    assert library.look().models == ()
    assert not library.folder.exists() or os.listdir(library.folder) == []


def test_the_screens_see_the_model_of_a_kit(kit: Any, library: Library) -> None:
    folder = kit()

    facts = inspect(Given(folder), lambda: MACHINE).facts
    look = look_at_import(folder, library)

    assert isinstance(facts, GgufFacts)
    assert facts.path == look.path == folder / "models" / "小模型.gguf"
    assert look.is_gguf
    assert look.problem is None


def test_an_unfinished_kit_is_refused_everywhere(kit: Any, library: Library) -> None:
    folder = kit()
    (folder / MANIFEST_NAME).rename(folder / UNFINISHED_NAME)

    assert isinstance(inspect(Given(folder), lambda: MACHINE).refusal, KitUnfinished)
    assert isinstance(look_at_import(folder, library).problem, KitUnfinished)
    for opened in (folder, folder / "models" / "小模型.gguf"):
        with pytest.raises(KitUnfinished):
            finish(opened, library)


def test_a_kit_without_a_model_has_nothing_to_import(program: Path, tmp_path: Path, library: Library) -> None:
    list(make_kit(tmp_path / "kit", None))

    with pytest.raises(KitWithoutModel):
        finish(tmp_path / "kit", library)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"format": 2, "version": "9.9"}, KitTooNew),
        ({"model": []}, KitDamaged),
        ({"program": None}, KitDamaged),
        ({"files": []}, KitDamaged),
        ({"files": [{}]}, KitDamaged),
        ({"sha256": "xyz"}, KitDamaged),
        ({"prompt_format": "/etc/passwd"}, KitDamaged),
        ({"path": "models/../../etc/passwd"}, KitDamaged),
        ({"path": "models/.."}, KitDamaged),
        ({"path": "/etc/passwd"}, KitDamaged),
        ({"path": "models\\..\\x.gguf"}, KitDamaged),
        ({"path": "models/C:x.gguf"}, KitDamaged),
        ({"path": "models//x.gguf"}, KitDamaged),
        ({"path": "ChatBELLE/chatbelle"}, KitDamaged),
        ({"size_bytes": -1}, KitDamaged),
        ({"size_bytes": True}, KitDamaged),
    ],
)
def test_a_list_of_contents_is_not_trusted(kit: Any, change: dict[str, Any], error: type[KitError]) -> None:
    folder = kit()
    content = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    for name, value in change.items():
        places = (content["model"]["files"][0], content["model"], content)
        next(place for place in places if name in place)[name] = value
    (folder / MANIFEST_NAME).write_text(json.dumps(content), encoding="utf-8")

    with pytest.raises(error):
        read_kit(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000, "\udcff"])
def test_what_is_no_list_of_contents_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(KitDamaged):
        read_kit(tmp_path)


def test_the_same_model_from_another_copy_of_the_kit_is_here_already(
    kit: Any, library: Library, tmp_path: Path
) -> None:
    done = finish(kit(), library)

    with pytest.raises(ModelHere) as here:
        finish(kit(tmp_path / "another disk"), library)

    assert here.value.path == done.path


def test_a_file_beside_the_listed_ones_is_an_ordinary_model(kit: Any, library: Library) -> None:
    other = write_model(kit() / "models" / "other.gguf")

    assert not finish(other, library).is_confirmed


def test_the_program_knows_the_kit_that_it_lies_in(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = kit()
    assert kit_of_program() is None

    monkeypatch.setattr(sys, "executable", str(folder / "ChatBELLE" / "chatbelle"))
    assert kit_of_program() == folder.resolve()


def test_the_chosen_prompt_format_comes_along_unless_one_is_chosen_here(kit: Any, tmp_path: Path) -> None:
    folder, home = kit(prompt_format="belle"), Home(tmp_path / "home")
    settings = SettingsStore(home.make())
    done = finish(folder, Library(home.root, home.models))

    keep_kit_format(folder, done.path, settings, home)
    assert settings.settings.prompt_format_of("小模型") == "belle"

    settings.set_prompt_format("小模型", "belle-llama")
    keep_kit_format(folder, done.path, settings, home)
    assert settings.settings.prompt_format_of("小模型") == "belle-llama"


def test_a_kit_is_imported_and_chatted_with_in_the_terminal(
    kit: Any, chatbelle: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = kit(prompt_format="belle-llama")
    monkeypatch.setattr(sys, "executable", PYTHON)

    imported = document(chatbelle("models", "import", str(folder), "--json"))
    answered = document(chatbelle("chat", "--model", "小模型", "--max-tokens", "3", "--json", "你好"))

    assert imported["sha256"] == read_kit(folder).model.sha256  # type: ignore[union-attr]
    assert answered["model"]["prompt_format"] == "belle-llama"


def test_a_kit_is_not_made_by_a_copy_that_needs_python(chatbelle: Run, tmp_path: Path) -> None:
    result = chatbelle("kit", str(tmp_path / "kit"))

    assert result.returncode == 1
    assert "needs its Python" in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2
    assert not (tmp_path / "kit").exists()


def test_the_format_comes_along_while_no_page_is_open(kit: Any, tmp_path: Path) -> None:
    folder, home = kit(prompt_format="belle"), Home(tmp_path / "home")
    settings = SettingsStore(home.make())
    chat = ChatService(
        home=home,
        settings=settings,
        personas=PersonaStore(home.root),
        history=HistoryStore.open(home.history),
        make_backend=FakeBackend,
        language="en",
    )
    models = ModelService(home, endpoints=lambda: Endpoints(()), machine=lambda: MACHINE)
    app = App(home, Texts("en"), chat, models, cast(HistoryLock, None))
    done = threading.Event()
    models.subscribe(lambda event: done.set() if isinstance(event, LibraryChanged) else None)

    models.import_path(ImportWish(folder))

    try:
        assert done.wait(60)
        assert settings.settings.prompt_format_of("小模型") == "belle"
    finally:
        app.close()
