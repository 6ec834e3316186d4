"""The app on a phone: Flet's client and this Python are one process, begun and ended by the system.

Nothing tells that the end is near. So whatever is not on disk goes there when the app leaves the screen, and
the model's memory is given back soon after: a phone ends the largest of the apps that nobody looks at first.
The app itself is made with the first page, which knows the person's language; Android may show another page
of the same process later.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.resources import files

import flet as ft

from app.home import Home, find_home
from app.i18n import EXPECTED_ERRORS, WindowTexts
from app.main import App, open_app
from app.settings import read_settings
from app.views.context import APP_TITLE
from convert.i18n import Language
from engine.darwin import keep_out_of_backups

_AWAY = (ft.AppLifecycleState.HIDE, ft.AppLifecycleState.PAUSE)
_HERE = (ft.AppLifecycleState.SHOW, ft.AppLifecycleState.RESUME)
# Shorter than the time that iOS leaves an app after it was hidden; longer than a glance at a notification.
_GLANCE_S = 3.0

_SAID_NOTHING = (RuntimeError, TimeoutError, TypeError, ValueError, LookupError)

_log = logging.getLogger(__name__)


def run() -> None:
    """Show the app until the system ends the process."""
    temporary = os.environ.get("FLET_APP_STORAGE_TEMP")
    if temporary:
        tempfile.tempdir = temporary  # phones have no /tmp, and Python would take the data folder
    _write_warnings()
    phone = Phone(find_home())
    ft.run(phone.show, assets_dir=str(files("assets")), no_cdn=True)


class Phone:
    """The app, its pages, and whether anybody looks."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._app: App | None = None
        self._leaving: asyncio.TimerHandle | None = None
        # One at a time: an app that is looked at again must not be told afterwards that it was left.
        self._turns = ThreadPoolExecutor(max_workers=1, thread_name_prefix="phone")

    async def show(self, page: ft.Page) -> None:
        """Show the app on a page, or the sentence that says why it can't be opened."""
        # It would compare the whole page after every event; whoever changes a control updates it.
        ft.context.disable_auto_update()
        language = language_of(await _languages(page))
        try:
            app = self._app = self._app or open_app(self._home, WindowTexts(language), in_window=True)
        except EXPECTED_ERRORS as error:
            _log.warning("the app can't be opened: %s", error)
            texts = WindowTexts(read_settings(self._home.root).language_on(language))
            _show_sentence(page, texts.error(error))
            return
        keep_out_of_backups(self._home.make(self._home.models))  # gigabytes that anybody can get again
        app.prepare_page(page)
        page.on_app_lifecycle_state_change = self._state_changed
        view = page.views[0]
        view.can_pop = False  # or Back would end the app, wherever one is in it
        view.on_confirm_pop = self._back_pressed
        self._return(app)
        await app.open_page(page)

    def _state_changed(self, event: ft.AppLifecycleStateChangeEvent) -> None:
        assert self._app is not None
        if event.state in _AWAY:
            self._leave(self._app)
        elif event.state in _HERE:
            self._return(self._app)

    def _leave(self, app: App) -> None:
        if self._leaving is None:
            app.keep_drafts()
            loop = asyncio.get_running_loop()
            self._leaving = loop.call_later(_GLANCE_S, self._take_turn, app.went_away)

    def _return(self, app: App) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
            self._take_turn(app.came_back)

    def _take_turn(self, turn: Callable[[], None]) -> None:
        self._turns.submit(turn).add_done_callback(_log_failure)

    async def _back_pressed(self, event: ft.Event[ft.View]) -> None:
        went_back = self._app is not None and self._app.go_back()
        await event.control.confirm_pop(not went_back)


def _log_failure(turn: Future[None]) -> None:
    """Nobody waits for it, and whoever looks again sees what is there."""
    error = turn.exception()
    if error is not None:
        _log.error("leaving the screen, or coming back", exc_info=error)


def language_of(preferred: Sequence[str]) -> Language:
    """The first of a person's languages (`zh`, `de`) that the app speaks, else English."""
    known = (language for language in preferred if language in ("zh", "en"))
    return "zh-CN" if next(known, "en") == "zh" else "en"


async def _languages(page: ft.Page) -> list[str]:
    """The languages that the person set in the system, the best first; none where the client does not say."""
    try:
        info = await page.get_device_info()
    except _SAID_NOTHING:  # what it tells of a device is read field by field, and devices differ
        _log.warning("the system's languages are not known", exc_info=True)
        return []
    return [locale.language_code for locale in info.locales] if info is not None else []


def _show_sentence(page: ft.Page, text: str) -> None:
    page.title = APP_TITLE
    sentence = ft.Text(text, theme_style=ft.TextThemeStyle.TITLE_MEDIUM, selectable=True)
    page.controls = [
        ft.SafeArea(ft.Container(sentence, expand=True, alignment=ft.Alignment.CENTER), expand=True)
    ]
    page.update()


def _write_warnings() -> None:
    """Warnings go to the error stream as well: Flet keeps it where the system's own tools find it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
