"""Where a person writes: a field that grows, Enter sends, what waits is shown above, nothing is ever lost.

See `enter_key` for what Enter means while an input method is composing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, centred, text_size
from app.components.basics.refresh import refresh
from app.components.chat.enter_key import EnterKey
from app.components.chat.queue_chips import QueueChips, Queued
from app.views.context import ViewContext

_DRAFT_PAUSE_S = 0.6
_MAX_LINES = 8
_BUTTON, _BUTTON_FOR_FINGERS = 40, 48


class Composer(ft.Container):
    """The field, its buttons and the queue.

    on_send: sends a text, raising when that failed, whereupon the text is back in the field. on_draft: is
    given what is typed after each pause. tools: controls to the left of the buttons.
    """

    def __init__(
        self,
        context: ViewContext,
        *,
        on_send: Callable[[str], Awaitable[None]],
        on_stop: Callable[[], object],
        on_cancel: Callable[[int], object],
        on_draft: Callable[[str], object],
        tools: Sequence[ft.Control] = (),
    ) -> None:
        self._context = context
        self._on_send = on_send
        self._on_draft = on_draft
        self._is_answering = False
        self._draft_timer: asyncio.TimerHandle | None = None
        self._enter = EnterKey(newline_without_key=context.is_touch)
        self._forget_keys = context.on_key(self._on_key)
        self._field = self._make_field()
        self._send = self._button(ft.Icons.ARROW_UPWARD, "chat.composer.send", self._send_field, "send")
        self._stop = self._button(ft.Icons.STOP, "chat.composer.stop", on_stop, "stop")
        self._stop.visible = False
        self._queue = QueueChips(context, on_cancel)
        prompt = identified(self._field, "prompt", context.t("chat.composer.label"), textfield=True)
        row = ft.Row(
            [*tools, ft.Container(expand=True), self._stop, self._send],
            spacing=4,
            vertical_alignment=ft.CrossAxisAlignment.CENTER,
        )
        box = ft.Container(
            # Stretched: a field that is not told its width takes 300 pixels.
            ft.Column(
                [prompt, row],
                spacing=0,
                tight=True,
                horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
            ),
            bgcolor=ft.Colors.SURFACE_CONTAINER_LOW,
            border=ft.Border.all(1, ft.Colors.OUTLINE_VARIANT),
            border_radius=20,
            padding=ft.Padding.only(left=UNIT, right=UNIT, top=4, bottom=UNIT),
        )
        super().__init__(centred(ft.Column([self._queue, box], spacing=UNIT, tight=True)))

    @property
    def text(self) -> str:
        """What is typed and not sent."""
        return self._enter.text

    def set_text(self, text: str) -> None:
        """Replace what is typed; the caller updates."""
        self._cancel_draft()
        self._enter.set_text(text)
        self._field.value = text
        self._show_buttons()

    async def put(self, text: str) -> None:
        """Offer a text for editing and sending, behind what is typed already."""
        typed = self.text.rstrip()
        self.set_text(f"{typed}\n{text}" if typed and typed != text else text)
        refresh(self)
        self._plan_draft()
        await self.focus()

    async def focus(self) -> None:
        """Put the cursor into the field."""
        await self._field.focus()

    def show_answering(self, answering: bool) -> None:
        """Whether an answer of this conversation is being made: the button stops it then."""
        if answering != self._is_answering:
            self._is_answering = answering
            if self._show_buttons():
                refresh(self._stop, self._send)

    def show_queue(self, queued: Sequence[Queued]) -> None:
        """Which questions wait for the engine."""
        if self._queue.show(queued):
            refresh(self._queue)

    def dispose(self) -> str | None:
        """Stop listening; returns a draft that was not kept yet, or None."""
        self._forget_keys()
        return self.take_unsaved()

    def take_unsaved(self) -> str | None:
        """What is typed, if it was not given to `on_draft` since; None otherwise."""
        if self._draft_timer is None:
            return None
        self._cancel_draft()
        return self.text

    def _make_field(self) -> ft.TextField:
        size = text_size(self._context)
        return ft.TextField(
            multiline=True,
            min_lines=1,
            max_lines=_MAX_LINES,
            hint_text=self._context.t("chat.composer.hint"),
            hint_max_lines=1,
            border=ft.NoInputBorder(),
            text_style=ft.TextStyle(size=size, height=1.4),
            hint_style=ft.TextStyle(size=size, color=ft.Colors.ON_SURFACE_VARIANT),
            content_padding=ft.Padding.symmetric(horizontal=UNIT, vertical=10),
            on_change=self._context.guard(self._on_change),
        )

    def _button(
        self, icon: ft.IconData, key: str, on_click: Callable[[], object], identifier: str
    ) -> ft.Semantics:
        size = _BUTTON_FOR_FINGERS if self._context.is_touch else _BUTTON
        button = ft.IconButton(
            icon,
            icon_size=20,
            width=size,
            height=size,
            bgcolor=ft.Colors.PRIMARY,
            icon_color=ft.Colors.ON_PRIMARY,
            tooltip=self._context.t(key),
            on_click=self._context.guard(on_click),
        )
        return identified(button, identifier)

    def _on_key(self, event: ft.KeyboardEvent) -> None:
        self._enter.on_key(event.key, shift=event.shift, other_modifier=event.ctrl or event.alt or event.meta)

    async def _on_change(self, event: ft.Event[ft.TextField]) -> None:
        # The field's value may be that of a later change already: what was typed since must not be undone.
        value = event.data if isinstance(event.data, str) else self._field.value or ""
        typed = self._enter.on_change(value)
        if typed.submitted is not None:
            await self._submit(typed.submitted)
            return
        if typed.text != value:
            self._field.value = typed.text
            refresh(self._field)
        if self._show_buttons():
            refresh(self._stop, self._send)
        self._plan_draft()

    async def _send_field(self) -> None:
        text = self.text
        self._enter.set_text("")
        await self._submit(text)

    async def _submit(self, text: str) -> None:
        """Empty the field and send; a text that could not be sent comes back."""
        self._cancel_draft()
        self._field.value = ""
        refresh(self._field)
        if self._show_buttons():
            refresh(self._stop, self._send)
        if not text.strip():
            await self.focus()
            return
        try:
            await self._on_send(text.strip("\n"))
        except BaseException:
            await self.put(text)
            raise
        await self.focus()

    def _show_buttons(self) -> bool:
        """Stop while answering, send otherwise, and both when there is something to queue."""
        shown = (self._is_answering, not self._is_answering or bool(self.text.strip()))
        changed = shown != (self._stop.visible, self._send.visible)
        self._stop.visible, self._send.visible = shown
        return changed

    def _plan_draft(self) -> None:
        self._cancel_draft()
        loop = asyncio.get_running_loop()
        self._draft_timer = loop.call_later(_DRAFT_PAUSE_S, self._keep_draft)

    def _keep_draft(self) -> None:
        self._draft_timer = None
        self._on_draft(self.text)

    def _cancel_draft(self) -> None:
        if self._draft_timer is not None:
            self._draft_timer.cancel()
            self._draft_timer = None
