"""Reads a Jinja chat template that a person has in a file of its own."""

from __future__ import annotations

from pathlib import Path

from app.errors import TemplateFileNotReadable, TemplateFileNotText

_MAX_BYTES = 1 << 20


def read_template(path: Path) -> str:
    """The template's text. Raises TemplateFileNotReadable and TemplateFileNotText."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise TemplateFileNotReadable(path, error.strerror or str(error)) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TemplateFileNotText(path) from error
    if len(data) > _MAX_BYTES or "\0" in text or not text.strip():
        raise TemplateFileNotText(path)
    return text
