"""The app on a phone, without one: its language, who looks, what is kept, the sentence of a failed start."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import flet as ft
import pytest

from app.gui import phone as phone_module
from app.gui.phone import Phone, language_of
from app.history.lock import HistoryLock
from app.home import Home
from app.settings import Settings
from app.views.theme import apply_theme
from fakes.view_context import words_of

_GUARDED = """
import builtins

original = builtins.__import__

def guarded(name, globals=None, *others):
    importer = (globals or {}).get("__name__") or ""
    if name in ("subprocess", "multiprocessing") and importer.startswith(("app.", "engine.", "convert.")):
        raise ImportError(f"{importer} imports {name}")
    return original(name, globals, *others)

builtins.__import__ = guarded
import app.gui.phone
"""


class FakeApp:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.went_away: Callable[[], None] = lambda: self.told.append("went_away")
        self.steps_back = 1

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *_: self.told.append(name)

    async def open_page(self, page: Any) -> None:
        self.told.append("open_page")

    def go_back(self) -> bool:
        self.steps_back -= 1
        return self.steps_back >= 0


class FakePage:
    """A page of a phone. languages: the person's."""

    def __init__(self, *languages: str) -> None:
        self.views = [SimpleNamespace(can_pop=True, on_confirm_pop=None)]
        self.controls: list[Any] = []
        self.on_app_lifecycle_state_change: Any = None
        self._languages = languages

    async def get_device_info(self) -> Any:
        return SimpleNamespace(locales=[ft.Locale(each) for each in self._languages])

    def update(self) -> None:
        pass

    def become(self, state: ft.AppLifecycleState) -> None:
        self.on_app_lifecycle_state_change(SimpleNamespace(state=state))

    async def press_back(self) -> bool:
        """Whether the system goes on, and leaves the app."""
        answers: list[bool] = []

        async def confirm_pop(leaves: bool) -> None:
            answers.append(leaves)

        await self.views[0].on_confirm_pop(SimpleNamespace(control=SimpleNamespace(confirm_pop=confirm_pop)))
        return answers == [True]


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> FakeApp:
    made = FakeApp()
    monkeypatch.setattr(phone_module, "open_app", lambda *_, **__: made)
    monkeypatch.setattr(phone_module, "_GLANCE_S", 0.05)
    return made


def on_a_page(tmp_path: Path, scene: Callable[[Phone, FakePage], Awaitable[None]]) -> None:
    """Show the app on a page, and play a scene there."""

    async def play() -> None:
        phone, page = Phone(Home(tmp_path)), FakePage("zh")
        await phone.show(cast(ft.Page, page))
        await scene(phone, page)

    asyncio.run(play())


@pytest.mark.parametrize(
    ("preferred", "expected"),
    [
        (["zh"], "zh-CN"),
        (["en", "zh"], "en"),
        (["de", "zh", "en"], "zh-CN"),
        (["fr"], "en"),
        ([], "en"),
    ],
)
def test_it_speaks_the_first_of_a_persons_languages_that_it_knows(
    preferred: list[str], expected: str
) -> None:
    assert language_of(preferred) == expected


