"""What is staged for phones: which packages, which permissions, which files."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from phones.flet_project import flet_project, phone_dependencies, to_toml

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "phones.stage", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "packaging")},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phones") / "应用"
    done = run(folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def declared(staged: Path) -> dict[str, Any]:
    return tomllib.loads((staged / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_same_packages_go_to_both_systems_and_none_is_a_desktops(declared: dict[str, Any]) -> None:
    names = {Requirement(line).name for line in declared["project"]["dependencies"]}

    assert {"flet", "llama-cpp-python", "markdown-it-py", "numpy", "gguf"} <= names
    assert "llama-cpp-python==0.3.32" in declared["project"]["dependencies"]
    assert not names & {"flet-desktop", "flet-web", "psutil", "send2trash", "huggingface-hub", "rich"}
    assert all(";" not in line for line in declared["project"]["dependencies"])


def test_a_package_for_one_of_the_systems_only_is_refused() -> None:
    with pytest.raises(ValueError, match="Android would get"):
        phone_dependencies(["a", "b; platform_system == 'iOS'"])


def test_the_network_is_the_only_permission_and_no_backup_is_made(declared: dict[str, Any]) -> None:
    flet = declared["tool"]["flet"]

    assert flet["android"]["permission"] == {"android.permission.INTERNET": True}
    assert "permissions" not in flet
    assert flet["android"]["manifest_application"]["allowBackup"] == "false"


def test_what_is_written_is_what_was_meant() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    meant = flet_project(project)

    assert tomllib.loads(to_toml(meant)) == meant
    assert tomllib.loads(to_toml({"a b": {"c": ["一", 'x"y']}})) == {"a b": {"c": ["一", 'x"y']}}


def test_the_entry_is_a_module_in_the_root_and_the_assets_are_beside_it(staged: Path) -> None:
    assert (staged / "main.py").is_file()
    for name in ("icon.png", "icon.svg", "fonts/SourceCodePro-Regular.ttf", "catalog.json"):
        assert (staged / "assets" / name).is_file(), name
    assert not (staged / "assets" / "web").exists()


def test_nothing_of_training_tests_or_caches_is_in_it(staged: Path) -> None:
    names = {path.relative_to(staged).as_posix() for path in staged.rglob("*")}

    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".jsonl"))]
    assert not [name for name in names if name.startswith("assets/demo/") and name.endswith(".py")]
    assert {name.partition("/")[0] for name in names} == {
        *("app", "engine", "convert", "assets", "main.py", "LICENSE", "pyproject.toml"),
        *(name for name in names if name.endswith(".dist-info")),
    }


def test_the_demo_is_there_ready_made(staged: Path) -> None:
    names = {path.suffix for path in (staged / "assets" / "demo").iterdir()}

    assert names == {".gguf", ".md", ".sha256"}


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    done = run(tmp_path)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{tmp_path} is not empty")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_sizes_are_said(tmp_path: Path) -> None:
    said = run(tmp_path / "out").stdout.splitlines()

    assert said[-1].endswith("MB allowed")
    assert any(line.endswith("  assets") for line in said)
