"""What every screen is given: the page, the services, texts, and the few things only the shell can do.

Three rules hold for everything that is given a `ViewContext`:

- Flet's automatic update after each handler is off (it compares the whole page, 22 ms with 500 messages):
  whoever changes a control calls `update()` on that control.
- Handlers run on the event loop. What may wait for the disk goes through `in_thread`; handlers are passed
  through `guard`, so that an error becomes a sentence in a snack bar instead of a crash banner.
- Text takes its size from a theme style (`theme_style=ft.TextThemeStyle.BODY_MEDIUM`), never from a number:
  the font size that the person set is in the theme.

Knows no particular screen.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Protocol, TypeVar

import flet as ft

from app.i18n import EXPECTED_ERRORS, Texts
from convert.i18n import Language
from engine.installation import is_phone

if TYPE_CHECKING:
    from app.chat.service import ChatService
    from app.models.service import ModelService
    from app.settings import SettingsStore

_P = ParamSpec("_P")
_T = TypeVar("_T")

ModelsSection = Literal["local", "get"]

APP_TITLE = "ChatBELLE"
NARROW_BELOW = 840
_NOTICE_WIDTH = 560
_NOTICE_BOTTOM = 140
_NOTICE_MS = 5_000
_NOTICE_WITH_ACTION_MS = 10_000
_TOUCH = (ft.PagePlatform.ANDROID, ft.PagePlatform.IOS, ft.PagePlatform.ANDROID_TV)
_SESSION_CLOSED = "Session closed"  # Flet has no class for it
_log = logging.getLogger(__name__)


class Places(Protocol):
    """The screens of a page, as the shell opens them."""

    def open_conversation(
        self, conversation_id: int | None, message_id: int | None = None, *, in_thought: bool = False
    ) -> None: ...

    def open_settings(self) -> None: ...

    def open_models(self, section: ModelsSection) -> None: ...

    def open_convert(self, path: Path | None) -> None: ...

    def toggle_sidebar(self) -> None: ...


def is_narrow(width: float | None) -> bool:
    """Whether a window this wide (logical pixels; None: not known yet) shows the sidebar as a drawer."""
    return width is not None and width < NARROW_BELOW


class ViewContext:
    """One per page and language: a language switch makes a new one and builds the screens anew."""

    def __init__(
        self,
        page: ft.Page,
        service: ChatService,
        models: ModelService,
        texts: Texts,
        places: Places,
        *,
        in_browser: bool,
        on_title: Callable[[str], None],
    ) -> None:
        """in_browser: the page is in a tab of a browser, which has keys of its own.

        on_title: changes the title of the window around the page, where there is one.
        """
        self.page = page
        self.service = service
        self.models = models
        self.texts = texts
        self.is_web = bool(page.web)
        self.in_browser = in_browser
        self._on_title = on_title
        self._places = places
        self._key_listeners: list[Callable[[ft.KeyboardEvent], None]] = []
        self._loop = asyncio.get_running_loop()
        # Flet finds the page of a new control in a context variable, which other threads don't have.
        self._variables = contextvars.copy_context()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._notice: ft.SnackBar | None = None

    @property
    def language(self) -> Language:
        """The language of this person."""
        return self.texts.language

    @property
    def settings(self) -> SettingsStore:
        """What the person set: `settings.settings` to read, `settings.update(...)` in a thread to change."""
        return self.service.settings

    @property
    def is_phone(self) -> bool:
        """Whether this is an app of a phone: it sees its own files and those that the system hands it."""
        return is_phone()

    @property
    def is_touch(self) -> bool:
        """Whether fingers are what it is used with: they need larger buttons, and hover over nothing."""
        return self.page.platform in _TOUCH

    @property
    def is_narrow(self) -> bool:
        """Whether the window is so narrow that the sidebar is a drawer, as on a phone."""
        return is_narrow(self.page.width)

    def t(self, key: str, **values: Any) -> str:
        """The text for `key` in the person's language."""
        return self.texts.text(key, **values)

    def open_conversation(
        self, conversation_id: int | None, message_id: int | None = None, *, in_thought: bool = False
    ) -> None:
        """Show a conversation, None for a new one, scrolled to a message or thought where one is named."""
        self._places.open_conversation(conversation_id, message_id, in_thought=in_thought)

    def open_settings(self) -> None:
        """Show the settings."""
        self._places.open_settings()

    def open_models(self, section: ModelsSection = "local") -> None:
        """Show the models: those on this disk, or those there are to get."""
        self._places.open_models(section)

    def open_convert(self, path: Path | None = None) -> None:
        """Show the conversion, with a file or folder to look at, or none yet."""
        self._places.open_convert(path)

    def toggle_sidebar(self) -> None:
        """Show or hide the sidebar; the menu button of every screen's header does this."""
        self._places.toggle_sidebar()

    def use_model(self, path: Path | None) -> None:
        """Answer with the model at `path` from now on, None is the demo, and show a new chat."""
        self.run(self._use_model, path)

    def on_key(self, listener: Callable[[ft.KeyboardEvent], None]) -> Callable[[], None]:
        """Call `listener` for every key pressed on this page, until the returned function is called."""
        self._key_listeners.append(listener)
        return lambda: self._key_listeners.remove(listener)

    def press_key(self, event: ft.KeyboardEvent) -> None:
        """Tell the listeners of a key; for the shell, which owns the page's keyboard."""
        for listener in tuple(self._key_listeners):
            listener(event)

    def show_title(self, text: str) -> None:
        """Change the title of the tab or window."""
        self.page.title = text
        self.page.update()
        self._on_title(text)

    def open_dialog(self, dialog: ft.DialogControl) -> None:
        """Show a dialog, bottom sheet or snack bar."""
        self.page.show_dialog(dialog)

    def close_dialog(self, dialog: ft.DialogControl) -> None:
        """Close a dialog that `open_dialog` showed; nothing happens when it is closed already."""
        if dialog.open:
            dialog.open = False
            dialog.update()

    def notify(
        self, text: str, action_label: str | None = None, on_action: Callable[[], Any] | None = None
    ) -> None:
        """Say `text` in a snack bar, which takes the place of an earlier one.

        on_action: a function or coroutine function, called once when the action is chosen.
        """
        if self._notice is not None:
            self.close_dialog(self._notice)
        action = None
        if action_label is not None and on_action is not None:
            action = ft.SnackBarAction(action_label, on_click=self.guard(on_action))
        self._notice = ft.SnackBar(
            ft.Text(text, max_lines=6),
            action=action,
            behavior=ft.SnackBarBehavior.FLOATING,
            margin=self._notice_margin(),
            persist=False,
            duration=_NOTICE_MS if action is None else _NOTICE_WITH_ACTION_MS,
            show_close_icon=action is None,
        )
        self.open_dialog(self._notice)

    def _notice_margin(self) -> ft.Margin:
        """Above where one writes, in the middle of the screen beside the sidebar."""
        width = self.page.width or NARROW_BELOW
        left = 0 if self.is_narrow else self.settings.settings.sidebar_width
        side = max(16, (width - left - _NOTICE_WIDTH) / 2)
        return ft.Margin(left=left + side, right=side, top=0, bottom=_NOTICE_BOTTOM)

    def report(self, error: BaseException) -> None:
        """Say what went wrong in a sentence; the traceback of an unexpected error goes into the log."""
        if isinstance(error, EXPECTED_ERRORS):
            self.notify(self.texts.error(error))
            return
        _log.error("unexpected error in the window", exc_info=error)
        self.notify(self.t("gui.unexpected", kind=type(error).__name__))

    def guard(self, handler: Callable[..., Any]) -> Callable[..., Awaitable[None]]:
        """An event handler that reports errors; `handler` takes the event or nothing, and may be async.

        A parameter with a default is not for the event.
        """
        parameters = inspect.signature(handler).parameters.values()
        takes_event = any(parameter.default is parameter.empty for parameter in parameters)

        async def guarded(event: Any = None) -> None:
            await self._attempt(handler, *((event,) if takes_event else ()))

        return guarded

    def run(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Call a function or coroutine function on the event loop, from any thread; errors are reported."""
        self._loop.call_soon_threadsafe(self._start, work, arguments, context=self._variables)

    async def in_thread(self, call: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T:
        """Call what may wait for the disk on another thread, and return its result."""
        return await asyncio.to_thread(call, *arguments, **options)

    def copy(self, text: str) -> None:
        """Put `text` on the clipboard and say so."""
        self.run(self._copy, text)

    def _start(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        task = self._loop.create_task(self._attempt(work, *arguments))
        self._tasks.add(task)  # the loop itself keeps no strong reference
        task.add_done_callback(self._tasks.discard)

    async def _attempt(self, work: Callable[..., Any], *arguments: Any) -> None:
        try:
            result = work(*arguments)
            if inspect.isawaitable(result):
                await result
        except (asyncio.CancelledError, CancelledError):
            raise
        except Exception as error:
            if not _is_from_a_closed_page(error):
                self.report(error)

    async def _use_model(self, path: Path | None) -> None:
        if self._notice is not None:
            self.close_dialog(self._notice)  # it may offer just this
        await self.in_thread(self.service.choose_file, path)
        self.open_conversation(None)

    async def _copy(self, text: str) -> None:
        await ft.Clipboard().set(text)
        self.notify(self.t("gui.copied"))


def _is_from_a_closed_page(error: Exception) -> bool:
    """Whether a call to the client was given up because its window or tab is gone, which is no error."""
    return isinstance(error, RuntimeError) and str(error) == _SESSION_CLOSED
