"""The app of one process: its services are made once, and a shell for every page.

Several browser tabs are several pages of the same app, so all of them show the same state.
"""

from __future__ import annotations

import logging
import logging.handlers
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import flet as ft

from app.chat.events import Problem
from app.chat.service import ChatService
from app.gui.window import MENU_TEXTS, Frame
from app.history.lock import HistoryLock
from app.history.records import OpenReport
from app.history.store import HistoryStore, lock_history
from app.home import Home
from app.i18n import Texts, WindowTexts
from app.kit.errors import KitError
from app.kit.prompt_format import keep_kit_format
from app.models.errands import Import
from app.models.events import JobChanged, ModelEvent
from app.models.service import ModelService
from app.personas import PersonaStore
from app.settings import Settings, SettingsStore, WindowPlace
from app.settings_file import SettingsNotSaved
from app.views.context import APP_TITLE
from app.views.pages import Pages
from app.views.shell import Shell, Surroundings
from app.views.theme import apply_theme

_LOG_BYTES = 1_000_000
_LOGS_KEPT = 3
_log = logging.getLogger(__name__)


class App:
    """Opens pages and ends them all; everything but `open_paths` and `close` runs on the event loop."""

    def __init__(
        self,
        home: Home,
        texts: Texts,
        service: ChatService,
        models: ModelService,
        lock: HistoryLock,
        notices: tuple[str, ...] = (),
        *,
        in_window: bool = False,
    ) -> None:
        """lock: of the history, which `service` closes. notices: sentences for the first page that opens.

        in_window: the page is shown in a window of its own, not in a browser.
        """
        self._home = home
        self._texts = texts
        self._service = service
        self._models = models
        self._lock = lock
        self._notices = notices
        self._in_window = in_window
        self._is_asking = False
        self._pages = Pages()
        self._show: Callable[[str], None] | None = None
        self._quit: Callable[[], None] = lambda: None
        self._set_title: Callable[[str], None] = lambda text: None
        models.subscribe(self._follow_models)

    def prepare_page(self, page: ft.Page) -> None:
        """Give a new page its looks: what comes after the first frame is seen to change."""
        page.title = APP_TITLE
        page.padding = 0
        apply_theme(page, self._service.settings.settings)

    async def open_page(self, page: ft.Page) -> None:
        """Show the app on a new page."""
        around = Surroundings(
            service=self._service,
            models=self._models,
            folder=self._home.root,
            language=self._texts.language,
            on_settings_changed=self._settings_changed,
            on_title=lambda text: self._set_title(text),
            on_quit=self._quit_when_sure,
            in_window=self._in_window,
        )
        shell = Shell(page, around)
        self._pages.add(shell, page)
        await shell.start()
        self._pages.show_waiting()
        notices, self._notices = self._notices, ()
        if notices:
            shell.say("\n".join(notices))

    def reachable_at(self, address: str) -> None:
        """Say in the lock's file where a later start of the program can ask for something."""
        self._lock.announce(address)

    def on_show(self, show: Callable[[str], None]) -> None:
        """Be told how to bring the window to the front; where nobody tells, there is none."""
        self._show = show

    def show(self, token: str = "") -> bool:
        """Bring the window to the front, with the desktop's leave; false where there is no window."""
        if self._show is None:
            return False
        self._show(token)
        return True

    def open_paths(self, paths: Sequence[Path], *, on_next_page: bool = False) -> None:
        """Show files and folders that were opened with the app, as `Pages.open_paths`."""
        self._pages.open_paths(paths, on_next_page=on_next_page)

    def on_quit(self, quit_app: Callable[[], None]) -> None:
        """Be told how to end the program."""
        self._quit = quit_app

    def on_title(self, set_title: Callable[[str], None]) -> None:
        """Be told how to change the title of the window."""
        self._set_title = set_title

    def frame(self) -> Frame:
        """The window as the person left it, in their language and colours."""
        settings, texts = self._service.settings.settings, self._window_texts()
        return Frame(
            title=APP_TITLE,
            place=settings.window,
            language=texts.language,
            is_dark={"dark": True, "light": False}.get(settings.theme),
            folder=self._home.web_view,
            texts={key: texts.text(key) for key in MENU_TEXTS},
        )

    async def may_close(self) -> bool:
        """Whether nothing is under way that a person may want to wait for; otherwise they are asked.

        Who wants it closed again while they are asked means it.
        """
        if self._is_asking or not self._pages.shells or not self._is_at_work():
            return True
        self._is_asking = True
        for shell in self._pages.shells:
            shell.ask_before_quitting(self._quit_everywhere, self._stay)
        return False

    def window_closed(self, place: WindowPlace) -> None:
        """Remember where the window was, for the next start."""
        try:
            self._service.settings.update(window=place)
        except SettingsNotSaved as error:  # nobody is there any more to be told
            _log.warning("the window's place is not kept: %s", error)

    def page_came_back(self) -> None:
        """Say that the page died and was loaded anew; on the page that comes."""
        self._notices += (self._window_texts().text("gui.page_came_back"),)

    def file_saved(self, path: Path) -> None:
        """Say where a download is."""
        for shell in self._pages.shells:
            shell.say_saved(path)

    def keep_drafts(self) -> None:
        """Bring what is typed on all pages to disk now."""
        for shell in self._pages.shells:
            shell.keep_draft()

    def went_away(self) -> None:
        """Nobody looks at the app any more, as phones tell. Waits for the disk."""
        self._models.went_away()
        self._service.went_away()

    def came_back(self) -> None:
        """Somebody looks at it again."""
        self._service.came_back()
        self._models.came_back()

    def go_back(self) -> bool:
        """One step back on the newest page; False where there is none."""
        return bool(self._pages.shells) and self._pages.shells[-1].go_back()

    def close(self) -> None:
        """Pause long work, save what is running and stop the engine; once is enough."""
        self._models.close()
        self._service.close()

    def _window_texts(self) -> Texts:
        """In the language that the person chose."""
        return WindowTexts(self._service.settings.settings.language_on(self._texts.language))

    def _follow_models(self, event: ModelEvent) -> None:
        """Called on the model service's threads, also while there is no page."""
        if not isinstance(event, JobChanged) or event.job.done is None:
            return
        errand, path = event.job.errand, event.job.done.path
        if event.job.state == "done" and isinstance(errand, Import):
            try:
                keep_kit_format(errand.wish.path, path, self._service.settings, self._home)
            except (KitError, SettingsNotSaved) as error:
                self._service.publish(Problem(None, error))

    def _settings_changed(self, settings: Settings) -> None:
        for shell in self._pages.shells:
            shell.settings_changed(settings)

    async def _quit_when_sure(self) -> None:
        if await self.may_close():
            self._quit_everywhere()

    def _stay(self) -> None:
        self._is_asking = False

    def _is_at_work(self) -> bool:
        return any(job.is_active for job in self._models.jobs.all)

    def _quit_everywhere(self) -> None:
        for shell in self._pages.shells:
            shell.say_goodbye()
        self._quit()


