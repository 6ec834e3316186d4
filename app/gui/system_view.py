"""The window on macOS and Windows: the system's own web view (WKWebView, WebView2) through pywebview.

Our page's content policy forbids pywebview's scripts in the page, so only its windows and their events are
used. On Windows the web view's files lie in the data folder and are removed when the window closes; macOS
keeps them where it does for every program, emptied at each start.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from app.gui.window import MIN_HEIGHT, MIN_WIDTH, Area, Frame, WindowListener, fitted, place_of
from app.settings import WindowPlace

# The splash's, so that nothing flashes before it: assets/web/splash.css.
_LIGHT, _DARK = "#F4FBF9", "#0E1514"
_WEBVIEW2_ARGUMENTS = "WEBVIEW2_ADDITIONAL_BROWSER_ARGUMENTS"
# WebView2 would look for updates and lists of bad sites, which nobody asked for.
_QUIET = (
    "--disable-background-networking --disable-component-update --disable-sync --disable-domain-reliability"
)
_MENUS = {
    "menu.save_file": "global.saveFile",
    "menu.about": "cocoa.menu.about",
    "menu.services": "cocoa.menu.services",
    "menu.view": "cocoa.menu.view",
    "menu.edit": "cocoa.menu.edit",
    "menu.hide": "cocoa.menu.hide",
    "menu.hide_others": "cocoa.menu.hideOthers",
    "menu.show_all": "cocoa.menu.showAll",
    "menu.quit": "cocoa.menu.quit",
    "menu.full_screen": "cocoa.menu.fullscreen",
    "menu.cut": "cocoa.menu.cut",
    "menu.copy": "cocoa.menu.copy",
    "menu.paste": "cocoa.menu.paste",
    "menu.select_all": "cocoa.menu.selectAll",
    "menu.all_files": "windows.fileFilter.allFiles",
}
_log = logging.getLogger(__name__)


def find_web_view() -> bool | None:
    """Whether there is a web view that can show our page; None where what opens it does not load."""
    try:
        if sys.platform == "win32":
            from webview.platforms import winforms

            return bool(winforms.is_chromium)  # else it is Internet Explorer's
        import webview.platforms.cocoa  # noqa: F401 - loads the system's frameworks
    except (ImportError, RuntimeError, OSError) as error:
        _log.info("no window of its own: %s", error)
        return None
    return True


class SystemWindow:
    """A `Window`; one per process."""

    def __init__(self, frame: Frame, icon: Path) -> None:
        """icon: unused, both systems take the program's."""
        import webview

        _keep_quiet(frame)
        webview.settings["ALLOW_DOWNLOADS"] = True
        webview.settings["ALLOW_FILE_URLS"] = False
        areas = [Area(each.x, each.y, each.width, each.height) for each in webview.screens]
        place = fitted(frame.place, areas)
        self._frame = frame
        self._left_at = frame.place
        self._listener: WindowListener | None = None
        self._is_maximized = place.maximized
        self._is_minimized = False
        self._is_closing = False
        self._is_untold = threading.Lock()
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._window = webview.create_window(
            frame.title,
            width=place.width,
            height=place.height,
            x=place.left,
            y=place.top,
            min_size=(MIN_WIDTH, MIN_HEIGHT),
            maximized=place.maximized,
            background_color=_DARK if frame.is_dark else _LIGHT,
            text_select=True,
            localization={theirs: frame.texts[ours] for ours, theirs in _MENUS.items()},
        )

    def load(self, address: str) -> None:
        """As `Window`."""
        self._calls.put(lambda: self._window.load_url(address))

    def show(self, token: str = "") -> None:
        """As `Window`; neither system has tokens for it."""
        self._calls.put(self._bring_to_front)

    def close(self) -> None:
        """As `Window`."""
        self._calls.put(self._close)

    def set_title(self, text: str) -> None:
        """As `Window`."""
        self._calls.put(lambda: self._window.set_title(text))

    def run(self, listener: WindowListener) -> None:
        """As `Window`."""
        import webview

        self._listener = listener
        events = self._window.events
        events.closing += self._closes
        events.maximized += lambda: self._note(is_maximized=True)
        events.minimized += lambda: self._note(is_minimized=True)
        events.restored += self._note
        if sys.platform == "darwin":
            _hear_of_opened_files(listener)
        # pywebview's methods wait until the window is there; whoever calls ours does not.
        threading.Thread(target=self._call_in_turn, name="window", daemon=True).start()
        webview.start(private_mode=True, storage_path=str(self._frame.folder))
        self._calls.put(None)
        self._end()

    def _call_in_turn(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    def _bring_to_front(self) -> None:
        if self._is_minimized:
            self._window.restore()
        self._window.show()

    def _note(self, *, is_maximized: bool = False, is_minimized: bool = False) -> None:
        self._is_minimized = is_minimized
        if not is_minimized:
            self._is_maximized = is_maximized

    def _close(self) -> None:
        self._is_closing = True
        self._left_at = self._place()
        self._window.destroy()

    def _closes(self) -> bool:
        """Called by the system; after it was true macOS may end the process, so everything is saved in it."""
        if self._listener is None:
            return True
        if not self._is_closing:
            if not self._listener.may_close():
                return False
            self._is_closing = True
            self._left_at = self._place()
        self._window.hide()
        self._end()
        return True

    def _end(self) -> None:
        """Tell it once; Cmd-Q inside the page ends macOS's loop without asking anybody."""
        if self._listener is not None and self._is_untold.acquire(blocking=False):
            self._listener.closing(self._left_at)

    def _place(self) -> WindowPlace:
        if self._is_minimized:  # it is far off every screen then
            return self._frame.place
        window = self._window
        size, position = (int(window.width), int(window.height)), (int(window.x), int(window.y))
        return place_of(size, position, self._is_maximized, self._frame.place)


if sys.platform == "darwin":

    def _hear_of_opened_files(listener: WindowListener) -> None:
        """macOS tells the running program, not its arguments; pywebview does not listen."""
        import objc
        from webview.platforms.cocoa import BrowserView

        def application_openFiles_(self, application, names):  # type: ignore[no-untyped-def]
            listener.opened([Path(str(name)) for name in names])
            application.replyToOpenOrPrint_(0)  # NSApplicationDelegateReplySuccess

        objc.classAddMethods(BrowserView.AppDelegate, [application_openFiles_])


def _keep_quiet(frame: Frame) -> None:
    """Set what WebView2 and pywebview read from the environment."""
    language = f"--lang={frame.language}"
    given = os.environ.get(_WEBVIEW2_ARGUMENTS, "")
    os.environ[_WEBVIEW2_ARGUMENTS] = " ".join(part for part in (given, _QUIET, language) if part)
    logger = logging.getLogger("pywebview")
    for handler in tuple(logger.handlers):  # its own writes to a terminal that nobody sees
        logger.removeHandler(handler)
