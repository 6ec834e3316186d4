"""How the conversation that is shown is answered: its persona, and what it sets for itself."""

from __future__ import annotations

from dataclasses import replace

from app.components.basics.refresh import refresh
from app.components.chat.persona_picker import PersonaPicker
from app.components.chat.sampling_sheet import Adjustment, open_sampling_sheet
from app.history.records import Conversation, Overrides
from app.views.chat_reading import Behaviour, behaviour, sampling_below, with_adjustment
from app.views.context import ViewContext


class ChatBehaviour:
    """Shows and changes the overrides of a conversation; of one that does not exist yet, it keeps them.

    picker: the control that offers the personas.
    """

    def __init__(self, context: ViewContext, new: Overrides) -> None:
        """new: what was chosen already for the conversation that does not exist yet."""
        self._context = context
        self._service = context.service
        self._conversation: Conversation | None = None
        self._new = new
        self.picker = PersonaPicker(context, self._choose_persona, self.open_sheet)

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

    async def _set(self, overrides: Overrides) -> None:
        conversation = self._conversation
        if conversation is None:
            self._new = overrides
        else:
            set_overrides = self._service.history.conversations.set_overrides
            await self._context.in_thread(set_overrides, conversation.id, overrides)
            conversation = replace(conversation, overrides=overrides)
        self.show(conversation)
