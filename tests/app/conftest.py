"""A data folder with a Chinese name, a tiny real model, and `chatbelle` as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from builders.checkpoints import write_bloom
from builders.processes import Run


@pytest.fixture(autouse=True)
def no_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that somebody has in the hub's cache of this machine are not ours."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no hub cache"))


@pytest.fixture
def home_folder(tmp_path: Path) -> Path:
    """Where CHATBELLE_HOME points; not made yet."""
    return tmp_path / "数据 文件夹"


@pytest.fixture
def environ(home_folder: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a process under test: English, no colours, no hub, its own data folder and trash."""
    own = {"CHATBELLE_HOME": str(home_folder), "XDG_DATA_HOME": str(tmp_path / "share")}
    no_hub = {"HF_ENDPOINT": "http://127.0.0.1:9", "CHATBELLE_MIRRORS": ""}
    return {**os.environ, "LC_ALL": "C.UTF-8", "NO_COLOR": "1", **own, **no_hub}


@pytest.fixture
def chatbelle(environ: dict[str, str], tmp_path: Path) -> Run:
    """Run `chatbelle` with arguments and wait for it; text in and out is UTF-8."""
    root = Path(__file__).resolve().parents[2]

    def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        settings = {"capture_output": True, "encoding": "utf-8", "timeout": 60, "cwd": tmp_path} | options
        if "input" not in settings and "stdin" not in settings:
            settings["stdin"] = subprocess.DEVNULL
        settings["env"] = environ | {"PYTHONPATH": str(root)} | options.get("env", {})
        return subprocess.run([sys.executable, "-m", "app.cli", *arguments], **settings)  # noqa: PLW1510

    return run


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BLOOM checkpoint that can be converted and run."""
    return write_bloom(tmp_path_factory.mktemp("checkpoint") / "小模型", dtype="f16").folder


@pytest.fixture(scope="session")
def tiny_model(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a GGUF, made by our converter."""
    from convert.detect import open_checkpoint
    from convert.pipeline import convert

    path = tmp_path_factory.mktemp("models") / "小模型.gguf"
    with open_checkpoint(tiny_checkpoint) as checkpoint:
        plan = checkpoint.plan("q8_0", checkpoint.prompt("belle"))
        for _ in convert(plan, path):
            pass
    return path
