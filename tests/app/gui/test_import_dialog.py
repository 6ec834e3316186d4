"""What the import dialog refuses before there is a job that could only fail."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from app.components.models.import_dialog import ask_import
from app.home import Home
from app.models.service import ModelService
from app.views.context import ViewContext
from builders.gguf_models import write_model
from builders.other_ggufs import other_ggufs
from convert.i18n import LANGUAGES, Language
from fakes.view_context import FakeViewContext, find_control, words_of

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4370000000\n"


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def refused(folder: Path) -> dict[str, Path]:
    """Files that call themselves GGUF or are one, and can't be imported."""
    sound = write_model(folder / "whole.gguf").read_bytes()
    return {
        "pointer": write(folder / "pointer.gguf", POINTER),
        "page": write(folder / "page.gguf", b"<!DOCTYPE html><html><body>404</body></html>"),
        "cut": write(folder / "cut.gguf", sound[:-1000]),
        "parts": write(folder / "split-00001-of-00003.gguf", sound),
        "projector": other_ggufs()["ProjectorFile"](folder / "mmproj.gguf"),
    }


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["pointer", "page", "cut", "parts", "projector"])
def test_what_cannot_be_imported_is_refused_with_its_reason(
    name: str, language: Language, tmp_path: Path
) -> None:
    path = refused(tmp_path)[name]
    service = ModelService(Home(tmp_path / "数据"))

    async def run() -> None:
        context = FakeViewContext(service, language)
        ask_import(cast(ViewContext, context))
        (dialog,) = context.dialogs
        field, start = find_control(dialog, "import-path"), find_control(dialog, "import-start")
        field.value = str(path)
        await field.on_change()

        assert path.name in words_of(find_control(dialog, "import-problem"))
        assert start.disabled
        assert find_control(dialog, "way-copy") is None
        await field.on_submit()  # Enter asks no button
        assert dialog.open
        assert service.jobs.all == ()

        field.value = str(write_model(tmp_path / "good.gguf"))
        await field.on_change()
        assert find_control(dialog, "import-problem") is None
        assert not start.disabled

    asyncio.run(run())
    service.close()


def test_enter_before_the_look_refuses_as_well(tmp_path: Path) -> None:
    service = ModelService(Home(tmp_path / "数据"))

    async def run() -> None:
        context = FakeViewContext(service)
        ask_import(cast(ViewContext, context))
        (dialog,) = context.dialogs
        field = find_control(dialog, "import-path")
        field.value = str(write(tmp_path / "page.gguf", b"<html>"))
        await field.on_submit()

        assert dialog.open
        assert "is a web page" in words_of(dialog)
        assert service.jobs.all == ()

    asyncio.run(run())
    service.close()
