"""What is done with single messages: the chat service is asked on a thread, and the view goes to the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from app.components.chat.message_commands import MessageCommands
from app.views.context import ViewContext


class ChatCommands:
    """on_asked is called when an answer was asked for: it will be the newest text."""

    def __init__(self, context: ViewContext, on_asked: Callable[[], Awaitable[None]]) -> None:
        self._context = context
        self._service = context.service
        self._on_asked = on_asked

    def commands(self) -> MessageCommands:
        """The callbacks for the rows."""
        return MessageCommands(
            regenerate=self._regenerate,
            continue_answer=self._continue,
            edit=self._edit,
            delete=self._delete,
            select=self._select,
        )

    async def _regenerate(self, message_id: int) -> None:
        await self._context.in_thread(self._service.regenerate, message_id)
        await self._on_asked()

    async def _continue(self, message_id: int) -> None:
        await self._context.in_thread(self._service.continue_answer, message_id)
        await self._on_asked()

    async def _edit(self, message_id: int, text: str) -> None:
        await self._context.in_thread(self._service.edit_question, message_id, text)
        await self._on_asked()

    async def _select(self, message_id: int) -> None:
        await self._context.in_thread(self._service.select_branch, message_id)

    async def _delete(self, message_id: int) -> None:
        token = await self._context.in_thread(self._service.delete_message, message_id)

        async def undo() -> None:
            await self._context.in_thread(self._service.undo, token)

        self._context.notify(self._context.t("chat.deleted"), self._context.t("gui.undo"), undo)
