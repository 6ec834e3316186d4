"""A message for a person who has started the app without a terminal, before there is a window to say it in.

Uses what the system has: its own message box, a desktop's dialog program, GTK, at last a page in the browser.
Knows nothing of what went wrong.
"""

from __future__ import annotations

import ctypes
import html
import os
import secrets
import shutil
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer

from app.gui.view import has_display

_PAGE_S = 60.0
_MB_ICONERROR, _MB_SETFOREGROUND = 0x10, 0x10000
_APPLESCRIPT = (
    "on run argv",
    "activate",
    "display alert (item 1 of argv) message (item 2 of argv) as critical",
    "end run",
)
# What the dialog programs return when they were closed, in whatever way; anything else is a failure.
_CLOSED = (0, 1, 2)
# Not written into the call: PyInstaller packs a library that is named there, with all that it links to.
_GTK = "libgtk-3.so.0"


def show_alert(
    title: str, text: str, *, platform: str = sys.platform, environ: Mapping[str, str] = os.environ
) -> bool:
    """Show `text` and wait until it was read; false where this system has nothing to show it with."""
    if platform == "win32":
        return _show_message_box(title, text)
    if platform == "darwin":
        script = [argument for line in _APPLESCRIPT for argument in ("-e", line)]
        return _run(["osascript", *script, title, text], environ)
    if not has_display(environ):
        return False
    return any(_run(command, environ) for command in _dialog_commands(title, text, environ)) or (
        _show_with_gtk(title, text) or show_page(title, text)
    )


def _dialog_commands(title: str, text: str, environ: Mapping[str, str]) -> list[list[str]]:
    """The desktop's own program first."""
    zenity = ["zenity", "--error", "--no-markup", "--width=480", f"--title={title}", f"--text={text}"]
    # Qt takes for HTML what looks like it.
    kdialog = ["kdialog", "--title", title, "--error", f"<p>{html.escape(text)}</p>"]
    is_kde = "KDE" in environ.get("XDG_CURRENT_DESKTOP", "").upper().split(":")
    return [kdialog, zenity] if is_kde else [zenity, kdialog]


def _run(command: list[str], environ: Mapping[str, str]) -> bool:
    if shutil.which(command[0], path=environ.get("PATH")) is None:
        return False
    nothing = subprocess.DEVNULL
    try:
        done = subprocess.run(
            command, env=dict(environ), stdin=nothing, stdout=nothing, stderr=nothing, check=False
        )
    except OSError:
        return False
    return done.returncode in _CLOSED


def _show_message_box(title: str, text: str) -> bool:
    library: Callable[[str], ctypes.CDLL] = getattr(ctypes, "WinDLL", ctypes.CDLL)
    shown: int = library("user32").MessageBoxW(
        None, ctypes.c_wchar_p(text), ctypes.c_wchar_p(title), _MB_ICONERROR | _MB_SETFOREGROUND
    )
    return bool(shown)


def _show_with_gtk(title: str, text: str) -> bool:
    try:
        gtk = ctypes.CDLL(_GTK)
    except OSError:
        return False
    if not gtk.gtk_init_check(None, None):
        return False
    gtk.gtk_message_dialog_new.restype = ctypes.c_void_p
    modal, error, close = 1, 3, 2
    words = ctypes.c_char_p(text.encode("utf-8", "replace"))
    dialog = ctypes.c_void_p(gtk.gtk_message_dialog_new(None, modal, error, close, b"%s", words))
    gtk.gtk_window_set_title(dialog, ctypes.c_char_p(title.encode("utf-8", "replace")))
    gtk.gtk_dialog_run(dialog)
    gtk.gtk_widget_destroy(dialog)
    return True


def show_page(title: str, text: str, open_page: Callable[[str], bool] = webbrowser.open) -> bool:
    """Show `text` in the browser: served once on loopback, as some browsers may not read our files."""
    page = _page(title, text)
    address = f"/{secrets.token_urlsafe()}"
    is_read = False

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:  # noqa: N802 - the library's name
            nonlocal is_read
            is_ours = self.path == address
            self.send_response(200 if is_ours else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page) if is_ours else 0))
            self.end_headers()
            if is_ours:
                self.wfile.write(page)
                is_read = True

        def log_message(self, format: str, *arguments: object) -> None:
            """There is nobody to read it."""

    # No HTTPServer, which asks the name servers what 127.0.0.1 is called.
    with TCPServer(("127.0.0.1", 0), Handler) as server:
        if not open_page(f"http://127.0.0.1:{server.server_address[1]}{address}"):
            return False
        end_s = time.monotonic() + _PAGE_S
        server.timeout = 1
        while not is_read and time.monotonic() < end_s:
            server.handle_request()
    return is_read


def _page(title: str, text: str) -> bytes:
    style = "body{font:1.1rem/1.6 sans-serif;max-width:40rem;margin:15vh auto;padding:0 1rem}"
    document = (
        '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{html.escape(title)}</title><link rel="icon" href="data:,"><style>{style}</style>'
        f"<h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>"
    )
    return document.encode("utf-8", "replace")
