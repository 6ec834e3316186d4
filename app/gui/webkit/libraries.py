"""The C functions in use, each with its types: GTK 3, GDK, GLib and WebKitGTK 4.1, else 4.0.

The two differ in the HTTP library below them only. Pointers to objects are plain numbers here. Knows no
window.
"""

from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_double, c_int, c_uint, c_uint32, c_ulong, c_void_p
from functools import cache
from typing import Any

_OBJECT = c_void_p
_BOOL = c_int

_Signature = tuple[Any, tuple[Any, ...]]

_GTK: dict[str, _Signature] = {
    "gtk_init_check": (_BOOL, (c_void_p, c_void_p)),
    "gtk_main": (None, ()),
    "gtk_main_quit": (None, ()),
    "gtk_window_new": (_OBJECT, (c_int,)),
    "gtk_window_set_title": (None, (_OBJECT, c_char_p)),
    "gtk_window_set_default_size": (None, (_OBJECT, c_int, c_int)),
    "gtk_window_set_default_icon_from_file": (_BOOL, (c_char_p, c_void_p)),
    "gtk_window_move": (None, (_OBJECT, c_int, c_int)),
    "gtk_window_maximize": (None, (_OBJECT,)),
    "gtk_window_is_maximized": (_BOOL, (_OBJECT,)),
    "gtk_window_get_size": (None, (_OBJECT, c_void_p, c_void_p)),
    "gtk_window_get_position": (None, (_OBJECT, c_void_p, c_void_p)),
    "gtk_window_set_startup_id": (None, (_OBJECT, c_char_p)),
    "gtk_window_present_with_time": (None, (_OBJECT, c_uint32)),
    "gtk_widget_set_size_request": (None, (_OBJECT, c_int, c_int)),
    "gtk_widget_show_all": (None, (_OBJECT,)),
    "gtk_widget_destroy": (None, (_OBJECT,)),
    "gtk_widget_grab_focus": (None, (_OBJECT,)),
    "gtk_container_add": (None, (_OBJECT, _OBJECT)),
    "gtk_settings_get_default": (_OBJECT, ()),
    "gtk_file_chooser_native_new": (_OBJECT, (c_char_p, _OBJECT, c_int, c_char_p, c_char_p)),
    "gtk_file_chooser_set_current_name": (None, (_OBJECT, c_char_p)),
    "gtk_file_chooser_set_current_folder": (_BOOL, (_OBJECT, c_char_p)),
    "gtk_file_chooser_set_do_overwrite_confirmation": (None, (_OBJECT, _BOOL)),
    "gtk_file_chooser_get_uri": (c_void_p, (_OBJECT,)),
    "gtk_native_dialog_run": (c_int, (_OBJECT,)),
}
_GDK: dict[str, _Signature] = {
    "gdk_set_program_class": (None, (c_char_p,)),
    "gdk_display_get_default": (_OBJECT, ()),
    "gdk_display_flush": (None, (_OBJECT,)),
    "gdk_display_get_n_monitors": (c_int, (_OBJECT,)),
    "gdk_display_get_monitor": (_OBJECT, (_OBJECT, c_int)),
    "gdk_monitor_get_workarea": (None, (_OBJECT, c_void_p)),
    "gdk_event_get_keyval": (_BOOL, (c_void_p, c_void_p)),
    "gdk_event_get_state": (_BOOL, (c_void_p, c_void_p)),
}
_GLIB: dict[str, _Signature] = {
    "g_set_prgname": (None, (c_char_p,)),
    "g_set_application_name": (None, (c_char_p,)),
    "g_get_user_special_dir": (c_char_p, (c_int,)),
    "g_idle_add_full": (c_uint, (c_int, c_void_p, c_void_p, c_void_p)),
    "g_free": (None, (c_void_p,)),
}
_GOBJECT: dict[str, _Signature] = {
    "g_signal_connect_data": (c_ulong, (_OBJECT, c_char_p, c_void_p, c_void_p, c_void_p, c_int)),
    "g_object_set_property": (None, (_OBJECT, c_char_p, c_void_p)),
    "g_object_unref": (None, (_OBJECT,)),
    "g_value_init": (c_void_p, (c_void_p, c_ulong)),
    "g_value_set_boolean": (None, (c_void_p, _BOOL)),
}
_WEBKIT: dict[str, _Signature] = {
    "webkit_web_context_new_ephemeral": (_OBJECT, ()),
    "webkit_web_context_set_preferred_languages": (None, (_OBJECT, c_void_p)),
    "webkit_web_context_set_cache_model": (None, (_OBJECT, c_int)),
    "webkit_web_context_set_network_proxy_settings": (None, (_OBJECT, c_int, c_void_p)),
    "webkit_web_view_new_with_context": (_OBJECT, (_OBJECT,)),
    "webkit_web_view_get_settings": (_OBJECT, (_OBJECT,)),
    "webkit_web_view_set_background_color": (None, (_OBJECT, c_void_p)),
    "webkit_web_view_load_uri": (None, (_OBJECT, c_char_p)),
    "webkit_web_view_get_zoom_level": (c_double, (_OBJECT,)),
    "webkit_web_view_set_zoom_level": (None, (_OBJECT, c_double)),
    "webkit_settings_set_javascript_can_access_clipboard": (None, (_OBJECT, _BOOL)),
    "webkit_settings_set_hardware_acceleration_policy": (None, (_OBJECT, c_int)),
    "webkit_settings_set_enable_webgl": (None, (_OBJECT, _BOOL)),
    "webkit_hit_test_result_context_is_editable": (_BOOL, (_OBJECT,)),
    "webkit_navigation_policy_decision_get_navigation_action": (_OBJECT, (_OBJECT,)),
    "webkit_navigation_action_get_request": (_OBJECT, (_OBJECT,)),
    "webkit_uri_request_get_uri": (c_char_p, (_OBJECT,)),
    "webkit_policy_decision_use": (None, (_OBJECT,)),
    "webkit_policy_decision_ignore": (None, (_OBJECT,)),
    "webkit_download_set_destination": (None, (_OBJECT, c_char_p)),
    "webkit_download_set_allow_overwrite": (None, (_OBJECT, _BOOL)),
    "webkit_download_get_destination": (c_char_p, (_OBJECT,)),
    "webkit_download_cancel": (None, (_OBJECT,)),
}
_FILES: tuple[tuple[tuple[str, ...], dict[str, _Signature]], ...] = (
    (("libglib-2.0.so.0",), _GLIB),
    (("libgobject-2.0.so.0",), _GOBJECT),
    (("libgdk-3.so.0",), _GDK),
    (("libgtk-3.so.0",), _GTK),
    (("libwebkit2gtk-4.1.so.0", "libwebkit2gtk-4.0.so.37"), _WEBKIT),
)


class DisplayMissing(OSError):
    """There is no screen that GTK could draw on."""


class Libraries:
    """Every function named above, as an attribute. Raises OSError where a library is missing or too old."""

    def __init__(self) -> None:
        for names, functions in _FILES:
            library = _first_of(names)
            for name, (result, arguments) in functions.items():
                try:
                    function = getattr(library, name)
                except AttributeError as error:
                    raise OSError(f"{library._name} has no {name}") from error  # noqa: SLF001
                function.restype, function.argtypes = result, arguments
                setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:  # what __init__ did not set
        raise AttributeError(name)


@cache
def open_libraries() -> Libraries:
    """The libraries with GTK at work: GTK can be started once. Raises OSError and DisplayMissing."""
    libraries = Libraries()
    # The desktop finds our entry, and with it the icon, by these names.
    libraries.g_set_prgname(b"chatbelle")
    libraries.g_set_application_name(b"ChatBELLE")
    if not libraries.gtk_init_check(None, None):
        raise DisplayMissing
    libraries.gdk_set_program_class(b"chatbelle")
    return libraries


def _first_of(names: tuple[str, ...]) -> ctypes.CDLL:
    failures = []
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            failures.append(str(error))
    raise OSError("; ".join(failures))
