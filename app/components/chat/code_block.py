"""A block of code: its language, a button that copies it, and the code, which scrolls sideways."""

from __future__ import annotations

import re
import unicodedata

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import (
    MONOSPACE_ADVANCE,
    UNIT,
    code_size,
    code_style,
    code_theme,
    muted_text,
)
from app.views.context import ViewContext

_TAB = 4


class CodeBlock(ft.Container):
    """Shows one language and code; `show` changes both."""

    def __init__(self, context: ViewContext, language: str, code: str) -> None:
        self._context = context
        self._code = ""
        self._label = muted_text("", font_family="Source Code Pro")
        self._markdown = ft.Markdown(
            extension_set=ft.MarkdownExtensionSet.GITHUB_FLAVORED,
            code_theme=code_theme(),
            code_style_sheet=code_style(context),
            md_style_sheet=code_style(context),
        )
        self._sheet = ft.Container(self._markdown, padding=ft.Padding(12, 4, 12, 12))
        super().__init__(
            ft.Column(
                [self._header(), ft.Row([self._sheet], scroll=ft.ScrollMode.AUTO)], spacing=0, tight=True
            ),
            bgcolor=ft.Colors.SURFACE_CONTAINER,
            border=ft.Border.all(1, ft.Colors.OUTLINE_VARIANT),
            border_radius=UNIT,
            clip_behavior=ft.ClipBehavior.HARD_EDGE,
        )
        self.show(language, code)

    def show(self, language: str, code: str) -> bool:
        """Change what is shown; returns whether it is different. The caller updates."""
        self._code = code
        # The highlighter would draw a tab as eight blanks, wherever it stands.
        drawn = code.expandtabs(_TAB)
        value = fenced(language, drawn)
        if value == self._markdown.value:
            return False
        self._label.value = language or self._context.t("chat.code.plain")
        self._markdown.value = value
        self._sheet.width = _width_px(drawn, code_size(self._context)) + 3 * UNIT
        return True

    def _header(self) -> ft.Control:
        copy = ft.IconButton(
            ft.Icons.CONTENT_COPY,
            icon_size=16,
            icon_color=ft.Colors.ON_SURFACE_VARIANT,
            tooltip=self._context.t("chat.code.copy"),
            on_click=self._context.guard(lambda: self._context.copy(self._code)),
        )
        return ft.Container(
            ft.Row(
                # One node with name and button; without it, the name would be that of the whole answer.
                [self._label, identified(ft.MergeSemantics(copy), "copy-code")],
                alignment=ft.MainAxisAlignment.SPACE_BETWEEN,
            ),
            padding=ft.Padding.only(left=12, right=4),
            height=36,
        )


def fenced(language: str, code: str) -> str:
    """Markdown for code, in a fence that is longer than any in it."""
    fence = "`" * max(3, longest_ticks(code) + 1)
    return f"{fence}{_known_language(language)}\n{code}\n{fence}"


def longest_ticks(text: str) -> int:
    """How many backticks stand in a row at most."""
    return max((len(run) for run in re.findall(r"`+", text)), default=0)


def _known_language(name: str) -> str:
    """The name as the highlighter spells it: letters, digits and a few signs."""
    name = name.lower()
    aliases = {"c++": "cpp", "c#": "cs", "f#": "fsharp", "objective-c": "objectivec", "text": "plaintext"}
    return aliases.get(name, name if re.fullmatch(r"[a-z0-9_+.-]{1,24}", name) else "")


def _width_px(code: str, size: float) -> float:
    """How wide the longest line is."""
    return max((_columns(line) for line in code.split("\n")), default=0) * size * MONOSPACE_ADVANCE


def _columns(line: str) -> float:
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in line)
    return len(line) - wide + wide / MONOSPACE_ADVANCE
