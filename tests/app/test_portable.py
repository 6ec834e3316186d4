"""A portable copy keeps everything beside its program; and a data folder can be moved without losing what it
knows.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from app.chat.choices import find_choice, find_key
from app.home import Home, find_home, keep_temporary_files_in
from app.models.acquire import Wish
from app.models.errands import Get, Verify
from app.models.finding import open_library
from app.models.job_records import JobRecord, read_records, save_record
from app.settings import SettingsStore, read_settings
from builders.gguf_models import write_model
from engine.models.kept_paths import found_path, kept_path

ROOT = Path(__file__).resolve().parents[2]
_BUNDLED = "import sys; sys.frozen = True; sys.executable = sys.argv.pop(1); "
_CODE = _BUNDLED + "from app.cli import main; sys.exit(main())"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that takes itself for a portable bundle."""
    path = tmp_path / "U盘 stick" / "ChatBELLE" / "chatbelle"
    path.parent.mkdir(parents=True)
    (path.parent / "portable").touch()
    words = shlex.join([sys.executable, "-c", _CODE])
    path.write_text(f'#!/bin/sh\nexport PYTHONPATH={shlex.quote(str(ROOT))}\nexec {words} "$0" "$@"\n')
    path.chmod(0o755)
    return path


def run(program: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if key not in ("CHATBELLE_HOME", "HOME")}
    home = program.parents[2] / "home"
    home.mkdir(exist_ok=True)
    ours = {"HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [program, *words], capture_output=True, text=True, timeout=120, env={**environ, **ours, **variables}
    )


def test_a_portable_copy_leaves_nothing_elsewhere(program: Path, tmp_path: Path) -> None:
    done = run(program, "--lang", "en", "chat", "--temperature", "0", "你好")

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert {path.name for path in (program.parent / "data").iterdir()} >= {"demo", "temp"}
    assert [*(program.parent / "data" / "temp").iterdir()] == []
    assert [*(tmp_path / "home").iterdir()] == []


def test_temporary_files_of_its_children_are_beside_it(program: Path) -> None:
    code = (
        _BUNDLED + "from app.home import *; keep_temporary_files_in(find_home())\n"
        "import subprocess, tempfile; print(tempfile.gettempdir())\n"
        "subprocess.run(['sh', '-c', 'dirname \"$(mktemp -u)\"; echo $TEMP'], check=True)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "CHATBELLE_HOME"},
    )

    assert done.stdout.splitlines() == [str(program.parent / "data" / "temp")] * 3, done.stderr


def test_without_any_other_temporary_folder_the_data_folder_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, "/read-only")
    monkeypatch.setattr(tempfile, "tempdir", None)
    home = Home(tmp_path / "data")

    keep_temporary_files_in(home)
    assert not home.root.exists()

    monkeypatch.setattr(tempfile, "gettempdir", refuse)
    keep_temporary_files_in(home)
    assert (tempfile.tempdir, os.environ["TMPDIR"]) == (str(home.temporary), str(home.temporary))
    assert home.temporary.is_dir()


def test_ones_own_variable_wins_over_the_marker(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(program))

    assert find_home({}) == Home(program.parent / "data", is_portable=True)
    assert find_home({"CHATBELLE_HOME": str(tmp_path)}) == Home(tmp_path)


def test_without_the_marker_a_bundle_uses_the_systems_place(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(program))
    (program.parent / "portable").unlink()

    assert not find_home({}).is_portable


@pytest.mark.parametrize(("language", "words"), [("en", "Move the whole"), ("zh-CN", "便携版")])
def test_a_place_that_cant_be_written_is_said(program: Path, language: str, words: str) -> None:
    (program.parent / "data").write_text("a file where the folder has to be")

    done = run(program, "--lang", language, "models", "list")

    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert run(program, "--lang", language, "--help").returncode == 0


def write_all(home: Home) -> None:
    """A model in a folder of its own, with all that is remembered of it, and work on it."""
    model = home.models / "小 模型" / "贝拉.gguf"
    model.parent.mkdir(parents=True)
    write_model(model)
    library = open_library(home)
    library.note(model, source="a friend", license="Apache-2.0", expected_sha256="0" * 64)
    store = SettingsStore(home.root)
    key = find_key(model, home)
    store.update(default_model=key)
    store.set_prompt_format(key, "belle")
    home.make(home.jobs)
    output = str(home.models / "未完成.gguf")
    save_record(home.jobs, JobRecord("0" * 16, Get("x", "a/x", Wish("a/x")), "paused", 1.0, output=output))
    save_record(home.jobs, JobRecord("1" * 16, Verify(model), "paused", 2.0))


@pytest.mark.parametrize("keeps_times", [True, False])
def test_what_is_remembered_of_models_moves_with_the_data_folder(tmp_path: Path, keeps_times: bool) -> None:
    write_all(Home(tmp_path / "E盘" / "data"))

    if keeps_times:
        (tmp_path / "E盘").rename(tmp_path / "F盘")
    else:  # as onto a stick that keeps times to two seconds
        shutil.copytree(tmp_path / "E盘", tmp_path / "F盘", copy_function=shutil.copyfile)
        shutil.rmtree(tmp_path / "E盘")

    home = Home(tmp_path / "F盘" / "data")
    model = home.models / "小 模型" / "贝拉.gguf"
    listing = open_library(home).look()
    settings = read_settings(home.root)
    assert [found.path for found in listing.models] == [model]
    assert listing.models[0].source == "a friend"
    assert listing.models[0].expected_sha256 == "0" * 64
    assert listing.missing == ()
    assert find_choice(settings.default_model, home).path == model
    assert settings.prompt_format_of(find_key(model, home)) == "belle"
    get, verify = read_records(home.jobs)
    assert get.output == str(home.models / "未完成.gguf")
    assert verify.errand == Verify(model)
    texts = [path.read_text() for path in home.root.rglob("*.json")]
    assert len(texts) == 4
    assert not any("E盘" in text for text in texts)


def test_whole_paths_of_older_versions_are_understood(tmp_path: Path) -> None:
    home = Home(tmp_path / "data")
    write_all(home)
    model = home.models / "小 模型" / "贝拉.gguf"
    for path in home.root.rglob("*.json"):
        path.write_text(path.read_text().replace("<data>", str(home.root)))

    settings = read_settings(home.root)
    open_library(home).note_used(model)

    assert open_library(home).look().models[0].source == "a friend"
    assert (home.root / "library.json").read_text().count("贝拉.gguf") == 1
    assert settings.prompt_format_of(find_key(model, home)) == "belle"
    assert find_choice(settings.default_model, home).path == model
    assert read_records(home.jobs)[1].errand == Verify(model)


@pytest.mark.parametrize(
    "text", ["名字", "owner/name", "https://example.org/m.gguf", "/elsewhere/m.gguf", "", "."]
)
def test_only_paths_in_the_data_folder_are_written_from_there(text: str, tmp_path: Path) -> None:
    assert kept_path(text, tmp_path) == text
    assert found_path(text, tmp_path) == text
