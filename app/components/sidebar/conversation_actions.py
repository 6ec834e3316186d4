"""What can be done with a conversation from the list: open, rename, pin, file, export, delete.

Changes the history on a thread, then tells `on_changed`, so that every open page reads its list again.
"""

from __future__ import annotations

from collections.abc import Callable

from app.components.basics.dialogs import ask_text
from app.components.sidebar.file_transfer import FileTransfer
from app.history.records import Conversation
from app.views.context import ViewContext


class ConversationActions:
    """The actions of the item menu. on_deleted is given the id of a conversation that went into the trash."""

    def __init__(
        self,
        context: ViewContext,
        files: FileTransfer,
        on_changed: Callable[[], None],
        on_deleted: Callable[[int], None],
    ) -> None:
        self._context = context
        self._files = files
        self._on_changed = on_changed
        self._on_deleted = on_deleted
        self._conversations = context.service.history.conversations

    def open(self, conversation: Conversation) -> None:
        """Show the conversation."""
        self._context.open_conversation(conversation.id)

    def rename(self, conversation: Conversation) -> None:
        """Ask for another title; an empty one goes back to automatic titles."""

        async def keep(title: str) -> None:
            await self._context.in_thread(self._conversations.rename, conversation.id, title)
            self._on_changed()

        t = self._context.t
        ask_text(self._context, t("sidebar.rename"), t("sidebar.title"), conversation.title, keep)

    def pin(self, conversation: Conversation) -> None:
        """Pin it, or no longer."""

        async def pin() -> None:
            await self._context.in_thread(self._conversations.pin, conversation.id, not conversation.pinned)
            self._on_changed()

        self._context.run(pin)

    def move(self, conversation: Conversation) -> None:
        """Ask for a folder; an empty name takes it out."""

        async def keep(folder: str) -> None:
            await self._context.in_thread(self._conversations.move, conversation.id, folder.strip() or None)
            self._on_changed()

        async def ask() -> None:
            folders = await self._context.in_thread(self._conversations.folders)
            t = self._context.t
            ask_text(
                self._context,
                t("sidebar.move"),
                t("sidebar.folder"),
                conversation.folder or "",
                keep,
                suggestions=folders,
            )

        self._context.run(ask)

    def export(self, conversation: Conversation) -> None:
        """Ask for a form and write a file."""
        self._files.ask_export(conversation)

    def delete(self, conversation: Conversation) -> None:
        """Put it into the trash, with an undo."""

        async def undo() -> None:
            await self._context.in_thread(self._conversations.restore, conversation.id)
            self._on_changed()
            self._context.open_conversation(conversation.id)

        async def delete() -> None:
            if self._context.service.state.answering == conversation.id:
                self._context.service.stop()
            await self._context.in_thread(self._conversations.trash, conversation.id)
            self._on_deleted(conversation.id)
            self._on_changed()
            self._context.notify(self._context.t("sidebar.deleted"), self._context.t("gui.undo"), undo)

        self._context.run(delete)
