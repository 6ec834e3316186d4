"""A GTK window with the web view in it: its title, icon, size, and how it closes."""

from __future__ import annotations

import ctypes
import locale
import os
from ctypes import c_int, c_void_p
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from app.gui.webkit.callbacks import Callbacks
from app.gui.webkit.libraries import Libraries, open_libraries
from app.gui.webkit.page import WebPage
from app.gui.window import MIN_HEIGHT, MIN_WIDTH, Area, Frame, WindowListener, fitted, place_of
from app.settings import WindowPlace

_NOW = 0
_SAVE = 1
_ACCEPTED = -3
_DOWNLOADS = 2
_G_TYPE_BOOLEAN = 5 << 2


class _Rectangle(ctypes.Structure):
    _fields_ = [(name, c_int) for name in ("x", "y", "width", "height")]


class WebKitWindow:
    """A `Window`; one per process."""

    def __init__(self, frame: Frame, icon: Path) -> None:
        """Raises OSError where WebKitGTK or a display is missing."""
        self._lib = lib = open_libraries()
        # GTK has set the locale of the C library; numbers stay as the rest of the program knows them.
        locale.setlocale(locale.LC_NUMERIC, "C")
        self._frame = frame
        self._listener: WindowListener | None = None
        self._is_open = True
        self._left_at = frame.place
        self._callbacks = Callbacks(lib)
        self._window: int = lib.gtk_window_new(0)
        lib.gtk_window_set_default_icon_from_file(str(icon).encode(), None)
        if frame.is_dark is not None:
            _prefer_dark(lib, frame.is_dark)
        self._set_title(frame.title)
        self._put()
        self._page = WebPage(lib, self._callbacks, frame, self._page_crashed, self._ask_where, self._saved)
        lib.gtk_container_add(self._window, self._page.view)
        connect = self._callbacks.connect
        connect(self._window, "delete-event", self._close_wanted, c_void_p, c_void_p, result=c_int)

    def load(self, address: str) -> None:
        """As `Window`."""
        self._callbacks.post(lambda: self._page.load(address) if self._is_open else None)

    def show(self, token: str = "") -> None:
        """As `Window`."""
        self._callbacks.post(lambda: self._show(token))

    def close(self) -> None:
        """As `Window`."""
        self._callbacks.post(self._close)

    def set_title(self, text: str) -> None:
        """As `Window`."""
        self._callbacks.post(lambda: self._set_title(text))

    def run(self, listener: WindowListener) -> None:
        """As `Window`."""
        self._listener = listener
        self._lib.gtk_widget_show_all(self._window)
        self._lib.gtk_widget_grab_focus(self._page.view)
        self._lib.gtk_main()
        # Saving may take a moment; nobody is to look at a window that does not move meanwhile.
        self._lib.gdk_display_flush(self._lib.gdk_display_get_default())
        listener.closing(self._left_at)

    def _put(self) -> None:
        lib, place = self._lib, fitted(self._frame.place, _areas(self._lib))
        lib.gtk_widget_set_size_request(self._window, MIN_WIDTH, MIN_HEIGHT)
        lib.gtk_window_set_default_size(self._window, place.width, place.height)
        if place.left is not None and place.top is not None:
            lib.gtk_window_move(self._window, place.left, place.top)
        if place.maximized:
            lib.gtk_window_maximize(self._window)

    def _set_title(self, text: str) -> None:
        if self._is_open:
            self._lib.gtk_window_set_title(self._window, text.encode())

    def _show(self, token: str) -> None:
        if not self._is_open:
            return
        if token:
            self._lib.gtk_window_set_startup_id(self._window, token.encode())
        self._lib.gtk_window_present_with_time(self._window, _NOW)

    def _close_wanted(self, _window: int, _event: int, _data: Any) -> bool:
        if self._listener is None or self._listener.may_close():
            self._close()
        return True  # we destroy it ourselves

    def _close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self._left_at = self._place()
        self._lib.gtk_widget_destroy(self._window)
        self._lib.gtk_main_quit()

    def _place(self) -> WindowPlace:
        lib, numbers = self._lib, [c_int() for _ in range(4)]
        width, height, left, top = (ctypes.byref(number) for number in numbers)
        lib.gtk_window_get_size(self._window, width, height)
        lib.gtk_window_get_position(self._window, left, top)
        size, position = ((numbers[at].value, numbers[at + 1].value) for at in (0, 2))
        is_maximized = bool(lib.gtk_window_is_maximized(self._window))
        return place_of(size, position, is_maximized, self._frame.place)

    def _page_crashed(self, gives_up: bool) -> None:
        if self._listener is None:
            return
        if gives_up:
            self._listener.page_lost()
            self.close()  # later: its view is still busy telling us
        else:
            self._listener.page_came_back()

    def _ask_where(self, name: str) -> str | None:
        """Where to save a file, as a URI; None where the person thinks better of it."""
        lib, title = self._lib, self._frame.texts["menu.save_file"].encode()
        dialog = lib.gtk_file_chooser_native_new(title, self._window, _SAVE, None, None)
        lib.gtk_file_chooser_set_do_overwrite_confirmation(dialog, True)
        lib.gtk_file_chooser_set_current_name(dialog, name.encode())
        folder = lib.g_get_user_special_dir(_DOWNLOADS)
        if folder is not None:
            lib.gtk_file_chooser_set_current_folder(dialog, folder)
        try:
            if lib.gtk_native_dialog_run(dialog) != _ACCEPTED:
                return None
            address = lib.gtk_file_chooser_get_uri(dialog)
            place = ctypes.string_at(address).decode()
            lib.g_free(address)
            return place
        finally:
            lib.g_object_unref(dialog)

    def _saved(self, place: str) -> None:
        if self._listener is not None:
            self._listener.saved(Path(os.fsdecode(unquote_to_bytes(urlsplit(place).path))))


def _areas(lib: Libraries) -> list[Area]:
    """The screens, without their panels."""
    display = lib.gdk_display_get_default()
    areas = []
    for number in range(lib.gdk_display_get_n_monitors(display)):
        found = _Rectangle()
        lib.gdk_monitor_get_workarea(lib.gdk_display_get_monitor(display, number), ctypes.byref(found))
        areas.append(Area(found.x, found.y, found.width, found.height))
    return areas


def _prefer_dark(lib: Libraries, is_dark: bool) -> None:
    """Frame, dialogs and the page's idea of the system's colours follow the theme that was chosen."""
    value = (ctypes.c_uint64 * 3)()  # a GValue
    lib.g_value_init(ctypes.byref(value), _G_TYPE_BOOLEAN)
    lib.g_value_set_boolean(ctypes.byref(value), is_dark)
    settings = lib.gtk_settings_get_default()
    lib.g_object_set_property(settings, b"gtk-application-prefer-dark-theme", ctypes.byref(value))
