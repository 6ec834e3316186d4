"""A conversation as a file a person keeps: Markdown to read, JSON to process.

The suffix decides. An existing file is never replaced.

JSON: `{"format": "chatbelle-conversation", "version": 1, "model", "messages": [{"role", "text"}, ...]}`, with
texts exactly as they were said and generated, and `thought` where an answer has one. The window imports it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from app.errors import SaveExists, SaveFailed, SaveFormatUnknown
from app.history.transcript import folded
from app.new_file import write_new_text
from engine.types import Message

_Writer = Callable[[Sequence[Message], str, Mapping[str, str]], str]


def save_transcript(
    path: Path, messages: Sequence[Message], model_name: str, headings: Mapping[str, str]
) -> None:
    """Write the conversation to `path`, all of it or nothing.

    headings: what the roles and a `thought` are called in Markdown. Raises SaveFormatUnknown, SaveExists,
    SaveFailed.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise SaveFormatUnknown(path, tuple(_WRITERS))
    try:
        write_new_text(path, writer(messages, model_name, headings))
    except FileExistsError as error:
        raise SaveExists(path) from error
    except OSError as error:
        raise SaveFailed(path, error.strerror or str(error)) from error


def _markdown(messages: Sequence[Message], model_name: str, headings: Mapping[str, str]) -> str:
    parts = [f"# ChatBELLE · {model_name}"]
    for message in messages:
        parts += [f"## {headings[message.role]}", folded(headings["thought"], message.thought)]
        parts.append(message.text.strip())
    return "\n\n".join(filter(None, parts)) + "\n"


def _json(messages: Sequence[Message], model_name: str, _headings: Mapping[str, str]) -> str:
    document = {
        "format": "chatbelle-conversation",
        "version": 1,
        "model": model_name,
        "messages": [_json_message(message) for message in messages],
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _json_message(message: Message) -> dict[str, str]:
    said = {"role": message.role, "text": message.text}
    return {**said, "thought": message.thought} if message.thought else said


_WRITERS: Mapping[str, _Writer] = {".md": _markdown, ".markdown": _markdown, ".json": _json}
