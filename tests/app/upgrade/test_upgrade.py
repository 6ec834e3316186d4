"""Data folders as earlier versions of the app left them, killed in the middle of an answer: nothing is lost.

`make_data_folder.py` made them with those versions' own code. A new schema adds one.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.history.records import Status
from app.history.schema import MIGRATIONS
from app.history.store import HistoryStore
from app.home import Home
from app.i18n import Texts
from app.main import open_app
from app.models.errands import Get, Import
from app.models.service import ModelService
from app.personas import PersonaStore
from app.settings import SettingsStore
from builders.gguf_models import write_model
from builders.processes import Run, document
from engine.models.endpoints import Endpoints

FIXTURES = Path(__file__).parent
MADE_AT = "/tmp/chatbelle-old"
VERSIONS = tuple(sorted(FIXTURES.glob("schema-*.zip")))
AN_HOUR_LATER = 1_764_003_600_000
LAST_WORDS = "从前有一座山，"


@pytest.fixture(params=VERSIONS, ids=lambda path: path.stem)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """The data folder, unpacked to another place, with the models that were in it and around it."""
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(tmp_path)
    for path in tmp_path.rglob("*.json"):
        path.write_text(path.read_text(encoding="utf-8").replace(MADE_AT, str(tmp_path)), encoding="utf-8")
    records = json.loads((tmp_path / "data" / "library.json").read_text(encoding="utf-8"))["models"]
    for name, record in records.items():
        model = Path(name)
        model.parent.mkdir(parents=True, exist_ok=True)
        assert write_model(model).stat().st_size == record["size_bytes"]
        os.utime(model, ns=(record["mtime_ns"], record["mtime_ns"]))
    return Home(tmp_path / "data")


@pytest.fixture
def models(home: Home) -> Iterator[ModelService]:
    service = ModelService(home, endpoints=lambda: Endpoints(()))
    yield service
    service.close()


def test_every_schema_has_a_data_folder_here() -> None:
    assert [path.stem for path in VERSIONS] == [f"schema-{n}" for n in range(1, len(MIGRATIONS) + 1)]


def test_chats_drafts_folders_and_what_was_being_written_survive(home: Home) -> None:
    with HistoryStore.open(home.history, now_ms=lambda: AN_HOUR_LATER) as history:
        assert history.report.outcome == "opened"
        assert history.report.recovered_answers == 1
        told, parrots = sorted(
            history.conversations.page().conversations, key=lambda each: each.title == "鹦鹉"
        )
        assert (parrots.folder, parrots.draft, parrots.pinned) == ("动物", "还没有写完的问题", True)
        assert (parrots.overrides.persona, parrots.overrides.system) == ("teacher", "简短")
        question, answer = history.messages.path(parrots.id)
        assert (question.message.text, answer.message.text) == ("鹦鹉会说话吗？", "会的，它们模仿。")
        assert len(answer.sibling_ids) == 2
        assert answer.message.origin is not None
        assert answer.message.origin.model == "BELLE-7B"
        last = history.messages.path(told.id)[-1].message
        assert (last.text, last.status) == (LAST_WORDS, Status.UNFINISHED)
        assert len(history.conversations.trash_page().conversations) == 1
        assert len(history.search.find("模仿")) == 1
        assert history.backups.all()


def test_settings_personas_and_what_was_set_for_models_survive(home: Home) -> None:
    settings = SettingsStore(home.root).settings
    personas = {persona.name: persona for persona in PersonaStore(home.root).all("zh-CN")}

    assert (settings.language, settings.theme, settings.font_scale) == ("zh-CN", "dark", 1.3)
    assert (settings.default_model, settings.sidebar_width) == ("贝拉", 333)
    assert settings.last_conversation == 3
    assert settings.sampling_of("贝拉").temperature == 0.25
    assert settings.persona == personas["诗人"].id
    assert (personas["诗人"].system, personas["诗人"].sampling.top_k) == ("用诗回答", 7)


def test_models_and_where_they_come_from_survive(home: Home, models: ModelService) -> None:
    listed = {model.name: model for model in models.listing().models}

    assert set(listed) == {"贝拉", "in place", "added"}
    belle = listed["贝拉"]
    assert (belle.source, belle.license, belle.catalog_id) == ("BelleGroup/BELLE", "rail", "belle-7b-2m")
    assert {name: model.place for name, model in listed.items()} == {
        "贝拉": "models",
        "in place": "in-place",
        "added": "folder",
    }
    assert all(model.problem is None for model in listed.values())
    assert models.library.folders == (home.root.parent / "另一个文件夹",)


def test_unfinished_jobs_survive_and_wait(home: Home, models: ModelService) -> None:
    get, imported = models.jobs.all

    assert isinstance(get.errand, Get)
    assert (get.state, get.title, get.share) == ("paused", "BELLE-7B-2M", 1 / 3)
    assert get.record.output == str(home.models / "BELLE-7B-2M-q4_k_m.gguf")
    assert isinstance(imported.errand, Import)
    assert (imported.state, imported.errand.wish.name) == ("paused", "我的")
    assert imported.errand.wish.path == home.root.parent / "检查点"


def test_the_app_opens_it_twice_and_changes_no_word(home: Home) -> None:
    for _ in range(2):
        open_app(home, Texts("en")).close()

    with HistoryStore.open(home.history) as history:
        assert history.report.migrated_from is None
        assert history.conversations.counts().conversations == 2
        assert history.search.find(LAST_WORDS[:4])
    assert SettingsStore(home.root).settings.theme == "dark"
    assert not list(home.root.rglob("*damaged*"))


def test_the_terminal_answers_with_its_models(home: Home, chatbelle: Run) -> None:
    own = {"CHATBELLE_HOME": str(home.root)}

    answered = document(chatbelle("chat", "--model", "贝拉", "--max-tokens", "2", "--json", "你好", env=own))

    assert answered["model"]["name"] == "tiny bloom"


def test_a_data_folder_of_a_later_version_is_refused_and_left_as_it_is(home: Home, chatbelle: Run) -> None:
    HistoryStore.open(home.history).close()
    with closing(sqlite3.connect(home.history / "history.sqlite3")) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        connection.execute("PRAGMA journal_mode = DELETE")
    kept = [
        home.history,
        home.root / "settings.json",
        home.root / "personas.json",
        home.root / "library.json",
    ]

    def content() -> dict[Path, bytes]:
        files = [path for each in kept for path in (each, *each.rglob("*")) if path.is_file()]
        return {path: path.read_bytes() for path in files if path.suffix != ".lock"}

    before = content()
    own = {"CHATBELLE_HOME": str(home.root)}
    result = chatbelle("gui", "--web", "--no-browser", env=own)

    assert result.returncode == 1
    assert "newer" in result.stderr
    assert "Traceback" not in result.stderr
    assert content() == before
