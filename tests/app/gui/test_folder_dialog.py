"""Which folders the window lets a person add."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

from app.components.models.folder_dialog import ask_folder
from app.home import Home
from app.models.service import ModelService
from app.views.context import ViewContext
from fakes.view_context import FakeViewContext, find_control


def test_the_data_folder_is_refused_and_another_is_added(tmp_path: Path) -> None:
    service = ModelService(Home(tmp_path / "数据"))
    other = tmp_path / "外部"
    other.mkdir()

    async def run() -> None:
        context = FakeViewContext(service)
        ask_folder(cast(ViewContext, context))
        (dialog,) = context.dialogs
        field, add = find_control(dialog, "folder-path"), find_control(dialog, "folder-add")

        for folder in (service.home.root, tmp_path):
            field.value = str(folder)
            await add.on_click()
            assert field.error.startswith(f"{folder} contains the folder of ChatBELLE's own data")
        assert dialog.open
        assert service.library.folders == ()

        field.value = f"{other}/../外部"
        await add.on_click()
        assert not dialog.open
        assert service.library.folders == (other,)

    asyncio.run(run())
    service.close()
