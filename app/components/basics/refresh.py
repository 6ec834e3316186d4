"""Sending a control's changes, where it is on a screen at all."""

from __future__ import annotations

import flet as ft


def is_on_screen(control: ft.BaseControl) -> bool:
    """Whether the control is part of a page now: a screen behind another one is not."""
    try:
        return bool(control.page)
    except RuntimeError:
        return False


def refresh(*controls: ft.Control) -> None:
    """Update each control that is on a screen; the others are sent whole when they come to one."""
    for control in controls:
        if is_on_screen(control):
            control.update()
