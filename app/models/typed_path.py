"""Paths as people type, paste or copy them: quoted, as a file: address, with the home folder's tilde."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

_QUOTES = (('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("「", "」"), ("《", "》"))


def parse_typed_path(text: str) -> Path | None:
    """The path that is meant; None for no text. Relative ones are as the system takes them."""
    text = text.strip()
    for opening, closing in _QUOTES:
        if len(text) > 1 and text.startswith(opening) and text.endswith(closing):
            text = text[1:-1].strip()
    if re.match(r"file:", text, re.IGNORECASE):
        text = _from_address(text)
    if not text:
        return None
    return Path(os.path.expanduser(text))


def _from_address(text: str) -> str:
    """file:///folder/a%20b, file://localhost/folder, file:///C:/folder."""
    try:
        parts = urlsplit(text.replace("#", "%23").replace("?", "%3F"))
    except ValueError:
        return unquote(text[len("file:") :])
    host = parts.netloc if parts.netloc.lower() not in ("", "localhost") else ""
    return f"//{host}{url2pathname(parts.path)}" if host else url2pathname(parts.path)
