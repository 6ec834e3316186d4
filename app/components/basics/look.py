"""Measures and styles that the parts of the chat share; colours are roles of the theme, never values.

Roles follow light and dark by themselves, so a change of the theme needs no word from here.
"""

from __future__ import annotations

import unicodedata

import flet as ft

from app.views.context import ViewContext

TEXT_WIDTH = 760
UNIT = 8
DIALOG_INSET = ft.Padding.symmetric(horizontal=2 * UNIT, vertical=3 * UNIT)  # for dialogs with much to say
MONOSPACE = "Source Code Pro"
MONOSPACE_ADVANCE = 0.6  # of the font size, for ASCII; CJK characters take a whole one

_TEXT_SIZE = 15
_CODE_SIZE = 13


def text_size(context: ViewContext) -> float:
    """The size of what is said."""
    return _TEXT_SIZE * context.settings.settings.font_scale


def code_size(context: ViewContext) -> float:
    """The size of code."""
    return _CODE_SIZE * context.settings.settings.font_scale


def text_width_px(text: str, size: float) -> float:
    """About how wide a text is on one line."""
    return sum(size if unicodedata.east_asian_width(character) in "WF" else 0.58 * size for character in text)


def muted_text(text: str, **options: object) -> ft.Text:
    """Small text that steps back."""
    return ft.Text(
        text,
        theme_style=ft.TextThemeStyle.BODY_SMALL,
        color=ft.Colors.ON_SURFACE_VARIANT,
        **options,  # type: ignore[arg-type]
    )


def selectable(content: ft.Control, **options: object) -> ft.SelectionArea:
    """Text that can be selected and copied.

    `ft.Text(selectable=True)` would leave nothing for screen readers in the browser view.
    """
    return ft.SelectionArea(content, **options)  # type: ignore[arg-type]


def centred(content: ft.Control, width: int = TEXT_WIDTH, padding: ft.Padding | None = None) -> ft.Container:
    """`content` in the middle, at most `width` wide."""
    return ft.Container(
        ft.Container(content, width=width, alignment=ft.Alignment.TOP_LEFT),
        alignment=ft.Alignment.TOP_CENTER,
        padding=padding or ft.Padding.symmetric(horizontal=2 * UNIT),
    )


def line_style(body: ft.TextStyle) -> ft.MarkdownStyleSheet:
    """How Markdown of one paragraph looks whose text is like `body`."""
    return ft.MarkdownStyleSheet(
        p_text_style=body,
        strong_text_style=ft.TextStyle(weight=ft.FontWeight.W_600),
        a_text_style=ft.TextStyle(color=ft.Colors.PRIMARY, decoration=ft.TextDecoration.UNDERLINE),
        code_text_style=ft.TextStyle(
            size=0.9 * (body.size or _TEXT_SIZE),
            font_family=MONOSPACE,
            bgcolor=ft.Colors.SURFACE_CONTAINER_HIGHEST,
            color=body.color,
        ),
        block_spacing=UNIT,
    )


def code_style(context: ViewContext) -> ft.MarkdownStyleSheet:
    """How the text in a code block looks."""
    return ft.MarkdownStyleSheet(
        code_text_style=ft.TextStyle(
            size=code_size(context), font_family=MONOSPACE, height=1.5, letter_spacing=0
        ),
        codeblock_padding=ft.Padding.all(0),
        codeblock_decoration=ft.BoxDecoration(bgcolor=ft.Colors.TRANSPARENT),
    )


def code_theme() -> ft.MarkdownCustomCodeTheme:
    """Highlighting in the theme's own colours, all of them readable on a container's surface."""
    keyword = ft.TextStyle(color=ft.Colors.PRIMARY, weight=ft.FontWeight.W_600)
    string = ft.TextStyle(color=ft.Colors.TERTIARY)
    name = ft.TextStyle(color=ft.Colors.ON_PRIMARY_CONTAINER, weight=ft.FontWeight.W_600)
    value = ft.TextStyle(color=ft.Colors.SECONDARY, weight=ft.FontWeight.W_600)
    comment = ft.TextStyle(color=ft.Colors.ON_SURFACE_VARIANT, italic=True)
    return ft.MarkdownCustomCodeTheme(
        root=ft.TextStyle(color=ft.Colors.ON_SURFACE, bgcolor=ft.Colors.TRANSPARENT),
        keyword=keyword,
        selector_tag=keyword,
        tag=keyword,
        literal=value,
        number=value,
        string=string,
        regexp=string,
        symbol=string,
        addition=string,
        title=name,
        section=name,
        class_name=name,
        built_in=name,
        type=name,
        attr=value,
        attribute=value,
        variable=value,
        meta=comment,
        comment=comment,
        quote=comment,
        deletion=ft.TextStyle(color=ft.Colors.ERROR),
    )
