"""Paths as people type, paste or open them: quoted, as a file: address, with the home folder's tilde."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

_ADDRESS = re.compile(r"file:", re.IGNORECASE)
_QUOTES = (('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("「", "」"), ("《", "》"))


def parse_typed_path(text: str) -> Path | None:
    """The path that is meant; None for no text. Relative ones are as the system takes them."""
    text = text.strip()
    for opening, closing in _QUOTES:
        if len(text) > 1 and text.startswith(opening) and text.endswith(closing):
            text = text[1:-1].strip()
    if _ADDRESS.match(text):
        text = _from_address(text)
    if not text:
        return None
    return Path(os.path.expanduser(text))


def opened_path(text: str) -> Path:
    """An absolute path, from what a shell or a file manager passes on. Raises ValueError for no text."""
    if not text:
        raise ValueError(text)
    if _ADDRESS.match(text) and not os.path.exists(text):
        return Path(_from_address(text)).absolute()
    return Path(os.path.expanduser(text)).absolute()


def looks_opened(text: str) -> bool:
    """Whether a word on a command line is a path rather than a command that was mistyped."""
    is_path = os.path.isabs(text) or bool(_ADDRESS.match(text)) or os.path.dirname(text) != ""
    return is_path or os.path.exists(text) or text.lower().endswith((".gguf", ".enc"))


def _from_address(text: str) -> str:
    """file:///folder/a%20b, file://localhost/folder, file:///C:/folder."""
    try:
        parts = urlsplit(text.replace("#", "%23").replace("?", "%3F"))
    except ValueError:
        return unquote(text[len("file:") :])
    host = parts.netloc if parts.netloc.lower() not in ("", "localhost") else ""
    return f"//{host}{url2pathname(parts.path)}" if host else url2pathname(parts.path)
