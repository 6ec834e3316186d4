"""Files out of and into the app: downloads, which a window asks a place for, and a pick dialog.

A page has no path of either, so bytes travel through a temporary file. Knows forms and
dialogs; what is in the files is the history's business.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import flet as ft

from app.components.basics.dialogs import cancel_button
from app.components.basics.radio_choices import RadioChoices
from app.history.merging import ImportReport
from app.history.records import Conversation
from app.history.transcript import Labels
from app.history.transfer import ExportFormat
from app.views.context import ViewContext

_SUFFIXES: dict[ExportFormat, str] = {"markdown": "md", "json": "json", "text": "txt"}
_IMPORTED = ["json", "jsonl", "txt", "md"]
_LONGEST_NAME = 60


class FileTransfer:
    """Export and import with their dialogs. on_imported is called when conversations were added."""

    def __init__(self, context: ViewContext, on_imported: Callable[[], None]) -> None:
        self._context = context
        self._on_imported = on_imported

    def ask_export(self, conversation: Conversation | None) -> None:
        """Ask for the form, then for the place; None exports all conversations."""
        context = self._context
        choices = RadioChoices(context, "markdown")
        choices.rows.controls = [
            choices.row(form, context.t(f"export.{form}"), f"export-{form}")
            for form in ("markdown", "json", "text")
        ]

        async def export() -> None:
            context.close_dialog(dialog)
            form: ExportFormat = choices.value  # type: ignore[assignment] # a radio's value is a plain str
            await self._export(conversation, form)

        dialog = ft.AlertDialog(
            title=ft.Text(context.t("export.title" if conversation else "export.title_all")),
            content=choices,
            actions=[
                cancel_button(context, lambda: context.close_dialog(dialog)),
                ft.FilledButton(context.t("export.action"), on_click=context.guard(export)),
            ],
        )
        context.open_dialog(dialog)

    async def import_files(self) -> None:
        """Ask for files and add their conversations."""
        context = self._context
        files = await ft.FilePicker().pick_files(
            dialog_title=context.t("import.title"),
            file_type=ft.FilePickerFileType.CUSTOM,
            allowed_extensions=_IMPORTED,
            allow_multiple=True,
            with_data=context.is_web,
            cancel_upload_on_window_blur=False,
        )
        n_added = n_extended = n_unchanged = 0
        try:
            for file in files:
                report = await context.in_thread(self._import_one, file)
                n_added += len(report.added)
                n_extended += len(report.extended)
                n_unchanged += report.n_unchanged
        finally:
            if n_added or n_extended:
                self._on_imported()
        if files:
            context.notify(
                context.t("import.done", added=n_added, extended=n_extended, unchanged=n_unchanged)
            )

    def _import_one(self, file: ft.FilePickerFile) -> ImportReport:
        transfer = self._context.service.history.transfer
        if file.bytes is None and file.path:
            return transfer.import_file(Path(file.path))
        with tempfile.TemporaryDirectory(prefix="chatbelle-") as folder:
            path = Path(folder) / safe_name(file.name)
            path.write_bytes(file.bytes or b"")
            return transfer.import_file(path)

    async def _export(self, conversation: Conversation | None, form: ExportFormat) -> None:
        name = f"{safe_name(_title(conversation, self._context))}.{_SUFFIXES[form]}"
        data = await self._context.in_thread(self._exported_bytes, conversation, form, name)
        await ft.FilePicker().save_file(file_name=name, src_bytes=data)

    def _exported_bytes(self, conversation: Conversation | None, form: ExportFormat, name: str) -> bytes:
        with tempfile.TemporaryDirectory(prefix="chatbelle-") as folder:
            path = Path(folder) / name
            # Plain text keeps the English labels of BELLE's own form, which can be imported again.
            labels = {} if form == "text" else {"labels": _labels(self._context)}
            self._context.service.history.transfer.export(
                path, form, conversation_id=conversation.id if conversation else None, **labels
            )
            return path.read_bytes()


def safe_name(title: str) -> str:
    """A file name for `title` on every system; without a suffix."""
    name = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]+', " ", title)
    name = " ".join(name.split()).strip(". ")[:_LONGEST_NAME].strip(". ")
    return name or "chatbelle"


def _title(conversation: Conversation | None, context: ViewContext) -> str:
    if conversation is None:
        return context.t("export.file_all")
    return conversation.title or context.t("sidebar.untitled")


def _labels(context: ViewContext) -> Labels:
    return Labels(
        user=context.t("role.user"),
        assistant=context.t("role.assistant"),
        system=context.t("role.system"),
        thought=context.t("role.thought"),
    )
