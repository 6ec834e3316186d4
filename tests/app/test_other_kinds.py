"""Files that are no chat model, wherever a model is listed, checked or named: told as what they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.chat.choices import find_choice, find_key
from app.home import Home
from app.i18n import Texts
from app.models.candidates import Candidate
from app.models.finding import find_model, open_library
from app.models.inspection import Given, inspect
from app.models.local_shelf import read_shelf
from app.models.problem_kinds import problem_kind
from app.models.service import ModelService
from builders.gguf_models import write_model, write_split
from builders.other_ggufs import other_ggufs
from builders.processes import Run, document
from convert.i18n import LANGUAGES, Language
from engine.errors import EmbeddingModel, ProjectorFile
from engine.models.errors import PartsMissing
from engine.models.kept_paths import kept_path
from engine.models.machine import Machine

OTHERS = other_ggufs()
MACHINE = Machine(16 << 30, 8 << 30, 8, None, 35 << 30)


@pytest.fixture
def home(home_folder: Path) -> Home:
    home = Home(home_folder)
    home.models.mkdir(parents=True)
    return home


def test_the_list_tells_kinds_and_damage_apart(chatbelle: Run, home: Home) -> None:
    whole = write_model(home.models / "whole.gguf").read_bytes()
    OTHERS["ProjectorFile"](home.models / "mmproj.gguf")
    (home.models / "cut.gguf").write_bytes(whole[:-500])
    (home.models / "page.gguf").write_bytes(b"<!DOCTYPE html><html>")
    (home.models / "broken.gguf").write_bytes(whole[:8] + b"\xff" * 8 + whole[16:])

    listed = document(chatbelle("models", "list", "--json"))["models"]
    table = chatbelle("models").stdout

    assert {model["name"]: model["problem_kind"] for model in listed} == {
        "whole": None,
        "mmproj": "other_kind",
        "cut": "incomplete",
        "page": "no_model",
        "broken": "damaged",
    }
    lines = {line.split()[0]: line for line in table.splitlines() if ".gguf" not in line and line.strip()}
    assert "not a chat model" in next(line for line in lines.values() if "mmproj" in line)
    assert sum("damaged" in line for line in table.splitlines()) == 1


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", OTHERS)
def test_nothing_sound_is_called_damaged(name: str, language: Language, home: Home) -> None:
    OTHERS[name](home.models / "m.gguf")
    (row,) = read_shelf(ModelService(home, machine=lambda: MACHINE)).rows
    assert row.model.problem is not None
    assert row.fit is None
    assert problem_kind(row.model.problem) == "other_kind"
    texts = Texts(language)
    for word in ("damaged", "download", "损坏", "下载"):
        assert word not in texts.error(row.model.problem)
    inspected = inspect(Given(row.model.path), lambda: MACHINE)
    assert type(inspected.refusal) is type(row.model.problem)


def test_what_an_older_version_took_for_a_model_is_looked_at_again(home: Home) -> None:
    path = write_model(home.models / "m.gguf")
    library = open_library(home)
    assert library.look().models[0].problem is None
    state = path.stat()
    OTHERS["EmbeddingModel qwen3"](path)
    records = home.root / "library.json"
    kept = json.loads(records.read_text())
    record = kept["models"][kept_path(str(path), home.root)]
    record["summary"]["edition"] = 0
    record |= {"size_bytes": path.stat().st_size, "mtime_ns": path.stat().st_mtime_ns}
    record |= {"source": "owner/name", "added_at": state.st_mtime}
    records.write_text(json.dumps(kept))

    (model,) = open_library(home).look().models

    assert isinstance(model.problem, EmbeddingModel)
    assert model.source == "owner/name"


def test_a_projector_is_refused_by_chat_and_import(chatbelle: Run, tmp_path: Path) -> None:
    path = OTHERS["ProjectorFile"](tmp_path / "mmproj.gguf")
    said = Texts("en").error(ProjectorFile(path))
    for arguments in (("chat", "--model", str(path), "hello"), ("models", "import", str(path))):
        result = chatbelle(*arguments)
        assert result.returncode == 1
        assert result.stderr.strip().splitlines()[-1] == said


# --- a split model's other files --------------------------------------------------------------------


def test_a_later_file_of_a_split_model_leads_to_the_first(home: Home, tmp_path: Path) -> None:
    parts = write_split(tmp_path / "分片", "m", write_model(tmp_path / "m.gguf"))
    for part in parts:
        assert find_model(str(part), home) == parts[0]
        assert find_key(part, home) == str(parts[0])
        assert find_choice(str(part), home).path == parts[0]
    inside = write_split(home.models, "own", tmp_path / "m.gguf")
    assert find_key(inside[2], home) == find_choice("own", home).key == "own"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_missing_first_file_is_named(language: Language, home: Home, tmp_path: Path) -> None:
    parts = write_split(tmp_path / "parts", "m", write_model(tmp_path / "m.gguf"))
    parts[0].unlink()
    for find in (find_model, find_choice):
        with pytest.raises(PartsMissing) as caught:
            find(str(parts[1]), home)
        assert caught.value.missing == (1,)
        assert "m-00001-of-00003.gguf" in Texts(language).error(caught.value)


def test_importing_a_later_file_takes_all_of_them(chatbelle: Run, home: Home, tmp_path: Path) -> None:
    parts = write_split(tmp_path / "parts", "m", write_model(tmp_path / "m.gguf"))
    done = document(chatbelle("models", "import", str(parts[2]), "--json"))
    assert Path(done["path"]) == home.models / parts[0].name
    assert sorted(path.name for path in home.models.iterdir()) == [part.name for part in parts]


def test_a_candidate_of_another_kind_can_not_be_chosen(home: Home) -> None:
    OTHERS["ImageModel"](home.models / "m.gguf")
    (row,) = read_shelf(ModelService(home, machine=lambda: MACHINE)).rows
    assert not Candidate(find_choice("m", home), row).is_usable
