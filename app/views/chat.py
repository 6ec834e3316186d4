"""The chat: one conversation with its header, messages and prompt.

Gathers the parts and passes between them and the chat service; what a part looks like and how it behaves is
its own business. Everything here runs on the page's event loop.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import flet as ft

from app.chat.events import (
    AnswerEnded,
    AnswerGrew,
    ConversationsChanged,
    EngineChanged,
    PathChanged,
    Problem,
    QueueChanged,
    ThoughtGrew,
)
from app.components.basics.look import UNIT, centred, muted_text
from app.components.basics.refresh import is_on_screen, refresh
from app.components.chat.base_model_notice import BaseModelNotice
from app.components.chat.chat_header import ChatHeader
from app.components.chat.composer import Composer
from app.components.chat.empty_state import EmptyState
from app.components.chat.engine_status import EngineStatus, model_name, status_text
from app.components.chat.load_failure import LoadFailure
from app.components.chat.message_list import MessageList, Place
from app.components.chat.queue_chips import Queued
from app.components.work.job_text import error_text
from app.history.errors import ConversationMissing
from app.views.chat_behaviour import ChatBehaviour
from app.views.chat_commands import ChatCommands
from app.views.chat_menu import ChatMenu
from app.views.chat_reading import Carried, Reading, queued_in, read_conversation, with_draft
from app.views.context import ViewContext

if TYPE_CHECKING:
    from app.chat.choices import ModelChoice
    from app.chat.events import ChatEvent, EngineState
    from app.models.events import ModelEvent

_NARROW_HEADER = 600


class ChatView(ft.Container):
    """Shows a conversation, or an empty one that begins to exist with its first question."""

    def __init__(self, context: ViewContext, carried: Carried | None = None) -> None:
        """carried: what `dispose` of the view before returned."""
        carried = carried or Carried()
        self._context = context
        self._service = context.service
        self._reading = Reading()
        self._new_draft = carried.new_draft
        self._carried = carried
        self._n_loads = 0
        self._chosen_model: ModelChoice | None = None
        self._is_loaded = False
        self._has_left = False
        self._is_reading = False
        self._reads_again = False
        commands = ChatCommands(context, self._go_to_end)
        self._messages = MessageList(context, commands.commands(), carried.opened_thoughts)
        self._empty = EmptyState(context, self._choose_example)
        self._behaviour = ChatBehaviour(context, carried.new_overrides)
        self._menu = ChatMenu(context, self._behaviour.open_sheet)
        self._header = ChatHeader(context, on_rename=self._menu.rename, entries=self._menu.entries)
        self._failure = LoadFailure(
            context,
            on_demo=self._use_demo,
            on_again=self._service.load,
            on_smaller_context=self._use_smaller_context,
            on_anyway=lambda: self._service.load(ignore_memory=True),
        )
        self._base_notice = BaseModelNotice(context)
        self._composer = Composer(
            context,
            on_send=self._send,
            on_stop=self._service.stop,
            on_cancel=self._cancel_queued,
            on_draft=self._keep_draft,
            tools=(self._behaviour.picker, self._behaviour.thinking),
        )
        self._status = EngineStatus(context)
        self._refusals: dict[int, str] = {}  # why the last question of a conversation has no answer
        self._hint = muted_text(context.t("chat.composer.keys"))
        self._body = ft.Container(expand=True)  # until it is known what to show
        super().__init__(
            ft.Column(
                [
                    self._header,
                    self._body,
                    self._failure,
                    self._base_notice,
                    self._composer,
                    self._footer(),
                ],
                spacing=0,
            ),
            expand=True,
            on_size_change=context.guard(self._on_size),
            size_change_interval=100,
        )
        self._set_narrow((context.page.width or _NARROW_HEADER) < _NARROW_HEADER)
        self._show_engine()

    # What the shell calls

    def show(
        self, conversation_id: int | None, at_message: int | None = None, *, in_thought: bool = False
    ) -> None:
        """Show a conversation, None for a new one, at its end or at one of its messages or thoughts."""
        self._context.run(self._load, conversation_id, at_message, in_thought)

    def on_event(self, event: ChatEvent) -> None:
        """Follow the chat service."""
        self._context.run(self._follow, event)

    def on_model_event(self, event: ModelEvent) -> None:
        """Follow the model service."""
        self._empty.on_model_event(event)

    def focus_prompt(self) -> None:
        """Put the cursor where one writes."""
        self._context.run(self._focus)

    def keep_draft(self) -> None:
        """Bring what is typed to disk without waiting for a pause."""
        unsaved = self._composer.take_unsaved()
        if unsaved is not None and self._is_loaded:
            self._keep_draft(unsaved)

    def stop(self) -> None:
        """Stop the answer that is made in this conversation."""
        if self._is_answering:
            self._service.stop()

    def shows(self, error: BaseException) -> bool:
        """Whether the person sees already why the model could not be loaded, and what can be done."""
        state = self._service.state
        return state.phase == "failed" and state.error is error and is_on_screen(self)

    def copy_last(self) -> None:
        """Copy the newest answer."""
        text = self._reading.last_answer
        if text:
            self._context.copy(text)

    def dispose(self) -> Carried:
        """Stop listening, and keep what is typed; returns what the next view of this page takes over."""
        unsaved = self._composer.dispose()
        self._messages.dispose()
        if not self._is_loaded:
            return self._carried
        if self._conversation_id is None:
            self._new_draft = self._composer.text
            if unsaved is not None:  # or another tab's would be lost
                self._context.settings.update(new_draft=unsaved)
        elif unsaved is not None:
            self._service.history.conversations.set_draft(self._conversation_id, unsaved)
        return Carried(
            self._new_draft,
            self._behaviour.new,
            self._conversation_id,
            self._messages.place,
            self._messages.opened_thoughts,
        )

    # Reading

    @property
    def _conversation_id(self) -> int | None:
        conversation = self._reading.conversation
        return conversation.id if conversation is not None else None

    @property
    def _state(self) -> EngineState:
        """The engine's state, with the model that would be loaded where none is."""
        state = self._service.state
        return state if state.model is not None else replace(state, model=self._chosen_model)

    @property
    def _is_answering(self) -> bool:
        answering = self._service.state.answering
        return answering is not None and answering == self._conversation_id

    async def _load(self, conversation_id: int | None, at_message: int | None, in_thought: bool) -> None:
        is_same = self._is_loaded and conversation_id == self._conversation_id
        self._n_loads += 1
        this_load = self._n_loads
        if self._is_loaded and not is_same and not self._has_left:
            self._has_left = True
            await self._leave()
            self._composer.set_text("")
            refresh(self._composer)
        reading = Reading()
        if conversation_id is not None:
            try:
                reading = await self._context.in_thread(
                    read_conversation, self._service, conversation_id, at_message
                )
            except ConversationMissing:
                self._context.notify(self._context.t("chat.missing"))
        self._chosen_model = await self._context.in_thread(self._service.chosen_model)
        if this_load != self._n_loads:
            return
        self._is_loaded, self._has_left = True, False
        if self._service.state.phase == "idle" and self._chosen_model.is_demo:
            self._service.load()  # takes a moment only, and then the first answer begins at once
        self._reading = reading
        place = self._take_place(at_message)
        self._messages.show(reading.path, reading.remembered_from, at_message, place, in_thought=in_thought)
        if not is_same:
            draft = reading.conversation.draft if reading.conversation else self._new_draft
            self._composer.set_text(with_draft(draft, self._composer.text))
        self._show_reading()
        refresh(self)
        if at_message is None and not self._context.is_touch:  # there a keyboard would cover the messages
            await self._focus()

    def _take_place(self, at_message: int | None) -> Place | None:
        """Where this conversation was read before the page was built anew; asked once."""
        carried, self._carried = self._carried, Carried()
        is_wanted = at_message is None and carried.conversation_id == self._conversation_id
        return carried.place if is_wanted else None

    async def _leave(self) -> None:
        """Keep what is typed in the conversation that is left."""
        unsaved = self._composer.take_unsaved()
        if self._conversation_id is None:
            self._new_draft = self._composer.text
            if unsaved is not None:  # or another tab's would be lost
                self._keep_draft(unsaved)
        elif unsaved is not None:
            await self._save_draft(self._conversation_id, unsaved)

    async def _read_again(self) -> None:
        """Read the conversation after a change; changes in between lead to one more reading."""
        if self._is_reading:
            self._reads_again = True
            return
        self._is_reading = True
        try:
            self._reads_again = True
            while self._reads_again and self._conversation_id is not None:
                self._reads_again = False
                this_load, conversation_id = self._n_loads, self._conversation_id
                reading = await self._context.in_thread(read_conversation, self._service, conversation_id)
                if this_load == self._n_loads:
                    self._reading = reading
                    self._messages.change(reading.path, reading.remembered_from)
                    self._show_reading()
        except ConversationMissing:
            self._context.open_conversation(None)
        finally:
            self._is_reading = False

    async def _follow(self, event: ChatEvent) -> None:
        match event:
            case AnswerGrew() if event.conversation_id == self._conversation_id:
                if not self._messages.grow(event.message_id, event.text, event.offset):
                    await self._read_again()
            case ThoughtGrew() if event.conversation_id == self._conversation_id:
                if not self._messages.grow_thought(event.message_id, event.text, event.offset):
                    await self._read_again()
            case EngineChanged():
                self._show_engine()
            case Problem(conversation_id=int() as conversation_id, error=Exception() as error):
                if not self.shows(error):
                    self._refusals[conversation_id] = error_text(error, self._context.texts)
                self._show_engine()
            case ConversationsChanged():
                await self._read_title()
            case QueueChanged() if event.conversation_id == self._conversation_id:
                self._show_queue(queued_in(self._reading.path, self._service.queued(event.conversation_id)))
            case PathChanged() | AnswerEnded():
                if event.conversation_id == self._conversation_id:
                    await self._read_again()

    async def _read_title(self) -> None:
        conversation_id = self._conversation_id
        if conversation_id is None:
            return
        try:
            conversation = await self._context.in_thread(
                self._service.history.conversations.get, conversation_id
            )
        except ConversationMissing:
            return
        if conversation_id == self._conversation_id:
            self._reading = replace(self._reading, conversation=conversation)
            self._show_title()
            refresh(self._header)

    # Showing

    def _show_reading(self) -> None:
        reading = self._reading
        self._show_title()
        self._header.context_meter.show(reading.context_use)
        self._show_queue(reading.queued)
        content = self._messages if reading.path else self._empty
        if self._body.content is not content:
            self._body.content = content
            refresh(self._body)
        self._behaviour.show(reading.conversation)
        self._show_engine()
        refresh(self._header)

    def _show_queue(self, queued: tuple[Queued, ...]) -> None:
        self._reading = replace(self._reading, queued=queued)
        self._messages.mark_waiting(frozenset(item.message_id for item in queued))
        self._composer.show_queue(queued)

    def _show_title(self) -> None:
        conversation = self._reading.conversation
        title = conversation.title if conversation is not None else ""
        self._header.show_title(
            title or self._context.t("chat.header.new"), is_saved=conversation is not None
        )
        self._menu.conversation = conversation

    def _show_engine(self) -> None:
        """Follow the engine's state: header, status, prompt, failure, and what precedes the first word."""
        state = self._state
        texts = self._context.texts
        self._header.model_picker.show(state)
        self._behaviour.show_model(state.info)
        self._status.show(status_text(state, texts, self._conversation_id) if self._is_loaded else "")
        self._composer.show_answering(self._is_answering)
        error = state.error if state.phase == "failed" else None
        offers_demo = state.model is None or not state.model.is_demo
        self._failure.show(error, offers_demo=offers_demo)
        self._base_notice.show(state, has_begun=len(self._reading.path) > 2)
        self._messages.set_activity(state.message_id if self._is_answering else None, self._activity())
        if self._is_answering:
            self._refusals.pop(self._conversation_id or 0, None)
        self._messages.mark_unanswered(self._unanswered(), self._refusals.get(self._conversation_id or 0))
        self._empty.show(state)
        refresh(self._header.model_picker, self._status, self._failure, self._base_notice, self._empty)

    def _unanswered(self) -> int | None:
        """A last question that nothing works on: after a crash, or a failed load."""
        reading = self._reading
        if not reading.awaits_answer or self._is_answering:
            return None
        message_id = reading.path[-1].message.id
        return None if any(item.message_id == message_id for item in reading.queued) else message_id

    def _activity(self) -> str | None:
        state = self._state
        if self._is_answering and state.phase == "ready":
            return self._context.t("chat.answer.reading") if state.reading_prompt else None
        if state.phase in ("loading", "restarting") and self._reading.awaits_answer:
            return self._context.t("chat.answer.loading", model=model_name(state, self._context.texts))
        return None

    def _footer(self) -> ft.Control:
        row = ft.Row(
            [ft.Container(self._status, expand=True), self._hint],
            alignment=ft.MainAxisAlignment.SPACE_BETWEEN,
        )
        return centred(row, padding=ft.Padding(3 * UNIT, 6, 3 * UNIT, UNIT))

    def _on_size(self, event: ft.LayoutSizeChangeEvent[ChatView]) -> None:
        self._set_narrow(event.width < _NARROW_HEADER)
        refresh(self._hint, self._header.model_picker, self._behaviour.thinking)

    def _set_narrow(self, narrow: bool) -> None:
        self._hint.visible = not narrow
        self._header.model_picker.set_narrow(narrow)
        self._behaviour.thinking.set_narrow(narrow)

    # Commands

    async def _focus(self) -> None:
        if is_on_screen(self._composer):
            await self._composer.focus()

    async def _send(self, text: str) -> None:
        conversation_id = self._conversation_id
        if conversation_id is None:
            conversation = await self._context.in_thread(self._behaviour.begin)
            self._n_loads += 1
            self._reading = Reading(conversation)
            self._new_draft = ""
            self._behaviour.forget_new()
            await self._context.in_thread(self._service.send, conversation.id, text)
            self._context.run(self._save_new_draft, "")  # only now is it kept elsewhere
            self._context.open_conversation(conversation.id)
            return
        await self._context.in_thread(self._service.send, conversation_id, text)
        await self._messages.scroll_to_end()

    async def _go_to_end(self) -> None:
        await self._messages.scroll_to_end()

    async def _cancel_queued(self, message_id: int) -> None:
        text = next((item.text for item in self._reading.queued if item.message_id == message_id), "")
        await self._context.in_thread(self._service.cancel_queued, message_id)
        if text and not self._composer.text:
            await self._composer.put(text)

    async def _choose_example(self, text: str) -> None:
        await self._composer.put(text)

    async def _use_demo(self) -> None:
        await self._context.in_thread(self._service.choose_file, None)

    async def _use_smaller_context(self, n_tokens: int) -> None:
        load = replace(self._context.settings.settings.load, context_tokens=n_tokens)
        await self._context.in_thread(self._context.settings.update, load=load)
        self._service.load()

    def _keep_draft(self, text: str) -> None:
        if self._conversation_id is None:
            self._new_draft = text
            self._context.run(self._save_new_draft, text)
        else:
            self._context.run(self._save_draft, self._conversation_id, text)

    async def _save_new_draft(self, text: str) -> None:
        await self._context.in_thread(self._context.settings.update, new_draft=text)

    async def _save_draft(self, conversation_id: int, text: str) -> None:
        await self._context.in_thread(self._service.history.conversations.set_draft, conversation_id, text)
