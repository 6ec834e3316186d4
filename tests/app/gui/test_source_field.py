"""The field for a path on this disk."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.components.basics.source_field import SourceField
from app.i18n import Texts
from app.views.context import ViewContext


def test_a_path_that_was_typed_from_here_is_kept_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    taken: list[Path | None] = []
    context: Any = SimpleNamespace(t=Texts("en").text, guard=lambda handler: handler, is_phone=False)
    field = SourceField(cast(ViewContext, context), "source", "File", taken.append)
    typed: Any = field._field  # noqa: SLF001 - what a person types into

    for text in ("模型", str(tmp_path / "模型"), "", ""):
        typed.value = text
        typed.on_submit()

    assert taken == [tmp_path / "模型", None]
