"""A model that memory does not suffice for, in a real browser: refused in a sentence, once, with ways out."""

from __future__ import annotations

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
        ("en", "needs", "Load anyway", "very slow"),
        ("zh-CN", "内存", "仍要加载", "非常慢"),
    ],
)
def test_what_does_not_fit_is_said_once_with_ways_out(
    start: Start, look: Look, home: Path, language: str, reason: str, anyway: str, warning: str
) -> None:
    (home / "models").mkdir(parents=True)
    write_sparse_model(home / "models" / "大模型-65B.gguf", HUGE)
    SettingsStore(home).update(default_model="大模型-65B")
    app = look(start(language=language))

    app.ask("你好")
    app.wait_for(lambda: app.has("load-failure"), "a reason")
    app.page.wait_for_timeout(1_500)

    said = app.page_text()
    assert reason in app.text("load-failure")
    assert warning in said
    assert anyway in app.text("failure-anyway")
    assert app.has("failure-demo")
    assert "--ignore-memory" not in said  # that is for the command line