def open_app(
    home: Home,
    texts: Texts,
    lock: HistoryLock | None = None,
    *,
    in_window: bool = False,
    notice: str | None = None,
) -> App:
    """Open everything a person's data folder holds; lock: of its history, where the caller has it already.

    in_window: its page is shown in a window. notice: a sentence for the first page.

    Raises DataFolderError, HistoryInUse (another ChatBELLE is running), HistoryTooNew and the other
    HistoryFileErrors.
    """
    home.make()
    lock = lock or lock_history(home.make(home.history))
    try:
        return _open_app(home, texts, lock, in_window, notice)
    except BaseException:
        lock.release()
        raise


def _open_app(home: Home, texts: Texts, lock: HistoryLock, in_window: bool, notice: str | None) -> App:
    _write_log(home)
    settings = SettingsStore(home.root)
    personas = PersonaStore(home.root)
    history = HistoryStore.open(home.history, lock=lock)
    models = ModelService(home)
    service = ChatService(
        home=home, settings=settings, personas=personas, history=history, language=texts.language
    )
    notices = report_sentences(history.report, texts)
    damaged = (settings.damaged_path, personas.damaged_path)
    notices += [texts.text("gui.settings_damaged", path=path) for path in damaged if path is not None]
    if notice is not None:
        notices.append(notice)
    return App(home, texts, service, models, lock, tuple(notices), in_window=in_window)


def report_sentences(report: OpenReport, texts: Texts) -> list[str]:
    """What a person should know of how the history was opened; nothing when all was well."""
    sentences = []
    if report.outcome == "restored" and report.backup is not None:
        date = datetime.fromtimestamp(report.backup.created_at / 1000).strftime("%Y-%m-%d %H:%M")
        sentences.append(texts.text("gui.restored", date=date, path=report.damaged_path))
    elif report.outcome == "started_empty":
        sentences.append(texts.text("gui.started_empty", path=report.damaged_path))
    if report.backup_failure:
        sentences.append(texts.text("gui.backup_failed", reason=report.backup_failure))
    return sentences


def _write_log(home: Home) -> None:
    """Keep a log in the data folder: where the details of an unexpected error are looked for."""
    path: Path = home.make(home.logs) / "chatbelle.log"
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=_LOG_BYTES, backupCount=_LOGS_KEPT, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.setLevel(logging.INFO)
    logger = logging.getLogger()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    # httpx would write down every address that is asked, with the keys that some hosts put into them.
    for talkative in ("flet", "flet_web", "uvicorn", "websockets", "httpx", "httpcore"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
