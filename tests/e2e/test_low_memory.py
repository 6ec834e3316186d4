"""A model that memory does not suffice for, in a real browser: refused in a sentence, once, with ways out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.settings import SettingsStore
from builders.sparse_models import SparseShape, write_sparse_model

Start = Callable[..., Any]
Look = Callable[..., Any]

# Some 100 GB, of which the disk holds the header only.
HUGE = SparseShape("llama", n_embd=8192, n_heads=64, n_layers=200, n_ff=22016, n_vocab=32000)


@pytest.mark.parametrize(
    ("language", "reason", "anyway", "warning"),
    [
        ("en", r"needs [\d.]+\sGB of memory .*, and [\d.]+\sGB are available", "Load anyway", "very slow"),
        ("zh-CN", r"需要 [\d.]+\sGB 内存，而目前可用的只有 [\d.]+\sGB", "仍要加载", "非常慢"),
    ],
    ids=["en", "zh-CN"],
)
def test_what_does_not_fit_is_said_once_with_ways_out(
    start: Start, look: Look, home: Path, language: str, reason: str, anyway: str, warning: str
) -> None:
    (home / "models").mkdir(parents=True)
    write_sparse_model(home / "models" / "大模型-65B.gguf", HUGE)
    SettingsStore(home).update(default_model="大模型-65B")
    app = look(start(language=language))

    app.ask("你好")
    app.wait_for(lambda: re.search(reason, app.text("load-failure")), "the numbers")
    app.wait_for(lambda: app.has("failure-anyway") and app.has("failure-demo"), "the ways out")

    said = app.page_text()
    assert len(re.findall(reason, said)) == 1
    assert said.count(warning) == 1
    assert anyway in app.text("failure-anyway")
    assert app.has("failure-demo")
    assert "--ignore-memory" not in said  # that is for the command line
