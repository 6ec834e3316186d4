"""Where data lies, and which file a model's name means."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import DataFolderNotWritable, ModelIsFolder, ModelNotFound
from app.home import Home, find_home
from app.models.finding import find_model, list_names


def test_own_variable_wins_over_flets(tmp_path: Path) -> None:
    both = {"CHATBELLE_HOME": str(tmp_path / "我的"), "FLET_APP_STORAGE_DATA": str(tmp_path / "flet")}

    assert find_home(both).root == tmp_path / "我的"
    assert find_home({"FLET_APP_STORAGE_DATA": str(tmp_path / "flet")}).root == tmp_path / "flet"


def test_relative_home_does_not_follow_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert find_home({"CHATBELLE_HOME": "data"}).root == tmp_path / "data"


def test_without_variables_the_systems_place_is_used() -> None:
    home = find_home({})

    assert home.root.is_absolute()
    assert home.root.name == "ChatBELLE"


def test_finding_creates_nothing(tmp_path: Path) -> None:
    find_home({"CHATBELLE_HOME": str(tmp_path / "a")})

    assert list(tmp_path.iterdir()) == []


def test_data_folder_is_private(tmp_path: Path) -> None:
    home = Home(tmp_path / "数据")

    home.make(home.logs)

    assert home.logs.is_dir()
    assert home.root.stat().st_mode & 0o077 == 0


def test_unusable_data_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(DataFolderNotWritable) as caught:
        Home(tmp_path / "file" / "data").make()

    assert caught.value.path == tmp_path / "file" / "data"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "数据")
    home.make(home.models)
    for name in ("贝拉-7B.gguf", "Other.GGUF", "notes.txt"):
        (home.models / name).write_bytes(b"GGUF")
    return home


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("贝拉-7B", "贝拉-7B.gguf"),
        ("贝拉-7b", "贝拉-7B.gguf"),
        ("贝拉-7B.gguf", "贝拉-7B.gguf"),
        ("other", "Other.GGUF"),
        ("OTHER.gguf", "Other.GGUF"),
    ],
)
def test_a_model_is_found_by_name(home: Home, name: str, file: str) -> None:
    assert find_model(name, home) == home.models / file


def test_a_path_wins_over_a_name(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("other").write_bytes(b"GGUF")

    assert find_model("other", home) == Path("other")


def test_the_exact_spelling_wins(home: Home) -> None:
    (home.models / "OTHER.gguf").write_bytes(b"GGUF")
    if len(list_names(home)) < 3:
        pytest.skip("this file system does not tell upper from lower case")

    assert find_model("OTHER", home).name == "OTHER.gguf"
    assert find_model("Other", home).name == "Other.GGUF"


def test_an_unknown_model_is_refused_with_what_is_there(home: Home) -> None:
    with pytest.raises(ModelNotFound) as caught:
        find_model("missing", home)

    assert caught.value.known == ("demo", "Other", "贝拉-7B")


def test_no_models_folder_means_no_names(tmp_path: Path) -> None:
    assert list_names(Home(tmp_path / "nothing")) == ()


def test_a_folder_is_not_a_model(home: Home, tmp_path: Path) -> None:
    with pytest.raises(ModelIsFolder):
        find_model(str(tmp_path), home)
