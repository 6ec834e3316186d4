"""A prompt format as a person chooses it: one by its name, or a Jinja chat template in a file of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from app.errors import TemplateFileNotReadable, TemplateFileNotText
from engine.conversation import read_conversation
from engine.errors import ChatTemplateFailed
from engine.types import LoadOptions, Message

_MAX_BYTES = 1 << 20


def with_prompt_format(options: LoadOptions, chosen: str | Path | None) -> LoadOptions:
    """The options with a chosen format, None leaves theirs. Raises as `read_template` does."""
    if chosen is None:
        return options
    if isinstance(chosen, Path):
        return replace(options, prompt_format=None, chat_template=read_template(chosen))
    return replace(options, prompt_format=chosen, chat_template=None)


def try_template(template: str) -> None:
    """Put a question with it. Raises ChatTemplateFailed."""
    from engine.chat_template import TemplateFormat  # Jinja2 is not needed before
    from engine.template_sandbox import TemplateBudgetSpent

    try:
        TemplateFormat(template).render(read_conversation([Message("user", "?")]))
    except TemplateBudgetSpent as error:
        raise ChatTemplateFailed(str(error)) from error


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