def test_a_client_that_says_nothing_of_its_device_shows_the_app_anyway(
    tmp_path: Path, app: FakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = FakePage("zh")

    async def silence() -> Any:
        raise TimeoutError

    monkeypatch.setattr(page, "get_device_info", silence)

    asyncio.run(Phone(Home(tmp_path)).show(cast(ft.Page, page)))

    assert app.told[-1] == "open_page"


def test_what_is_typed_is_kept_at_once_and_the_rest_after_a_glance(tmp_path: Path, app: FakeApp) -> None:
    async def scene(_phone: Phone, page: FakePage) -> None:
        page.become(ft.AppLifecycleState.INACTIVE)
        assert app.told[-1] == "open_page"
        page.become(ft.AppLifecycleState.HIDE)
        page.become(ft.AppLifecycleState.PAUSE)
        assert app.told[-1] == "keep_drafts"
        while "went_away" not in app.told:
            await asyncio.sleep(0.01)
        page.become(ft.AppLifecycleState.SHOW)
        page.become(ft.AppLifecycleState.RESUME)
        while "came_back" not in app.told:
            await asyncio.sleep(0.01)

    on_a_page(tmp_path, scene)

    assert app.told == ["prepare_page", "open_page", "keep_drafts", "went_away", "came_back"]


def test_nothing_of_it_imports_what_starts_processes() -> None:
    """Phones may not have it."""
    root = Path(__file__).resolve().parents[3]
    result = subprocess.run(
        [sys.executable, "-c", _GUARDED], capture_output=True, encoding="utf-8", cwd=root, timeout=120
    )

    assert (result.returncode, result.stderr) == (0, "")


def test_what_fails_while_nobody_looks_is_in_the_log(
    tmp_path: Path, app: FakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("the disk is gone")

    app.went_away = fail

    async def scene(_phone: Phone, page: FakePage) -> None:
        page.become(ft.AppLifecycleState.HIDE)
        while "the disk is gone" not in caplog.text:
            await asyncio.sleep(0.01)
        page.become(ft.AppLifecycleState.SHOW)
        while "came_back" not in app.told:
            await asyncio.sleep(0.01)

    on_a_page(tmp_path, scene)


def test_a_glance_at_another_app_unloads_nothing(
    tmp_path: Path, app: FakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phone_module, "_GLANCE_S", 30)

    async def scene(_phone: Phone, page: FakePage) -> None:
        page.become(ft.AppLifecycleState.HIDE)
        page.become(ft.AppLifecycleState.SHOW)
        while "came_back" not in app.told:
            await asyncio.sleep(0.01)

    on_a_page(tmp_path, scene)

    assert "went_away" not in app.told


def test_another_page_of_the_same_process_shows_the_same_app(tmp_path: Path, app: FakeApp) -> None:
    """Android keeps the process of an app that was left with Back, and shows a new page of it later."""

    async def scene(phone: Phone, page: FakePage) -> None:
        page.become(ft.AppLifecycleState.PAUSE)
        while "went_away" not in app.told:
            await asyncio.sleep(0.01)
        await phone.show(cast(ft.Page, FakePage("zh")))
        while "came_back" not in app.told:
            await asyncio.sleep(0.01)

    on_a_page(tmp_path, scene)

    assert app.told.count("open_page") == 2


def test_back_leaves_the_app_only_where_there_is_no_step_back(tmp_path: Path, app: FakeApp) -> None:
    async def scene(_phone: Phone, page: FakePage) -> None:
        assert page.views[0].can_pop is False
        assert not await page.press_back()
        assert await page.press_back()

    on_a_page(tmp_path, scene)


@pytest.mark.parametrize(
    ("language", "words"), [("zh", "ChatBELLE 已在运行"), ("en", "ChatBELLE is running already")]
)
def test_an_app_that_can_not_be_opened_says_why(tmp_path: Path, language: str, words: str) -> None:
    home = Home(tmp_path)
    lock = HistoryLock(home.make(home.history))
    page = FakePage(language)

    asyncio.run(Phone(home).show(cast(ft.Page, page)))

    lock.release()
    assert words in words_of(page.controls[0])
    assert page.on_app_lifecycle_state_change is None


def test_temporary_files_go_where_the_system_wants_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLET_APP_STORAGE_TEMP", str(tmp_path))
    monkeypatch.setenv("CHATBELLE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    shown: list[Any] = []
    monkeypatch.setattr(ft, "run", lambda show, **options: shown.append(show))

    phone_module.run()

    assert tempfile.gettempdir() == str(tmp_path)
    assert len(shown) == 1


def test_a_phone_writes_with_the_fonts_of_its_system() -> None:
    page: Any = SimpleNamespace(web=False)

    apply_theme(page, Settings())

    assert page.theme.font_family is None
    assert page.dark_theme.font_family is None
