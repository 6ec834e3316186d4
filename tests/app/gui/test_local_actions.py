"""What is asked before a model's file is removed, by where the file is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

from app.components.models.local_actions import LocalActions
from app.home import Home
from app.models.local_shelf import read_shelf
from app.models.service import ModelService
from app.views.context import ViewContext
from builders.gguf_models import write_model
from fakes.view_context import FakeViewContext, words_of

AWAY = "lies outside of the models folder. To keep the file, choose “Forget” instead."


def test_a_file_left_in_its_place_is_not_removed_unawares(tmp_path: Path) -> None:
    service = ModelService(Home(tmp_path / "数据"))
    write_model(service.home.make(service.library.folder) / "own.gguf")
    away = tmp_path / "别处" / "away.gguf"
    away.parent.mkdir()
    service.library.note(write_model(away, seed=1), in_place=True)

    async def run() -> dict[str, tuple[bool, bool]]:
        asked = {}
        for row in (row for group in read_shelf(service).groups for row in group.rows):
            context = FakeViewContext(service)
            menu = LocalActions(cast(ViewContext, context), lambda: None)
            actions = {each.key: each for each in menu.of(row, None)}
            actions["library.action.remove"].on_click()
            words = words_of(context.dialogs[0])
            assert str(row.model.path) in words
            asked[row.model.name] = (AWAY in words, "library.action.forget" in actions)
        return asked

    assert asyncio.run(run()) == {"own": (False, False), "away": (True, True)}
    service.close()
