"""The app of one process: its services are made once, and a shell for every page.

Several browser tabs are several pages of the same app, so all of them show the same state.
"""

from __future__ import annotations

import logging
import logging.handlers
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import flet as ft

from app.chat.service import ChatService
from app.history.records import OpenReport
from app.history.store import HistoryStore
from app.home import Home
from app.i18n import Texts
from app.models.service import ModelService
from app.personas import PersonaStore
from app.settings import Settings, SettingsStore
from app.views.context import APP_TITLE
from app.views.shell import Shell, Surroundings
from app.views.theme import apply_theme
from app.views.window import WindowFrame
from engine.installation import is_phone

_LOG_BYTES = 1_000_000
_LOGS_KEPT = 3


class App:
    """Opens pages and ends them all; everything but `close` runs on the event loop."""

    def __init__(
        self,
        home: Home,
        texts: Texts,
        service: ChatService,
        models: ModelService,
        notices: tuple[str, ...] = (),
        path: Path | None = None,
    ) -> None:
        """notices: sentences for the first page that opens; path: a checkpoint that it shows."""
        self._home = home
        self._texts = texts
        self._service = service
        self._models = models
        self._notices = notices
        self._path = path
        self._shells: list[Shell] = []
        self._quit: Callable[[], None] = lambda: None

    def prepare_page(self, page: ft.Page) -> None:
        """Give a new page its looks: what comes after the first frame is seen to change."""
        page.title = APP_TITLE
        page.padding = 0
        apply_theme(page, self._service.settings.settings)
        if not page.web and not is_phone():
            WindowFrame(page, self._service.settings, self.close).apply()

    async def open_page(self, page: ft.Page) -> None:
        """Show the app on a new page."""
        around = Surroundings(
            service=self._service,
            models=self._models,
            folder=self._home.root,
            language=self._texts.language,
            on_settings_changed=self._settings_changed,
            on_quit=self._quit_everywhere,
        )
        shell = Shell(page, around)
        self._shells.append(shell)
        page.on_close = lambda: self._close_page(shell)
        await shell.start()
        path, self._path = self._path, None
        if path is not None:
            shell.open_convert(path)
        notices, self._notices = self._notices, ()
        if notices:
            shell.say("\n".join(notices))

    def on_quit(self, quit_app: Callable[[], None]) -> None:
        """Be told how to end the program."""
        self._quit = quit_app

    def keep_drafts(self) -> None:
        """Bring what is typed on all pages to disk now."""
        for shell in self._shells:
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
        return bool(self._shells) and self._shells[-1].go_back()

    def close(self) -> None:
        """Pause long work, save what is running and stop the engine; once is enough."""
        self._models.close()
        self._service.close()

    def _close_page(self, shell: Shell) -> None:
        if shell in self._shells:
            self._shells.remove(shell)
            shell.dispose()

    def _settings_changed(self, settings: Settings) -> None:
        for shell in self._shells:
            shell.settings_changed(settings)

    def _quit_everywhere(self) -> None:
        for shell in self._shells:
            shell.say_goodbye()
        self._quit()


def open_app(home: Home, texts: Texts, path: Path | None = None) -> App:
    """Open everything a person's data folder holds; path: a checkpoint to show first.

    Raises DataFolderNotWritable, HistoryInUse (another ChatBELLE is running), HistoryTooNew and the other
    HistoryFileErrors.
    """
    home.make()
    _write_log(home)
    settings = SettingsStore(home.root)
    personas = PersonaStore(home.root)
    history = HistoryStore.open(home.make(home.history))
    models = ModelService(home)
    service = ChatService(
        home=home, settings=settings, personas=personas, history=history, language=texts.language
    )
    notices = report_sentences(history.report, texts)
    damaged = (settings.damaged_path, personas.damaged_path)
    notices += [texts.text("gui.settings_damaged", path=path) for path in damaged if path is not None]
    return App(home, texts, service, models, tuple(notices), path)


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
    for talkative in ("flet", "flet_web", "flet_desktop", "uvicorn", "websockets", "httpx", "httpcore"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
