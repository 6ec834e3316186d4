"""The workflows: sound to two linters, which find planted faults, and thin: what they call is here."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.programs import find_program
from release.assets import SYSTEMS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github" / "workflows"
NAMES = ("release.yml", "tests.yml")


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """The workflows in a folder of a test's own, where a fault can be planted."""
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_text(text(name), encoding="utf-8")
    return folder


def text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def parsed(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(text(name))
    return content


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    return ((job, content) for name in NAMES for job, content in parsed(name)["jobs"].items())


def commands() -> str:
    return "\n".join(step.get("run", "") for _, job in jobs() for step in job["steps"])


def lint(name: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    program = find_program(
        name, "no package; it is in the group dev", str(Path(sys.executable).with_name(name))
    )
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=120)


def zizmor(folder: Path) -> subprocess.CompletedProcess[str]:
    return lint("zizmor", "--offline", "--no-progress", "--persona", "pedantic", folder)


def actionlint(folder: Path) -> subprocess.CompletedProcess[str]:
    # Without programs that happen to be there or not.
    return lint("actionlint", "-shellcheck=", "-pyflakes=", *sorted(folder.glob("*.yml")))


def test_every_workflow_is_looked_at() -> None:
    assert tuple(sorted(path.name for path in FOLDER.iterdir())) == NAMES


def test_zizmor_finds_nothing(copies: Path) -> None:
    found = zizmor(copies)

    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    ("sound", "fault"),
    [
        (r"actions/checkout@\w{40} # v7\.0\.1", "actions/checkout@v7"),
        (r"permissions: \{\}", "permissions: write-all"),
        (r"\n        with:\n          persist-credentials: false", ""),
        (r'"\$GITHUB_REF_NAME" packages', "${{ github.ref_name }} packages"),
        (r"\n  pull_request:", "\n  pull_request_target:"),
    ],
)
def test_zizmor_finds_a_planted_fault(copies: Path, sound: str, fault: str) -> None:
    n_planted = 0
    for path in copies.iterdir():
        planted, n_found = re.subn(sound, fault, path.read_text(encoding="utf-8"))
        path.write_text(planted, encoding="utf-8")
        n_planted += n_found

    assert n_planted
    assert zizmor(copies).returncode > 10


def test_actionlint_finds_nothing(copies: Path) -> None:
    found = actionlint(copies)

    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    ("sound", "fault"),
    [("ubuntu-24.04", "ubuntu-1.04"), ("matrix.system", "matrix.sistem"), ("needs: windows-", "needs: no-")],
)
def test_actionlint_finds_a_planted_fault(copies: Path, sound: str, fault: str) -> None:
    path = copies / "release.yml"
    path.write_text(path.read_text(encoding="utf-8").replace(sound, fault), encoding="utf-8")

    assert actionlint(copies).returncode == 1


def test_every_action_is_pinned_by_its_commit_with_its_version_beside_it() -> None:
    used = {line.strip() for name in NAMES for line in text(name).splitlines() if "uses:" in line}

    assert used
    assert [
        line for line in used if not re.fullmatch(r"- uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)
    ] == []
    assert len(used) == len({line.partition("@")[0] for line in used}), "one action in two versions"


def test_only_the_last_job_of_a_release_may_write_and_only_two_see_secrets() -> None:
    for name in NAMES:
        assert parsed(name)["permissions"] == {}
    for name, job in jobs():
        assert job["permissions"] == {"contents": "write" if name == "attach" else "read"}
        assert ("secrets." in str(job)) == (job.get("environment") == "release")
        assert ("secrets." in str(job)) == (name in ("windows-packages", "macos"))
    assert {*parsed("release.yml")["jobs"]["attach"]["needs"]} == {
        *("linux", "windows-packages", "windows-trial", "macos")
    }


def test_what_they_run_is_here() -> None:
    modules = re.findall(r"python -m ([\w.]+)", commands())
    paths = re.findall(r"(?:packaging|\.ci)/[\w/.-]+", commands())

    assert {*modules} == {
        *("linux.glibc_floor", "linux.installers", "windows.installers", "windows.try_out"),
        *("release.sbom", "release.assets"),
    }
    assert all(importlib.util.find_spec(module) for module in modules)
    assert {*paths} >= {"packaging/build.py", ".ci/run"}
    assert not any("\n" in step.get("run", "").strip() for _, job in jobs() for step in job["steps"])


def test_modules_of_packaging_are_found_and_never_in_the_way_of_a_build() -> None:
    for _, job in jobs():
        for step in job["steps"]:
            has_path = "PYTHONPATH" in job.get("env", {}) or "PYTHONPATH" in step.get("env", {})
            assert has_path or "python -m" not in step.get("run", "")
            assert not has_path or "packaging/build.py" not in step.get("run", "")


def test_a_bill_of_materials_is_written_for_every_system() -> None:
    matrix = parsed("release.yml")["jobs"]["macos"]["strategy"]["matrix"]["include"]
    written = re.findall(r"release\.sbom \S+ ([\w-]+)", commands())

    assert sorted([*written, *(one["system"] for one in matrix)]) == sorted(SYSTEMS)


def test_every_python_from_3_11_to_3_14_is_tested() -> None:
    assert parsed("tests.yml")["jobs"]["linux"]["strategy"]["matrix"]["python"] == [
        f"3.{minor}" for minor in range(11, 15)
    ]
