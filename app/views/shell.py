"""One page of the app, in a window or a browser tab: the sidebar and the screen beside it.

Wide windows have the sidebar beside the screen, narrow ones have it as a drawer above; it is the same
control, only its place changes. Knows the screens; the screens don't know each other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flet as ft

from app.chat.events import ChatEvent, ConversationsChanged, Problem
from app.components.basics.dialogs import ask_confirmation
from app.components.settings.shortcuts import Action, action_for, shortcut_sheet
from app.components.sidebar.sidebar import Sidebar
from app.i18n import WindowTexts
from app.models.events import ModelEvent
from app.models.jobs import Job
from app.models.opened import Drafts, sources_of
from app.settings import Settings
from app.views.chat import ChatView
from app.views.chat_reading import Carried
from app.views.context import ModelsSection, ViewContext, is_narrow
from app.views.convert import ConvertView
from app.views.models import ModelsView
from app.views.session_guard import guard_session
from app.views.settings import SettingsView
from app.views.theme import apply_theme
from app.views.work_watch import WorkWatch
from convert.i18n import Language

if TYPE_CHECKING:
    from app.chat.service import ChatService
    from app.models.conversion import Draft
    from app.models.service import ModelService

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Surroundings:
    """What a shell needs of the process. language: of this system or command line.

    on_settings_changed tells all pages; on_title changes the window's title; on_quit ends the program, unless
    a person thinks better of it. in_window: the page is in a window of its own.
    """

    service: ChatService
    models: ModelService
    folder: Path
    language: Language
    on_settings_changed: Callable[[Settings], None]
    on_title: Callable[[str], None]
    on_quit: Callable[[], Awaitable[None]]
    in_window: bool


class Shell:
    """Builds the page with `start`, and builds it anew when the language changes."""

    def __init__(self, page: ft.Page, around: Surroundings) -> None:
        self._page = page
        self._around = around
        self._service = around.service
        self._loop = asyncio.get_running_loop()
        self._is_drawer_open = False
        self._is_filled = False
        self._conversation_id: int | None = None
        self._is_mac = page.platform is ft.PagePlatform.MACOS
        self._subscriptions = ExitStack()
        # Opens the screen in place of the chat again, after the page was built anew.
        self._open_again: Callable[[], None] | None = None
        # What was chosen for conversions outlives the screen, which is made anew with the page.
        self._drafts = Drafts()
        self._settings = self._service.settings.settings
        self._saving = asyncio.Lock()
        self._build()

    @property
    def context(self) -> ViewContext:
        """Of the language now shown."""
        return self._context

    @property
    def is_seen(self) -> bool:
        """Whether it is filled, and on a screen: of a closed tab, the page is kept for a while."""
        return self._is_filled and self._page.session.connection is not None

    async def start(self) -> None:
        """Fill the page, open the last conversation and listen from now on."""
        page = self._page
        page.on_resize = self._resized
        page.on_keyboard_event = self._key_pressed
        guard_session(page.session, self._unhandled)
        last = await self._last_conversation()
        page.controls = [ft.Container(self._stack, expand=True)]
        page.update()
        self._is_filled = True
        self._subscriptions.callback(self._service.subscribe(self._from_service))
        self._subscriptions.callback(self._around.models.subscribe(self._from_models))
        self._work.show()
        self._show_conversation(last, None)
        await self._sidebar.reload()

    def dispose(self) -> None:
        """Stop listening; the page is gone."""
        self._subscriptions.close()
        self._chat.dispose()

    def settings_changed(self, settings: Settings) -> None:
        """Show the page in these settings; the language builds it anew."""
        before, self._settings = self._settings, settings
        if (settings.theme, settings.font_scale) != (before.theme, before.font_scale):
            apply_theme(self._page, settings)
            self._page.update()
        rebuilt = (settings.show_statistics, settings.font_scale)
        if self._language() != self._context.language or rebuilt != (
            before.show_statistics,
            before.font_scale,
        ):
            self._rebuild()

    def keep_draft(self) -> None:
        """Bring what is typed to disk now: the page may never be heard of again."""
        self._chat.keep_draft()

    def go_back(self) -> bool:
        """One step back, as a phone's own button and gesture mean it; False where there is none."""
        if self._scrim.visible:
            self.toggle_sidebar()
        elif self._open_again is not None:
            self._close_screen()
        else:
            return False
        return True

    def say(self, text: str) -> None:
        """A sentence in a snack bar."""
        self._context.notify(text)

    def say_saved(self, path: Path) -> None:
        """Where a download is."""
        self._context.notify(self._context.t("export.done", path=path))

    def ask_before_quitting(self, quit_app: Callable[[], None], stay: Callable[[], None]) -> None:
        """Ask whether to quit although there is work under way; one of the two is called."""
        t = self._context.t
        titles = [job.title for job in self._around.models.jobs.all if job.is_active]
        text = t("quit.text", titles=t("quit.and").join(titles))
        ask_confirmation(
            self._context,
            t("quit.title"),
            text,
            t("quit.action"),
            quit_app,
            keep=t("quit.stay"),
            on_keep=stay,
        )

    def say_goodbye(self) -> None:
        """Show that the program has ended; nothing on this page works any more."""
        text = ft.Text(self._context.t("gui.stopped"), theme_style=ft.TextThemeStyle.TITLE_MEDIUM)
        self._page.controls = [ft.Container(text, expand=True, alignment=ft.Alignment.CENTER)]
        self._page.update()

    def _build(self, carried: Carried | None = None) -> None:
        """carried: of the chat that was on this page before."""
        self._context = ViewContext(
            self._page,
            self._service,
            self._around.models,
            WindowTexts(self._language()),
            self,
            in_browser=bool(self._page.web) and not self._around.in_window,
            on_title=self._around.on_title,
        )
        self._sidebar = Sidebar(self._context, self._conversations_changed, self._conversation_deleted)
        self._sidebar.left = self._sidebar.top = self._sidebar.bottom = 0
        self._chat = ChatView(self._context, carried or Carried(new_draft=self._settings.new_draft))
        self._models_view: ModelsView | None = None
        self._convert_view: ConvertView | None = None
        self._work = WorkWatch(self._context, self._shows_ending)
        self._screen = ft.Container(self._chat, expand=True)
        self._content = ft.Container(
            # Notches, status bars and what else a system draws over an app.
            ft.SafeArea(ft.Column([self._screen, self._work.strip], spacing=0), expand=True),
            left=0,
            top=0,
            right=0,
            bottom=0,
            bgcolor=ft.Colors.SURFACE,
        )
        self._scrim = ft.Container(
            left=0,
            top=0,
            right=0,
            bottom=0,
            bgcolor=ft.Colors.with_opacity(0.4, ft.Colors.SCRIM),
            on_click=self._context.guard(self.toggle_sidebar),
        )
        self._stack = ft.Stack([self._content, self._scrim, self._sidebar], expand=True)
        self._place()

    def _rebuild(self) -> None:
        """The same page in another language, on the same screen."""
        open_again = self._open_again
        self._build(self._chat.dispose())
        self._page.controls = [ft.Container(self._stack, expand=True)]
        self._page.update()
        self._context.run(self._sidebar.reload)
        self._show_conversation(self._conversation_id, None)
        if open_again is not None:
            open_again()

    def _language(self) -> Language:
        return self._settings.language_on(self._around.language)

    # Screens

    def open_conversation(
        self, conversation_id: int | None, message_id: int | None = None, *, in_thought: bool = False
    ) -> None:
        """Show a conversation, or a new one, and remember it for the next start."""
        self._close_drawer()
        self._show_conversation(conversation_id, message_id, in_thought=in_thought)
        self._context.run(partial(self._save, last_conversation=conversation_id))

    def open_settings(self) -> None:
        """Show the settings in place of the chat, which stays as it is behind them."""
        view = SettingsView(
            self._context,
            self._around.folder,
            on_saved=self._around.on_settings_changed,
            on_close=self._close_screen,
            on_shortcuts=self._show_shortcuts,
            on_quit=self._around.on_quit,
        )
        self._show_screen(view, "settings", self.open_settings)
        self._context.run(view.load)

    def open_models(self, section: ModelsSection = "local") -> None:
        """Show the models."""
        if self._models_view is None:
            self._models_view = ModelsView(self._context, section)
        else:
            self._models_view.show_section(section)
        self._show_screen(self._models_view, "models", lambda: self.open_models(section))
        self._context.run(self._models_view.load)

    def open_convert(self, path: Path | None = None) -> None:
        """Show the conversion; without a path as it was left."""
        if path is not None:
            self._drafts.current.take(path)
            self._convert_view = None
        if self._convert_view is None:
            self._convert_view = ConvertView(self._context, self._drafts)
        view = self._convert_view
        self._show_screen(view, "convert", self.open_convert)
        self._context.run(view.load)

    def open_paths(self, paths: Sequence[Path]) -> None:
        """Show what was opened with the app; the chat, and conversions begun before, stay as they are."""
        self._context.run(self._open_paths, paths)

    async def _open_paths(self, paths: Sequence[Path]) -> None:
        self._drafts.open(await self._context.in_thread(sources_of, paths), self._is_over)
        self._convert_view = None
        self.open_convert()

    def _is_over(self, draft: Draft) -> bool:
        """Whether the work on it is done."""
        job = self._around.models.jobs.find(draft.job_id) if draft.job_id is not None else None
        return job is not None and job.state == "done"

    def _show_screen(self, view: ft.Control, place: str, open_again: Callable[[], None]) -> None:
        """Show a screen in place of the chat, which stays as it is behind it."""
        self._close_drawer()
        self._open_again = open_again
        self._screen.content = view
        self._screen.update()
        self._sidebar.select_place(place)

    def _close_screen(self) -> None:
        if self._open_again is not None:
            self._open_again = None
            self._screen.content = self._chat
            self._screen.update()
            self._sidebar.select_place(None)

    def _show_conversation(
        self, conversation_id: int | None, message_id: int | None, *, in_thought: bool = False
    ) -> None:
        self._close_screen()
        self._conversation_id = conversation_id
        self._sidebar.select(conversation_id)
        self._chat.show(conversation_id, message_id, in_thought=in_thought)

    def _conversations_changed(self) -> None:
        """Tell all pages that the list is another one, this one included."""
        self._service.publish(ConversationsChanged())

    def _conversation_deleted(self, conversation_id: int) -> None:
        if conversation_id == self._conversation_id:
            self.open_conversation(None)

    async def _last_conversation(self) -> int | None:
        last = self._settings.last_conversation
        if last is None:
            return None
        found = await self._context.in_thread(_find_conversation, self._service, last)
        return last if found else None

    async def _save(self, **changes: Any) -> None:
        """Keep settings for the next start, in the order in which they were changed."""
        async with self._saving:
            await self._context.in_thread(self._service.settings.update, **changes)

    # The sidebar's place

    def _place(self) -> None:
        """Put sidebar, screen and scrim where they belong at this width."""
        narrow = is_narrow(self._page.width)
        width = self._settings.sidebar_width
        is_open = self._is_drawer_open if narrow else self._settings.sidebar_open
        self._sidebar.visible = is_open
        self._sidebar.width = min(width, int(self._page.width or width) - 56) if narrow else width
        self._sidebar.show_as_drawer(narrow)
        self._scrim.visible = narrow and is_open
        self._content.left = width if is_open and not narrow else 0

    def toggle_sidebar(self) -> None:
        """Show or hide the sidebar."""
        if is_narrow(self._page.width):
            self._is_drawer_open = not self._is_drawer_open
        else:
            is_open = not self._settings.sidebar_open
            self._settings = replace(self._settings, sidebar_open=is_open)
            self._context.run(partial(self._save, sidebar_open=is_open))
        self._place()
        self._stack.update()

    def _close_drawer(self) -> None:
        if self._is_drawer_open:
            self._is_drawer_open = False
            self._place()
            self._stack.update()

    def _resized(self, _event: ft.PageResizeEvent) -> None:
        self._place()
        self._work.show()  # there may be room for another text
        self._stack.update()

    # Events

    def _from_service(self, event: ChatEvent) -> None:
        """Called on the service's threads."""
        self._loop.call_soon_threadsafe(self._receive, event)

    def _receive(self, event: ChatEvent) -> None:
        if isinstance(event, ConversationsChanged):
            self._context.run(self._sidebar.reload)
        elif isinstance(event, Problem) and not self._chat.shows(event.error):
            self._context.report(event.error)
        self._chat.on_event(event)

    def _from_models(self, event: ModelEvent) -> None:
        """Called on the model service's threads."""
        self._loop.call_soon_threadsafe(self._follow_models, event)

    def _follow_models(self, event: ModelEvent) -> None:
        self._work.on_model_event(event)
        self._chat.on_model_event(event)
        for view in (self._models_view, self._convert_view):
            if view is not None:
                view.on_model_event(event)

    def _shows_ending(self, job: Job) -> bool:
        """Whether the open screen tells how the job ended."""
        screen = self._screen.content
        if isinstance(screen, ConvertView):
            return screen.draft.job_id == job.id
        return isinstance(screen, ModelsView)

    def _unhandled(self, message: str) -> None:
        _log.error("unhandled in a handler: %s", message)
        self._context.notify(self._context.t("gui.unexpected", kind=message.split("\n", 1)[0][:80]))

    # The keyboard

    def _key_pressed(self, event: ft.KeyboardEvent) -> None:
        self._context.press_key(event)
        action = action_for(
            event.key,
            ctrl=event.ctrl,
            meta=event.meta,
            alt=event.alt,
            shift=event.shift,
            in_browser=self._context.in_browser,
            is_mac=self._is_mac,
        )
        if action is not None:
            self._context.run(self._act, action)

    async def _act(self, action: Action) -> None:
        if action is Action.SEARCH:
            await self._focus_search()
            return
        acts: dict[Action, Callable[[], None]] = {
            Action.NEW: lambda: self.open_conversation(None),
            Action.FOCUS: self._focus_prompt,
            Action.STOP: self._chat.stop,
            Action.COPY_LAST: self._chat.copy_last,
            Action.PREVIOUS: lambda: self._step(-1),
            Action.NEXT: lambda: self._step(1),
            Action.SETTINGS: self.open_settings,
            Action.SIDEBAR: self.toggle_sidebar,
            Action.SHEET: self._show_shortcuts,
        }
        acts[action]()

    def _focus_prompt(self) -> None:
        self._close_screen()
        self._chat.focus_prompt()

    async def _focus_search(self) -> None:
        if not self._sidebar.visible:
            self.toggle_sidebar()
        await self._sidebar.focus_search()

    def _step(self, step: int) -> None:
        conversation_id = self._sidebar.neighbour(step)
        if conversation_id is not None:
            self.open_conversation(conversation_id)

    def _show_shortcuts(self) -> None:
        self._context.open_dialog(shortcut_sheet(self._context, self._is_mac))


def _find_conversation(service: ChatService, conversation_id: int) -> bool:
    """Whether it is still there and not in the trash."""
    from app.history.errors import ConversationMissing

    try:
        return service.history.conversations.get(conversation_id).trashed_at is None
    except ConversationMissing:
        return False
