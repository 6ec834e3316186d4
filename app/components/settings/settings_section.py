"""The settings' building blocks: a titled card of rows, each with a label, a help text and a control."""

from __future__ import annotations

from collections.abc import Sequence

import flet as ft


def section(title: str, rows: Sequence[ft.Control]) -> ft.Control:
    """A card with a heading."""
    return ft.Column(
        [
            ft.Container(
                ft.Text(title, theme_style=ft.TextThemeStyle.TITLE_SMALL, color=ft.Colors.PRIMARY),
                padding=ft.Padding(left=4, right=4, top=0, bottom=0),
            ),
            ft.Container(
                ft.Column(list(rows), spacing=20),
                padding=20,
                border_radius=16,
                bgcolor=ft.Colors.SURFACE_CONTAINER_LOW,
            ),
        ],
        spacing=8,
    )


def row(label: str, control: ft.Control, help_text: str | None = None) -> ft.Control:
    """A label on the left and its control on the right, below each other where there is no room."""
    texts: list[ft.Control] = [ft.Text(label, theme_style=ft.TextThemeStyle.BODY_LARGE)]
    if help_text:
        texts.append(note(help_text))
    return ft.ResponsiveRow(
        [
            ft.Column(texts, spacing=2, tight=True, col={"xs": 12, "sm": 5}),
            ft.Container(
                control,
                col={"xs": 12, "sm": 7},
                alignment=ft.Alignment.CENTER_LEFT,
            ),
        ],
        spacing=12,
        run_spacing=8,
        vertical_alignment=ft.CrossAxisAlignment.CENTER,
    )


def note(text: str) -> ft.Text:
    """A quiet explanation."""
    return ft.Text(text, theme_style=ft.TextThemeStyle.BODY_SMALL, color=ft.Colors.ON_SURFACE_VARIANT)
