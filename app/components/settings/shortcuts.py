"""Keyboard shortcuts: what they are on this platform, which key means which, and the sheet that lists them.

In a browser, many keys never reach the page or do something there as well (Ctrl+N opens a window), so the
browser view has its own combinations. macOS has Cmd for Ctrl.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import flet as ft

from app.views.context import ViewContext

_SHEET_WIDTH = 420


class Action(StrEnum):
    """What can be done by a key."""

    NEW = "new"
    SEARCH = "search"
    FOCUS = "focus"
    STOP = "stop"
    COPY_LAST = "copy_last"
    PREVIOUS = "previous"
    NEXT = "next"
    SETTINGS = "settings"
    SIDEBAR = "sidebar"
    SHEET = "sheet"


@dataclass(frozen=True, slots=True)
class Chord:
    """A key with modifiers; `command` is Cmd on macOS and Ctrl elsewhere."""

    key: str
    command: bool = False
    alt: bool = False
    shift: bool = False

    def text(self, is_mac: bool) -> str:
        """As keys are written: `Ctrl+Alt+N`, `⌥⌘N`."""
        key = _KEY_NAMES.get(self.key, self.key)
        if is_mac:
            return "⌥" * self.alt + "⇧" * self.shift + "⌘" * self.command + key
        names = ["Ctrl"] * self.command + ["Alt"] * self.alt + ["Shift"] * self.shift
        return "+".join([*names, key])


_KEY_NAMES = {"Arrow Up": "↑", "Arrow Down": "↓", "Escape": "Esc"}
_COMMON = {
    Action.STOP: Chord("Escape"),
    Action.PREVIOUS: Chord("Arrow Up", alt=True),
    Action.NEXT: Chord("Arrow Down", alt=True),
    Action.SHEET: Chord("/", command=True),
}
_WINDOW: Mapping[Action, Chord] = {
    Action.NEW: Chord("N", command=True),
    Action.SEARCH: Chord("K", command=True),
    Action.FOCUS: Chord("L", command=True),
    Action.COPY_LAST: Chord("C", command=True, shift=True),
    Action.SETTINGS: Chord(",", command=True),
    Action.SIDEBAR: Chord("B", command=True),
    **_COMMON,
}
_BROWSER: Mapping[Action, Chord] = {
    Action.NEW: Chord("N", command=True, alt=True),
    Action.SEARCH: Chord("K", command=True, alt=True),
    Action.FOCUS: Chord("E", command=True, alt=True),
    Action.COPY_LAST: Chord("Y", command=True, alt=True),
    Action.SETTINGS: Chord(",", command=True, alt=True),
    Action.SIDEBAR: Chord("B", command=True, alt=True),
    **_COMMON,
}


def shortcuts(in_browser: bool) -> Mapping[Action, Chord]:
    """The shortcuts of the window or of the browser view, in the order they are listed."""
    table = _BROWSER if in_browser else _WINDOW
    return {action: table[action] for action in Action}


def action_for(
    key: str, *, ctrl: bool, meta: bool, alt: bool, shift: bool, in_browser: bool, is_mac: bool
) -> Action | None:
    """What a pressed key means; None for the others."""
    if (ctrl if is_mac else meta) and key != "Escape":
        return None
    pressed = Chord(key.upper() if len(key) == 1 else key, meta if is_mac else ctrl, alt, shift)
    found = (action for action, chord in shortcuts(in_browser).items() if chord == pressed)
    return next(found, None)


def shortcut_sheet(context: ViewContext, is_mac: bool) -> ft.AlertDialog:
    """A dialog that lists the shortcuts."""
    rows: list[ft.Control] = [
        ft.Row(
            [
                ft.Text(context.t(f"shortcuts.{action}"), expand=True),
                _key_cap(chord.text(is_mac)),
            ]
        )
        for action, chord in shortcuts(context.in_browser).items()
    ]
    return ft.AlertDialog(
        title=ft.Text(context.t("shortcuts.title")),
        scrollable=True,
        content=ft.Container(ft.Column(rows, tight=True, spacing=12), width=_SHEET_WIDTH),
        actions=[
            ft.TextButton(context.t("gui.close"), on_click=context.guard(lambda: context.page.pop_dialog()))
        ],
    )


def _key_cap(text: str) -> ft.Container:
    return ft.Container(
        ft.Text(text, theme_style=ft.TextThemeStyle.LABEL_MEDIUM),
        padding=ft.Padding.symmetric(horizontal=8, vertical=4),
        border_radius=6,
        bgcolor=ft.Colors.SURFACE_CONTAINER_HIGHEST,
    )
