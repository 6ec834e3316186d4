"""The web view: our page and no other, in the person's language, with nothing kept on disk.

Its data is ephemeral: every start serves another address, so that nothing kept under the last one could ever
be used again. No proxy is asked for what is on this machine. Other addresses open in the system's browser.
Knows no window around it.
"""

from __future__ import annotations

import ctypes
import logging
import subprocess
import time
from collections import deque
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_void_p
from pathlib import Path
from typing import Any

from app.gui.webkit.callbacks import Callbacks
from app.gui.webkit.libraries import Libraries
from app.gui.window import Frame

_log = logging.getLogger(__name__)
_NO_PROXY = 1
_SMALLEST_CACHE = 0  # WEBKIT_CACHE_MODEL_DOCUMENT_VIEWER: one page, no way back
_NAVIGATION, _NEW_WINDOW = 0, 1
_OPENED_OUTSIDE = ("http://", "https://", "mailto:")
_CTRL = 1 << 2
_CTRL_ALONE = _CTRL | 1 | 1 << 3  # among Shift, Ctrl and Alt; on some keyboards + needs Shift
_LARGER, _SMALLER, _AS_IT_WAS = (0x2B, 0x3D, 0xFFAB), (0x2D, 0xFFAD), (0x30, 0xFFB0)
_ZOOM_STEP, _SMALLEST_ZOOM, _LARGEST_ZOOM = 1.1, 0.5, 3.0
_CRASHES, _WITHIN_S = 3, 300.0
# The splash's, so that nothing flashes before it: assets/web/splash.css.
_LIGHT, _DARK = (0xF4, 0xFB, 0xF9), (0x0E, 0x15, 0x14)
_LANGUAGES = {"zh-CN": b"zh-CN", "en": b"en-US"}


class _Rgba(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in ("red", "green", "blue", "alpha")]


