"""Conversations to files and back: Markdown, plain text and JSON out; JSON and other programs' forms in.

A file is written whole or not at all, an import is one transaction. Knows files and tables; the forms are in
`exchange` (ours) and `foreign` (others').
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from app.durable import replaced_file
from app.history.database import Database
from app.history.errors import (
    ExportFailed,
    ImportEmpty,
    ImportInvalid,
    ImportTooLarge,
    ImportTooNew,
    ImportUnknownFormat,
    ImportUnreadable,
)
from app.history.exchange import FORMAT, VERSION, ExchangeConversation, read_conversations
from app.history.foreign import is_belle_text, is_foreign, read_belle_text, read_foreign
from app.history.merging import ImportReport, load_conversation, merge_conversations
from app.history.rows import conversation_row
from app.history.transcript import Labels, markdown, plain_text
from app.typed_json import JsonMismatch, parse_json

ExportFormat = Literal["json", "markdown", "text"]

IMPORT_LIMIT_BYTES = 256 * 1024 * 1024
_BELLE_LABELS = Labels(user="Human", assistant="Assistant")


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written."""

    path: Path
    n_conversations: int
    n_messages: int


class Transfer:
    """Export and import; safe to use from any thread, each call sees or makes one state of the history."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    def export(
        self,
        path: Path,
        form: ExportFormat,
        *,
        conversation_id: int | None = None,
        labels: Labels = _BELLE_LABELS,
    ) -> ExportReport:
        """Write one conversation, or all that are not in the trash, to `path`, replacing what is there.

        JSON has every branch, Markdown and text have the shown one; text has no thoughts. labels: the
        speakers' names in those; the default makes text that `import_file` reads. Raises ConversationMissing,
        ExportFailed.
        """
        n_conversations = n_messages = 0
        with self._database.read() as connection:
            if conversation_id is not None:
                conversation_row(connection, conversation_id)
                ids = [conversation_id]
            else:
                rows = connection.execute("SELECT id FROM conversations WHERE trashed_at IS NULL ORDER BY id")
                ids = [row["id"] for row in rows]
            try:
                with replaced_file(path) as file:
                    writer = _Writer(form, labels, self._now_ms(), is_alone=conversation_id is not None)
                    file.write(writer.opening().encode())
                    for each in ids:
                        conversation = load_conversation(connection, each)
                        file.write(writer.item(conversation).encode())
                        n_conversations += 1
                        n_messages += len(conversation.messages)
                    file.write(writer.closing().encode())
            except OSError as error:
                raise ExportFailed(path, error.strerror or str(error)) from error
        return ExportReport(path, n_conversations, n_messages)

    def import_file(self, path: Path, *, limit_bytes: int = IMPORT_LIMIT_BYTES) -> ImportReport:
        """Add the conversations of a file; those that are here already only get what they lack.

        Reads our JSON, ShareGPT and role/content JSON (one object, a list, or one object a line) and BELLE's
        `Human:`/`Assistant:` text, in UTF-8, UTF-16 or GB18030. Raises TransferError; nothing was added then.
        """
        text = _read_text(path, limit_bytes)
        try:
            conversations = _parse(path, text, self._now_ms())
        except JsonMismatch as error:
            raise ImportInvalid(path, error.location, error.expected) from error
        if not conversations:
            raise ImportEmpty(path)
        with self._database.write() as connection:
            return merge_conversations(connection, conversations)


class _Writer:
    """The pieces of an export file."""

    def __init__(self, form: ExportFormat, labels: Labels, now: int, *, is_alone: bool) -> None:
        self._form = form
        self._labels = labels
        self._now = now
        self._is_alone = is_alone
        self._is_first = True

    def opening(self) -> str:
        if self._form != "json":
            return ""
        head = json.dumps({"format": FORMAT, "version": VERSION, "exported_at": self._now})
        return head[:-1] + ', "conversations": ['

    def item(self, conversation: ExchangeConversation) -> str:
        separator = "" if self._is_first else "," if self._form == "json" else "\n"
        self._is_first = False
        if self._form == "json":
            return f"{separator}\n{json.dumps(asdict(conversation), ensure_ascii=False, allow_nan=False)}"
        if self._form == "markdown":
            moment = datetime.fromtimestamp(conversation.created_at / 1000)
            return separator + markdown(conversation, self._labels, moment)
        return separator + plain_text(conversation, self._labels, with_heading=not self._is_alone)

    def closing(self) -> str:
        return "\n]}\n" if self._form == "json" else ""


def _read_text(path: Path, limit_bytes: int) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
            if len(data) > limit_bytes:
                raise ImportTooLarge(path, path.stat().st_size, limit_bytes)
    except OSError as error:
        raise ImportUnreadable(path, error.strerror or str(error)) from error
    if not data.strip():
        raise ImportEmpty(path)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ImportUnknownFormat(path, "not a text file")


def _parse(path: Path, text: str, now: int) -> list[ExchangeConversation]:
    if is_belle_text(text):
        return read_belle_text(text, now)
    if not text.lstrip().startswith(("{", "[")):
        raise ImportUnknownFormat(path, "neither JSON nor Human:/Assistant: text")
    values = list(_json_values(path, text))
    if len(values) == 1 and isinstance(values[0], dict) and values[0].get("format") == FORMAT:
        return _ours(path, values[0])
    if len(values) == 1 and isinstance(values[0], list):
        values = values[0]
    if values and not is_foreign(values[0]):
        raise ImportUnknownFormat(path, "JSON of another program")
    return read_foreign(values, now)


def _json_values(path: Path, text: str) -> Iterator[Any]:
    """The one value of a JSON file, or those of the lines."""
    try:
        yield parse_json(text)
        return
    except ValueError as error:
        lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        if len(lines) < 2:
            raise ImportUnknownFormat(path, str(error)) from error
    for number, line in lines:
        try:
            yield parse_json(line)
        except ValueError as error:
            raise ImportUnknownFormat(path, f"line {number}: {error}") from error


def _ours(path: Path, value: dict[str, Any]) -> list[ExchangeConversation]:
    version = value.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ImportInvalid(path, "version", "a whole number")
    if version > VERSION:
        raise ImportTooNew(path, version, VERSION)
    return read_conversations(value.get("conversations"))
