"""The row of small buttons under a message, and the switch between its alternatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import muted_text
from app.components.basics.refresh import refresh
from app.history.records import PathMessage
from app.views.context import ViewContext

# Not 0: a control of opacity 0 is taken out of the tree that screen readers and the Tab key use.
_CONCEALED = 0.01
_BUTTON, _BUTTON_FOR_FINGERS = 36, 48


class MessageActions(ft.Row):
    """Buttons that show while the message is pointed at or focused, and always on touch screens."""

    def __init__(self, context: ViewContext, alignment: ft.MainAxisAlignment) -> None:
        self._is_always_shown = False
        self._is_touch = context.is_touch
        self._size = _BUTTON_FOR_FINGERS if self._is_touch else _BUTTON
        super().__init__(spacing=0, controls=[], height=self._size, alignment=alignment)
        self._context = context
        self.opacity = 1.0 if self._is_touch else _CONCEALED
        self.animate_opacity = 120

    def button(
        self, icon: ft.IconData, label: str, on_click: Callable[[], Any], identifier: str | None = None
    ) -> ft.Control:
        """A button for this row."""
        button = ft.IconButton(
            icon,
            icon_size=17,
            width=self._size,
            height=self._size,
            padding=0,
            icon_color=ft.Colors.ON_SURFACE_VARIANT,
            disabled_color=ft.Colors.with_opacity(0.3, ft.Colors.ON_SURFACE),
            tooltip=label,
            on_click=self._context.guard(on_click),
            on_focus=self._context.guard(lambda: self.reveal(True)),
            on_blur=self._context.guard(lambda: self.reveal(False)),
        )
        # A node of its own either way: unnamed buttons would lend their tooltips to the message.
        return identified(button, identifier) if identifier else ft.Semantics(content=button, container=True)

    def keep_shown(self, shown: bool) -> None:
        """Show the buttons all the time, as those of the newest messages; the caller updates."""
        self._is_always_shown = shown
        self.opacity = 1.0 if shown or self._is_touch else _CONCEALED

    def reveal(self, shown: bool) -> None:
        """Show the buttons while the pointer or the focus is there."""
        opacity = 1.0 if shown or self._is_always_shown or self._is_touch else _CONCEALED
        if opacity != self.opacity:
            self.opacity = opacity
            refresh(self)


def branch_switch(
    context: ViewContext,
    actions: MessageActions,
    entry: PathMessage,
    on_select: Callable[[int], Any],
    *,
    is_identified: bool,
) -> list[ft.Control]:
    """‹ 2/3 ›, or nothing where there is one alternative only."""
    count = len(entry.sibling_ids)
    if count < 2:
        return []
    label = branch_label(entry.number, count)
    previous = actions.button(
        ft.Icons.CHEVRON_LEFT,
        context.t("chat.branch.previous"),
        lambda: on_select(entry.previous_id or entry.message.id),
        "branch-prev" if is_identified else None,
    )
    following = actions.button(
        ft.Icons.CHEVRON_RIGHT,
        context.t("chat.branch.next"),
        lambda: on_select(entry.next_id or entry.message.id),
        "branch-next" if is_identified else None,
    )
    _disable(previous, entry.previous_id is None)
    _disable(following, entry.next_id is None)
    spoken = context.t("chat.branch.label", number=entry.number, count=count)
    return [previous, muted_text(label, semantics_label=spoken), following]


def branch_label(number: int, count: int) -> str:
    """Which alternative of how many: `2/3`."""
    return f"{number}/{count}"


def _disable(button: ft.Control, disabled: bool) -> None:
    inner = button.content if isinstance(button, ft.Semantics) else button
    if inner is not None:
        inner.disabled = disabled