class WebPage:
    """view: the widget. on_crash is told when the page is loaded anew, and whether that is given up."""

    def __init__(
        self,
        libraries: Libraries,
        callbacks: Callbacks,
        frame: Frame,
        on_crash: Callable[[bool], None],
        ask_where: Callable[[str], str | None],
        on_saved: Callable[[str], None],
    ) -> None:
        """ask_where: where to save a file that is to have this name, as a URI; on_saved: told when it is."""
        self._libraries = libraries
        self._address = ""
        self._on_crash = on_crash
        self._ask_where = ask_where
        self._on_saved = on_saved
        self._callbacks = callbacks
        self._crashed_at: deque[float] = deque(maxlen=_CRASHES)
        context = self._make_context(frame)
        self.view: int = libraries.webkit_web_view_new_with_context(context)
        self._set_up(frame)
        connect = callbacks.connect
        connect(self.view, "decide-policy", self._decide, c_void_p, c_void_p, c_int, result=c_int)
        connect(self.view, "context-menu", self._hides_menu, *[c_void_p] * 4, result=c_int)
        connect(self.view, "key-press-event", self._key_pressed, c_void_p, c_void_p, result=c_int)
        connect(self.view, "web-process-terminated", self._crashed, c_void_p, c_int)
        connect(context, "download-started", self._download_started, c_void_p, c_void_p)

    def load(self, address: str) -> None:
        """Show the page at `address`, and only what is below it."""
        self._address = address
        self._libraries.webkit_web_view_load_uri(self.view, address.encode())

    def _make_context(self, frame: Frame) -> int:
        lib = self._libraries
        context: int = lib.webkit_web_context_new_ephemeral()
        # With the C locale WebKit has no language at all, and Flutter stops at its splash for lack of one.
        languages = (c_char_p * 2)(_LANGUAGES[frame.language], None)
        lib.webkit_web_context_set_preferred_languages(context, languages)
        lib.webkit_web_context_set_cache_model(context, _SMALLEST_CACHE)
        lib.webkit_web_context_set_network_proxy_settings(context, _NO_PROXY, None)
        return context

    def _set_up(self, frame: Frame) -> None:
        lib = self._libraries
        settings = lib.webkit_web_view_get_settings(self.view)
        # Flet copies when the program has answered, which is later than WebKit's idea of a click.
        lib.webkit_settings_set_javascript_can_access_clipboard(settings, True)
        if not any(Path("/dev/dri").glob("renderD*")):
            # No graphics card: Flutter's own drawing on the processor is quicker than OpenGL's there, and
            # takes 120 MB less.
            lib.webkit_settings_set_enable_webgl(settings, False)
        red, green, blue = (part / 255 for part in (_DARK if frame.is_dark else _LIGHT))
        color = _Rgba(red, green, blue, 1.0)
        lib.webkit_web_view_set_background_color(self.view, ctypes.byref(color))

    def _decide(self, _view: int, decision: int, kind: int, _data: Any) -> bool:
        """Let our own page go where it likes within itself; what it may not show is a download."""
        lib = self._libraries
        if kind not in (_NAVIGATION, _NEW_WINDOW):
            return False
        action = lib.webkit_navigation_policy_decision_get_navigation_action(decision)
        request = lib.webkit_navigation_action_get_request(action)
        address = (lib.webkit_uri_request_get_uri(request) or b"").decode(errors="replace")
        if kind == _NAVIGATION and self._is_ours(address):
            return False
        lib.webkit_policy_decision_ignore(decision)
        if address.startswith(_OPENED_OUTSIDE):
            open_outside(address)
        return True

    def _is_ours(self, address: str) -> bool:
        origin = self._address.split("/", 3)[:3]
        is_blob = address.startswith("blob:") and address[len("blob:") :].split("/", 3)[:3] == origin
        return address.startswith(self._address) or is_blob

    def _hides_menu(self, _view: int, _menu: int, _event: int, hit: int, _data: Any) -> bool:
        """Show the menu with Cut, Copy and Paste in fields; elsewhere it only reloads and goes back."""
        return not self._libraries.webkit_hit_test_result_context_is_editable(hit)

    def _key_pressed(self, _view: int, event: int, _data: Any) -> bool:
        """Zoom as browsers do."""
        lib = self._libraries
        key, state = ctypes.c_uint(), ctypes.c_uint()
        lib.gdk_event_get_keyval(event, ctypes.byref(key))
        lib.gdk_event_get_state(event, ctypes.byref(state))
        if state.value & _CTRL_ALONE & ~1 != _CTRL:
            return False
        zoom = lib.webkit_web_view_get_zoom_level(self.view)
        if key.value in _LARGER:
            zoom = min(zoom * _ZOOM_STEP, _LARGEST_ZOOM)
        elif key.value in _SMALLER:
            zoom = max(zoom / _ZOOM_STEP, _SMALLEST_ZOOM)
        elif key.value in _AS_IT_WAS:
            zoom = 1.0
        else:
            return False
        lib.webkit_web_view_set_zoom_level(self.view, zoom)
        return True

    def _crashed(self, _view: int, _reason: int, _data: Any) -> None:
        now = time.monotonic()
        self._crashed_at.append(now)
        gives_up = len(self._crashed_at) == _CRASHES and now - self._crashed_at[0] < _WITHIN_S
        if not gives_up:
            self.load(self._address)
        self._on_crash(gives_up)

    def _download_started(self, _context: int, download: int, _data: Any) -> None:
        connect = self._callbacks.connect
        connect(download, "decide-destination", self._choose, c_void_p, c_char_p, result=c_int)
        connect(download, "finished", self._finished, c_void_p)

    def _choose(self, download: int, name: bytes, _data: Any) -> bool:
        place = self._ask_where(name.decode(errors="replace"))
        if place is None:
            self._libraries.webkit_download_cancel(download)
        else:
            self._libraries.webkit_download_set_allow_overwrite(download, True)  # the dialog has asked
            self._libraries.webkit_download_set_destination(download, place.encode())
        return True

    def _finished(self, download: int, _data: Any) -> None:
        place = self._libraries.webkit_download_get_destination(download)
        if place is not None:
            self._on_saved(place.decode(errors="replace"))


def open_outside(address: str) -> None:
    """Open an address in the system's own program for it."""
    nothing = subprocess.DEVNULL
    try:
        subprocess.Popen(
            ["xdg-open", address], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
        )
    except OSError as error:  # GTK would print it, and ask WebKit to go there
        _log.warning("%s is not opened: %s", address, error)
