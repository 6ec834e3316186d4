"""What can be done with the conversation that is shown: the header's menu."""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.chat.events import ConversationsChanged
from app.components.chat.chat_header import MenuEntry
from app.components.sidebar.conversation_actions import ConversationActions
from app.components.sidebar.file_transfer import FileTransfer
from app.history.records import Conversation
from app.views.context import ViewContext


class ChatMenu:
    """The entries, for the conversation that `conversation` is set to; without one they do nothing."""

    def __init__(self, context: ViewContext, on_adjust: Callable[[], object]) -> None:
        self._context = context
        self.conversation: Conversation | None = None
        files = FileTransfer(context, self._changed)
        self._actions = ConversationActions(context, files, self._changed, self._deleted)
        self.entries = (
            MenuEntry("sidebar.rename", ft.Icons.EDIT_OUTLINED, self.rename),
            MenuEntry("chat.persona.adjust", ft.Icons.TUNE, on_adjust),
            MenuEntry("sidebar.export", ft.Icons.DOWNLOAD, self._doing(self._actions.export)),
            MenuEntry("sidebar.delete", ft.Icons.DELETE_OUTLINE, self._doing(self._actions.delete)),
        )

    def rename(self) -> None:
        """Ask for another title."""
        if self.conversation is not None:
            self._actions.rename(self.conversation)

    def _doing(self, action: Callable[[Conversation], None]) -> Callable[[], None]:
        def do() -> None:
            if self.conversation is not None:
                action(self.conversation)

        return do

    def _changed(self) -> None:
        self._context.service.publish(ConversationsChanged())

    def _deleted(self, conversation_id: int) -> None:
        if self.conversation is not None and self.conversation.id == conversation_id:
            self._context.open_conversation(None)
