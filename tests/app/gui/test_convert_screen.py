"""The conversion screen: sources that are worked on already, giving up, and ways to add a GGUF."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from app.home import Home
from app.models import import_look
from app.models.importing import ImportWish
from app.models.jobs import Job
from app.models.opened import Drafts
from app.models.progress import WorkProgress
from app.models.service import ModelService
from app.views.context import ViewContext
from app.views.convert import ConvertView
from builders.checkpoints import write_bloom
from builders.gguf_models import write_model
from builders.torch_zip import write_torch_zip
from engine.models.endpoints import Endpoints
from engine.models.library import Library
from engine.models.machine import Machine
from fakes.view_context import FakeViewContext, find_control, until, words_of

MACHINE = Machine(64 << 30, 60 << 30, 8, None, 35_000_000_000)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ModelService]:
    service = ModelService(Home(tmp_path / "数据"), endpoints=lambda: Endpoints(()), machine=lambda: MACHINE)
    yield service
    service.close()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_bloom(tmp_path / "真 模型").folder


class Screen:
    """The screen, following the service as the shell lets it; made on an event loop."""

    def __init__(self, service: ModelService, *paths: Path) -> None:
        self.context = FakeViewContext(service)
        self.drafts = Drafts()
        self.drafts.open(paths, lambda draft: False)
        self.view = ConvertView(cast(ViewContext, self.context), self.drafts)
        loop = asyncio.get_running_loop()
        service.subscribe(lambda event: loop.call_soon_threadsafe(self.view.on_model_event, event))

    def find(self, identifier: str) -> Any:
        return find_control(self.view, identifier)

    def choose(self, path: Path) -> None:
        """Type a path, and press Enter."""
        field = self.find("source")
        field.value = str(path)
        field.on_submit()

    @property
    def words(self) -> str:
        return words_of(self.view)


def _stop_at(service: ModelService, monkeypatch: pytest.MonkeyPatch, done_bytes: int) -> None:
    """Let every job fail when it is so far."""

    def work(*unused: Any) -> Any:
        yield WorkProgress("convert", "x", done_bytes, 100)
        raise OSError("a disk")

    monkeypatch.setattr(service.jobs, "_carry_out", work)


def _failed(service: ModelService, wish: ImportWish) -> Job:
    job_id = service.import_path(wish)
    assert service.jobs.wait(30)
    job = service.jobs.find(job_id)
    assert job is not None
    assert job.state == "failed"
    return job


def test_a_source_that_is_worked_on_can_become_another_type(
    service: ModelService, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stop_at(service, monkeypatch, 0)
    first = _failed(service, ImportWish(checkpoint, target="q8_0", name="one"))

    async def run() -> None:
        screen = Screen(service)
        await screen.view.load()
        assert screen.view.draft.job_id == first.id  # opened without a source, it shows what is unfinished
        screen.find("convert-new").on_click()

        screen.choose(checkpoint)
        await until(lambda: screen.find("convert-start"))

        assert "There is unfinished work on this already." in screen.words
        screen.view.draft.type_name = "f16"
        await until(lambda: not screen.find("convert-start").disabled)
        screen.find("convert-start").on_click()
        await until(lambda: len(service.jobs.all) == 2)
        await until(lambda: screen.find("convert-again"))
        assert screen.view.draft.job_id != first.id

    asyncio.run(run())


def test_what_was_chosen_among_several_forms_is_told(service: ModelService, checkpoint: Path) -> None:
    write_torch_zip(checkpoint / "pytorch_model.bin", {"w": np.zeros((2, 3), np.float32)})

    async def run() -> None:
        screen = Screen(service, checkpoint)
        await screen.view.load()
        assert "read from model.safetensors" in screen.words
        assert "left out: pytorch_model.bin" in screen.words

    asyncio.run(run())


def test_unfinished_work_on_a_source_is_one_click_away_until_it_is_gone(
    service: ModelService, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stop_at(service, monkeypatch, 0)
    first = _failed(service, ImportWish(checkpoint, target="q8_0", name="one"))

    async def run() -> None:
        screen = Screen(service, checkpoint)
        await screen.view.load()
        assert screen.find("convert-start")
        await screen.find("show-unfinished").on_click()
        assert screen.find("convert-again")
        assert screen.view.draft.job_id == first.id

        other = Screen(service, checkpoint)
        await other.view.load()
        assert other.find("unfinished")
        await asyncio.to_thread(service.jobs.cancel, first.id)
        await until(lambda: not other.find("unfinished"))
        assert other.find("convert-start")

    asyncio.run(run())


@pytest.mark.parametrize(("done_bytes", "asks"), [(50, True), (0, False)])
def test_changing_the_choices_asks_before_anything_is_lost(
    service: ModelService, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, done_bytes: int, asks: bool
) -> None:
    _stop_at(service, monkeypatch, done_bytes)
    _failed(service, ImportWish(checkpoint, target="q8_0", name="one"))

    async def run() -> None:
        screen = Screen(service)
        await screen.view.load()
        screen.find("convert-edit").on_click()
        if asks:
            (dialog,) = screen.context.dialogs
            assert "can go on later" in words_of(dialog)
            assert "Pause" not in words_of(dialog)
            assert len(service.jobs.all) == 1
            await dialog.actions[1].on_click()
        await until(lambda: screen.find("convert-start"))
        assert service.jobs.all == ()
        assert screen.view.draft.type_name == "q8_0"

    asyncio.run(run())


def test_a_way_to_add_a_gguf_that_is_not_possible_can_not_be_chosen(
    service: ModelService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_model(tmp_path / "成品.gguf")

    def look(path: Path, library: Library) -> import_look.ImportLook:
        found = import_look.look_at_import(path, library)
        return replace(found, can_link=False, can_copy=False, free_bytes=1)

    monkeypatch.setattr("app.components.convert.gguf_choices.look_at_import", look)

    async def run() -> None:
        screen = Screen(service, path)
        await screen.view.load()
        disabled = [screen.find(f"way-{way}").disabled for way in ("copy", "link", "in-place")]
        assert disabled == [True, True, False]
        assert "the file is on another disk" in screen.words
        assert "of the disk are free" in screen.words
        screen.find("convert-start").on_click()
        await until(lambda: screen.find("convert-chat"))
        assert service.listing().models[0].path == path

    asyncio.run(run())


# --- several sources that were opened together -------------------------------------------------------


def test_several_are_looked_at_and_begun_with_one_button(
    service: ModelService, checkpoint: Path, tmp_path: Path
) -> None:
    first, second = (write_model(tmp_path / f"{name}.gguf") for name in ("一", "二"))
    broken = tmp_path / "坏.gguf"
    broken.write_bytes(b"GGUF" + b"\xff" * 40)
    gone = tmp_path / "没有.gguf"

    async def run() -> None:
        screen = Screen(service, first, broken, checkpoint, gone, second)
        await screen.view.load()
        await until(lambda: words_of(screen.find("opened-4")).endswith("Can be added as it is"))

        assert "Can be added as it is" in words_of(screen.find("opened-0"))
        assert "Can be converted" in words_of(screen.find("opened-2"))
        assert "坏.gguf" in words_of(screen.find("opened-1"))
        assert "没有.gguf" in words_of(screen.find("opened-3"))
        assert all("Can be" not in words_of(screen.find(f"opened-{n}")) for n in (1, 3))
        await until(lambda: "(3)" in words_of(screen.view))
        await screen.find("opened-add").on_click()
        await until(lambda: len(service.listing().models) == 3)
        await until(lambda: "was imported" in words_of(screen.find("opened-0")))
        assert screen.find("opened-add") is None

    asyncio.run(run())
    assert service.jobs.wait(30)
    assert {model.path.stem for model in service.listing().models} >= {"一", "二"}
    assert all(job.state == "done" for job in service.jobs.all)


def test_one_of_several_is_chosen_and_what_was_said_of_the_others_stays(
    service: ModelService, checkpoint: Path, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "一.gguf")

    async def run() -> None:
        screen = Screen(service, checkpoint, model)
        await screen.view.load()
        await until(lambda: screen.find("convert-start") and screen.find("result-name").value)
        screen.find("result-name").value = "自己的名字"
        await screen.find("result-name").on_change()

        screen.find("opened-1").on_click()
        await until(lambda: screen.find("way-copy"))
        assert screen.find("source").value == str(model)
        screen.find("opened-0").on_click()
        await until(lambda: screen.find("result-name"))
        assert screen.find("result-name").value == "自己的名字"

        screen.find("opened-remove-0").on_click()
        await until(lambda: screen.find("source").value == str(model))
        assert screen.find("opened-0") is None  # one source needs no list

    asyncio.run(run())


def test_a_model_that_is_here_already_is_not_begun_again(service: ModelService, tmp_path: Path) -> None:
    model, other = (write_model(tmp_path / f"{name}.gguf") for name in ("一", "二"))
    service.import_path(ImportWish(model, "in-place"))
    assert service.jobs.wait(30)

    async def run() -> None:
        screen = Screen(service, model, other)
        await screen.view.load()
        await until(lambda: "(1)" in words_of(screen.view))
        assert "already" in words_of(screen.find("opened-0"))
        await screen.find("opened-add").on_click()
        await until(lambda: len(service.jobs.all) == 2)

    asyncio.run(run())
    assert service.jobs.wait(30)
