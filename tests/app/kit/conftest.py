"""A program folder as a bundle has it, from which this process seems to run; and a kit made of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.kit.writing import KitDone, PackedModel, make_kit
from engine.models.places import find_parts

PRIVATE = "私密的对话"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A portable copy: what a person has said lies beside the program."""
    root = tmp_path / "程序" / "ChatBELLE"
    files = {
        "chatbelle": "#!/bin/sh\n",
        "belle-convert": "#!/bin/sh\n",
        "_internal/libggml.so.0": "library " * 1000,
        "_internal/app/i18n/en.json": "{}",
        "licences/index.txt": "Apache-2.0\n",
        "portable": "",
        "data/history/history.sqlite3": PRIVATE,
        "data/settings.json": PRIVATE,
        "notes.txt": PRIVATE,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    (root / "chatbelle").chmod(0o755)
    (root / "_internal" / "libggml.so").symlink_to("libggml.so.0")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(root / "chatbelle"))
    return root


Make = Callable[..., Path]


@pytest.fixture
def kit(program: Path, tiny_model: Path, tmp_path: Path) -> Make:
    """Make a kit with the tiny model; options are PackedModel's."""

    def make(folder: Path = tmp_path / "U盘" / "kit", **options: str) -> Path:
        model = PackedModel(find_parts(tiny_model), "小模型", **options)  # type: ignore[arg-type]
        *_, done = make_kit(folder, model)
        assert isinstance(done, KitDone)
        return done.folder

    return make
