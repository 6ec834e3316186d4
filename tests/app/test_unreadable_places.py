"""Folders and files that can't be reached now: they are said, and take no list and no screen down."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
from io import StringIO
from pathlib import Path
from typing import cast

import pytest

from app.chat.choices import DEMO, ModelChoice, list_choices, require_file
from app.commands.model_queries import list_models, show_places
from app.components.models.folder_dialog import ask_folder
from app.components.models.local_groups import group_heading
from app.errors import ModelNotFound
from app.home import Home
from app.i18n import Texts
from app.models.importing import ImportWish, import_model
from app.models.local_shelf import read_shelf
from app.models.service import ModelService
from app.shell import EXIT_OK, Shell, make_backend
from app.terminal import Terminal
from app.views.context import ViewContext
from builders.broken_places import out_of_reach
from builders.gguf_models import write_model, write_split
from convert.i18n import LANGUAGES, Language
from engine.models.endpoints import Endpoints
from engine.models.errors import ModelNotReadable
from fakes.view_context import FakeViewContext, find_control, words_of

SAYS = {"en": "can't be read now, so its models are not listed.", "zh-CN": "因此没有列出其中的模型。"}


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A folder that was added, with a model in it."""
    folder = tmp_path / "外接 硬盘"
    folder.mkdir()
    write_model(folder / "disk.gguf")
    return folder


@pytest.fixture
def service(home_folder: Path, disk: Path) -> ModelService:
    service = ModelService(Home(home_folder), endpoints=lambda: Endpoints(()))
    service.library.folder.mkdir(parents=True)
    service.add_folder(disk)
    assert [model.name for model in service.listing().models] == ["disk"]
    return service


class Run:
    """`chatbelle models` in this process, where a place can be made unreadable for whoever runs it."""

    def __init__(self, home: Home, language: Language = "en") -> None:
        self._stdout, self._stderr = StringIO(), StringIO()
        terminal = Terminal(StringIO(), self._stdout, self._stderr)
        self._shell = Shell(Texts(language), terminal, home, make_backend)

    def list(self, *, as_json: bool = False) -> str:
        options = argparse.Namespace(catalog=False, json=as_json)
        assert list_models(options, self._shell) == EXIT_OK
        return self._stdout.getvalue() or self._stderr.getvalue()

    def where(self, *, as_json: bool = False) -> str:
        options = argparse.Namespace(add=None, drop=None, json=as_json)
        assert show_places(options, self._shell) == EXIT_OK
        return self._stdout.getvalue()


def test_the_list_goes_on_without_a_folder_that_can_not_be_read(service: ModelService, disk: Path) -> None:
    write_model(service.library.folder / "own.gguf")

    with out_of_reach(disk, errno.EIO):
        report = json.loads(Run(service.home).list(as_json=True))

    assert [model["name"] for model in report["models"]] == ["own"]
    assert (report["missing"], report["unreadable"]) == ([], [str(disk)])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_list_without_models_says_what_it_could_not_read(
    service: ModelService, disk: Path, language: Language
) -> None:
    with out_of_reach(disk), out_of_reach(service.library.folder, errno.EIO):
        said = Run(service.home, language).list().splitlines()

    told = [line for line in said if SAYS[language] in line]
    assert len(told) == 2
    assert str(service.library.folder) in told[0]
    assert str(disk) in told[1]
    assert "--catalog" not in "".join(said)  # as if there were none


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_folders_are_told_with_what_is_wrong_with_them(
    service: ModelService, disk: Path, tmp_path: Path, language: Language
) -> None:
    service.add_folder(tmp_path / "gone")
    gone = {"en": "(not there now)", "zh-CN": "（现在不存在）"}[language]
    unreadable = {"en": "(can't be read now)", "zh-CN": "（现在无法读取）"}[language]

    with out_of_reach(disk):
        told = Run(service.home, language).where().replace("\n", "").replace(" ", "")
        states = json.loads(Run(service.home).where(as_json=True))["states"]

    assert (states[str(disk)], states[str(tmp_path / "gone")]) == ("unreadable", "gone")
    for text in (f"{disk}{unreadable}", f"{tmp_path / 'gone'}{gone}"):
        assert text.replace(" ", "") in told
    assert told.count(gone.replace(" ", "")) == 1  # nobody expects the hub's cache to be there


def test_the_shelf_tells_a_folder_that_is_gone_from_one_that_can_not_be_read(
    service: ModelService, disk: Path
) -> None:
    assert read_shelf(service).is_whole

    with out_of_reach(disk):
        shelf = read_shelf(service)
    assert [(group.kind, group.state) for group in shelf.groups] == [("folder", "unreadable")]
    assert (shelf.is_whole, shelf.missing) == (False, ())

    with out_of_reach(service.library.folder):
        shelf = read_shelf(service)
    assert [(group.kind, group.state) for group in shelf.groups] == [
        ("models", "unreadable"),
        ("folder", "readable"),
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_window_says_which_folder_it_could_not_read(
    service: ModelService, disk: Path, language: Language
) -> None:
    async def words(place: Path) -> list[str]:
        context = cast(ViewContext, FakeViewContext(service, language))
        with out_of_reach(place):
            groups = read_shelf(service).groups
        headings = [each for group in groups for each in group_heading(context, group, 0)]
        return [words_of(heading) for heading in headings]

    (at_disk,) = asyncio.run(words(disk))
    at_models, _ = asyncio.run(words(service.library.folder))

    assert str(disk) in at_disk
    assert SAYS[language] in at_disk
    assert SAYS[language] in at_models


def test_a_folder_that_can_not_be_read_is_not_added(service: ModelService, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()

    async def run() -> None:
        context = FakeViewContext(service)
        ask_folder(cast(ViewContext, context))
        field = find_control(context.dialogs[0], "folder-path")
        field.value = str(other)
        with out_of_reach(other):
            await find_control(context.dialogs[0], "folder-add").on_click()
        assert field.error.startswith(f"{other} can't be read.")
        assert context.dialogs[0].open

    asyncio.run(run())
    assert other not in service.library.folders


def test_the_picker_leaves_out_what_can_not_be_reached(service: ModelService, disk: Path) -> None:
    key = str(disk / "disk.gguf")
    with out_of_reach(disk, errno.ESTALE):
        assert list_choices(service.home, key) == (DEMO,)
        with pytest.raises(ModelNotFound):
            require_file(ModelChoice(key, "disk", Path(key), 1, is_demo=False), service.home)
    assert [choice.key for choice in list_choices(service.home, key)] == ["demo", key]


def test_a_split_model_with_a_part_that_can_not_be_reached_is_not_imported(
    service: ModelService, tmp_path: Path
) -> None:
    first, second, _ = write_split(tmp_path / "set", "split", write_model(tmp_path / "whole.gguf"))

    with out_of_reach(second, errno.EIO), pytest.raises(ModelNotReadable):
        list(import_model(ImportWish(first), service.library))


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_a_jobs_folder_that_can_not_be_read_hides_unfinished_work_only(
    service: ModelService, code: int
) -> None:
    with out_of_reach(service.home.jobs, code):
        assert "disk" in Run(service.home).list()
        assert ModelService(service.home, endpoints=lambda: Endpoints(())).jobs.all == ()


def test_what_was_begun_in_a_models_folder_out_of_reach_is_not_known(service: ModelService) -> None:
    with out_of_reach(service.library.folder):
        errand = service.plan("BELLE-7B-2M")

    assert errand == service.plan("BELLE-7B-2M")
