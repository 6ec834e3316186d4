"""`chatbelle self-test` as a person starts it, in sound installations and in broken ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.self_test.steps import STEP_NAMES
from builders.processes import Run, document
from convert.i18n import LANGUAGES

ROOT = Path(__file__).resolve().parents[3]
NAME = "zhangsan"

Broken = Callable[..., dict[str, str]]


@pytest.fixture
def chatbelle(chatbelle: Run) -> Run:
    """With the patience that a whole self-test takes on a busy machine."""
    return partial(chatbelle, timeout=240)


@pytest.fixture
def person(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody whose name is in many paths, with private files in the data folder."""
    home = tmp_path / "home" / NAME
    data = home / "ChatBELLE 数据"
    (data / "history").mkdir(parents=True)
    (data / "settings.json").write_text(json.dumps({"version": 1, "default_model": "私密模型"}))
    temporary = tmp_path / "temporary" / NAME
    temporary.mkdir(parents=True)
    names = {"USER": NAME, "LOGNAME": NAME, "HOME": str(home), "CHATBELLE_HOME": str(data)}
    return {**names, "TMPDIR": str(temporary), "HF_HUB_CACHE": str(home / "hub")}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """An installation of its own, to be broken: hard links, so that files are replaced and never changed."""
    folder = tmp_path / "copied"
    for package in ("app", "engine", "convert", "assets"):
        shutil.copytree(
            ROOT / package,
            folder / package,
            copy_function=os.link,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    return folder


def files_of(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def states(report: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["state"] for step in report["steps"]}


def failing(result: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """The failed steps of a report, by name."""
    assert result.returncode == 1
    assert "Traceback" not in result.stderr + result.stdout
    report = json.loads(result.stdout)
    assert report["ok"] is False
    failed = {step["name"]: step for step in report["steps"] if step["state"] == "failed"}
    for step in failed.values():
        # A sentence, unless it ends with what a process that died has said.
        assert step["detail"].endswith((".", "。")) or "it said last: " in step["detail"]
        assert step["advice"]
    return failed


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sound_installation_passes_and_nothing_is_left_or_told_of_the_person(
    chatbelle: Run, person: dict[str, str], tmp_path: Path, language: str
) -> None:
    before = files_of(tmp_path)

    result = chatbelle("self-test", "--lang", language, env=person)

    assert result.returncode == 0, result.stdout + result.stderr
    assert files_of(tmp_path) == before
    assert ("all 9 steps passed" if language == "en" else "9 个步骤全部通过") in result.stdout
    assert NAME not in result.stdout
    assert str(tmp_path / "home") not in result.stdout
    assert "私密" not in result.stdout
    assert "~/ChatBELLE 数据/models" in result.stdout


def test_the_machine_form_has_every_step_and_the_facts(chatbelle: Run, person: dict[str, str]) -> None:
    result = chatbelle("self-test", "--json", env=person)

    report = document(result)
    assert result.stderr == ""
    assert report["ok"] is True
    assert states(report) == dict.fromkeys(STEP_NAMES, "ok")
    assert all(step["milliseconds"] >= 0 and step["detail"] for step in report["steps"])
    assert report["facts"]["installation"] == "checkout"
    assert report["facts"]["data"] == "~/ChatBELLE 数据"
    assert report["facts"]["libraries"]["flet"]
    assert NAME not in result.stdout


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_without_a_home_folder_can_check_an_installation(chatbelle: Run) -> None:
    nobody: dict[str, Any] = {"user": "nobody", "group": "nogroup", "cwd": "/"}
    try:
        subprocess.run(
            [sys.executable, "-c", "import app"], **nobody, env={"PYTHONPATH": str(ROOT)}, check=True
        )
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip("others can't use this Python, or this folder")
    own = {"HOME": "/nonexistent", "CHATBELLE_HOME": "", "PYTHONDONTWRITEBYTECODE": "1"}

    result = chatbelle("self-test", "--json", env=own, **nobody)

    report = document(result)
    assert states(report) == dict.fromkeys(STEP_NAMES, "ok")
    assert report["facts"]["data_writable"] is False


@pytest.mark.parametrize(
    "faults",
    [
        {
            "fonts": ("assets/web/fonts/NotoSansSC-Regular.ttf", None, "NotoSansSC-Regular.ttf"),
            "assets": ("assets/personas.json", None, "personas.json"),
            "demo": ("assets/demo/model.safetensors", None, "model.safetensors"),
            "page": ("assets/web/start.js", None, "start.js"),
        },
        {
            "fonts": ("assets/web/fonts/NotoSansSC-Regular.ttf", b"\0\1\0\0 cut", "NotoSansSC-Regular.ttf"),
            "assets": ("assets/catalog.json", b"{", "catalog"),
            "page": ("app/views/shell.py", None, "app.views.shell"),
        },
        {"assets": ("assets/catalog.json", None, "catalog.json")},
    ],
)
def test_missing_and_damaged_files_are_named(
    chatbelle: Run, copied: Path, faults: dict[str, tuple[str, bytes | None, str]]
) -> None:
    for file, content, _ in faults.values():
        (copied / file).unlink()
        if content is not None:
            (copied / file).write_bytes(content)

    failed = failing(chatbelle("self-test", "--json", env={"PYTHONPATH": str(copied)}))

    assert set(faults) <= set(failed)
    for step, (_, _, said) in faults.items():
        assert said in failed[step]["detail"]


def test_a_page_whose_web_client_is_missing_is_found_out(chatbelle: Run, tmp_path: Path) -> None:
    empty = tmp_path / "no web client"
    empty.mkdir()

    failed = failing(chatbelle("self-test", "--json", env={"FLET_WEB_PATH": str(empty)}))

    assert list(failed) == ["page"]
    assert "status" in failed["page"]["detail"]


def test_a_missing_native_library_is_said_and_the_rest_is_tried(chatbelle: Run, tmp_path: Path) -> None:
    failed = failing(chatbelle("self-test", "--json", env={"LLAMA_CPP_LIB_PATH": str(tmp_path)}))

    assert list(failed) == ["engine", "demo", "convert"]
    assert "llama.cpp" in failed["engine"]["detail"]


def test_a_full_temporary_folder_is_said_and_nothing_is_tried_there(chatbelle: Run, small_disk: Path) -> None:
    result = chatbelle("self-test", "--json", env={"TMPDIR": str(small_disk)})

    failed = failing(result)
    assert list(failed) == ["temporary"]
    assert "MB" in failed["temporary"]["detail"]
    skipped = [name for name, state in states(json.loads(result.stdout)).items() if state == "skipped"]
    assert skipped == ["demo", "convert", "history", "page"]
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("place", ["app/personas.py", "engine/in_process.py"])
def test_a_connection_to_another_machine_is_refused_and_told(
    chatbelle: Run, copied: Path, place: str
) -> None:
    """Of the program's own process, and of the engine's."""
    source = (copied / place).read_text(encoding="utf-8")
    (copied / place).unlink()
    attempt = "try:\n    socket.create_connection(('192.0.2.7', 443), timeout=9)\nexcept OSError:\n    pass\n"
    head, tail = source.split("from __future__ import annotations\n", 1)
    (copied / place).write_text(
        f"{head}from __future__ import annotations\nimport socket\n{attempt}{tail}", encoding="utf-8"
    )

    failed = failing(chatbelle("self-test", "--json", env={"PYTHONPATH": str(copied)}))

    assert list(failed) == ["network"]
    assert "192.0.2.7" in failed["network"]["detail"]


@pytest.mark.parametrize(
    ("crime", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "built for another processor"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        (
            "import os, sys; print('ggml: assertion', file=sys.stderr, flush=True); os._exit(3)",
            "ggml: assertion",
        ),
    ],
)
def test_a_process_that_crashes_is_a_result_as_well(
    chatbelle: Run, person: dict[str, str], tmp_path: Path, crime: str, said: str
) -> None:
    shim = tmp_path / "shim" / "llama_cpp" / "__init__.py"
    shim.parent.mkdir(parents=True)
    shim.write_text(f"{crime}\n")
    path = {"PYTHONPATH": os.pathsep.join([str(shim.parents[1]), str(ROOT)])}

    result = chatbelle("self-test", "--json", env=person | path)

    assert said in failing(result)["engine"]["detail"]
    after = STEP_NAMES[STEP_NAMES.index("engine") + 1 :]
    assert {states(json.loads(result.stdout))[name] for name in after} == {"skipped"}
    assert list(Path(person["TMPDIR"]).iterdir()) == []
