"""How the conversation that is shown is answered: its persona, and what it sets for itself."""

from __future__ import annotations

from dataclasses import replace

from app.components.basics.refresh import refresh
from app.components.chat.persona_picker import PersonaPicker
from app.components.chat.sampling_sheet import Adjustment, open_sampling_sheet
from app.components.chat.thinking_picker import ThinkingPicker
from app.history.records import Conversation, Overrides
from app.views.chat_reading import Behaviour, behaviour, sampling_below, with_adjustment
from app.views.context import ViewContext
from engine.types import ModelInfo, Thinking


class ChatBehaviour:
    """Shows and changes the overrides of a conversation; of one that does not exist yet, it keeps them.

    picker and thinking: the controls that offer the personas, and whether the model thinks.
    """

    def __init__(self, context: ViewContext, new: Overrides) -> None:
        """new: what was chosen already for the conversation that does not exist yet."""
        self._context = context
        self._service = context.service
        self._conversation: Conversation | None = None
        self._new = new
        self._info: ModelInfo | None = None
        self.picker = PersonaPicker(context, self._choose_persona, self.open_sheet)
        self.thinking = ThinkingPicker(context, self._choose_thinking, self._choose_budget)

    @property
    def overrides(self) -> Overrides:
        """What the conversation sets differently."""
        return self._new if self._conversation is None else self._conversation.overrides

    @property
    def new(self) -> Overrides:
        """What the conversation that does not exist yet will begin with."""
        return self._new

    def show(self, conversation: Conversation | None) -> None:
        """Show another conversation, or what has become of this one."""
        self._conversation = conversation
        now = self._now()
        self.picker.show(now.personas, now.persona.id, is_adjusted=now.is_adjusted)
        refresh(self.picker)
        self._show_thinking()

    def show_model(self, info: ModelInfo | None) -> None:
        """Offer what this model can do."""
        if info != self._info:
            self._info = info
            self._show_thinking()

    def _show_thinking(self) -> None:
        overrides = self.overrides
        self.thinking.show(self._info, overrides.thinking or "automatic", overrides.thought_budget)
        refresh(self.thinking)

    def begin(self) -> Conversation:
        """Let the conversation exist, with what was chosen for it; may wait for the disk."""
        overrides = self.overrides
        conversation_id = self._service.new_conversation(overrides.persona)
        conversations = self._service.history.conversations
        if overrides != Overrides(persona=overrides.persona):
            conversations.set_overrides(conversation_id, overrides)
        return conversations.get(conversation_id)

    def forget_new(self) -> None:
        """The conversation that did not exist yet does now."""
        self._new = Overrides()

    async def open_sheet(self) -> None:
        """Let the person change system text and sampling."""
        below = await self._context.in_thread(sampling_below, self._service, self.overrides)
        now = self._now()

        async def save(adjustment: Adjustment) -> None:
            await self._set(with_adjustment(self.overrides, adjustment))

        open_sampling_sheet(
            self._context,
            current=now.adjustment,
            persona_system=now.persona.system,
            below=below,
            on_save=lambda adjustment: self._context.run(save, adjustment),
        )

    def _now(self) -> Behaviour:
        return behaviour(self._service, self.overrides, self._context.language)

    async def _choose_persona(self, persona_id: str) -> None:
        await self._set(replace(self.overrides, persona=persona_id))

    async def _choose_thinking(self, thinking: Thinking) -> None:
        await self._set(replace(self.overrides, thinking=None if thinking == "automatic" else thinking))

    async def _choose_budget(self, n_tokens: int | None) -> None:
        await self._set(replace(self.overrides, thought_budget=n_tokens))

    async def _set(self, overrides: Overrides) -> None:
        conversation = self._conversation
        if conversation is None:
            self._new = overrides
        else:
            set_overrides = self._service.history.conversations.set_overrides
            await self._context.in_thread(set_overrides, conversation.id, overrides)
            conversation = replace(conversation, overrides=overrides)
        self.show(conversation)
