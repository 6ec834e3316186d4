"""The text of one block on the screen: runs in their styles, links, and formulas between them.

Runs are spans of one `Text`, which draws them exactly. Only where a formula stands between them, Flet's
Markdown draws the line, because only that has formulas; it is given nothing that it could take for a mark.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace

import flet as ft

from app.components.basics.look import MONOSPACE, line_style, text_size
from app.components.chat.code_block import longest_ticks
from app.components.chat.link_dialog import show_link
from app.markdown.blocks import Formula, Inlines, Run
from app.markdown.tex import to_draw
from app.views.context import ViewContext

# What a formula must be followed by, or the renderer takes it for text.
_FORMULA_ENDS = frozenset(" \n?!.,:？！。，：")
_HAIR_SPACE = "\u200a"
_ESCAPED = re.compile(r"&#(\d+);")


@dataclass(frozen=True, slots=True)
class Manner:
    """How a block's text looks. scale: of the size of what is said."""

    scale: float = 1.0
    is_bold: bool = False
    is_quiet: bool = False
    height: float = 1.6
    align: ft.TextAlign = ft.TextAlign.START


class InlineText(ft.Container):
    """Shows the inlines of one block; `show` changes them, the caller updates."""

    def __init__(self, context: ViewContext, inlines: Inlines, manner: Manner | None = None) -> None:
        self._context = context
        self._manner = manner or Manner()
        self._inlines: Inlines | None = None
        super().__init__()
        self.show(inlines)

    def show(self, inlines: Inlines) -> bool:
        """Show other inlines; returns whether they are different."""
        if inlines == self._inlines:
            return False
        self._inlines = inlines
        shown = tuple(map(_drawn, inlines))
        if any(isinstance(inline, Formula) for inline in shown):
            self._show_formulas(shown)
        else:
            self._show_runs(tuple(inline for inline in shown if isinstance(inline, Run)))
        return True

    def _show_runs(self, runs: tuple[Run, ...]) -> None:
        text = self.content
        if not isinstance(text, ft.Text):
            text = self.content = ft.Text(spans=[], style=self._style(), text_align=self._manner.align)
        spans = text.spans or []
        text.spans = [
            old
            if (old := spans[index] if index < len(spans) else None) and old.data == run
            else self._span(run)
            for index, run in enumerate(runs)
        ]

    def _show_formulas(self, inlines: Inlines) -> None:
        value = as_markdown(inlines)
        if isinstance(self.content, ft.Markdown):
            self.content.value = value
            return
        self.content = ft.Markdown(
            value,
            extension_set=ft.MarkdownExtensionSet.GITHUB_FLAVORED,
            soft_line_break=True,
            md_style_sheet=line_style(self._style()),
            latex_style=ft.TextStyle(size=self._size, color=self._color),
            on_tap_link=self._context.guard(lambda event: show_link(self._context, str(event.data or ""))),
        )

    @property
    def _size(self) -> float:
        return text_size(self._context) * self._manner.scale

    @property
    def _color(self) -> ft.Colors:
        return ft.Colors.ON_SURFACE_VARIANT if self._manner.is_quiet else ft.Colors.ON_SURFACE

    def _style(self) -> ft.TextStyle:
        weight = ft.FontWeight.W_600 if self._manner.is_bold else None
        return ft.TextStyle(size=self._size, height=self._manner.height, weight=weight, color=self._color)

    def _span(self, run: Run) -> ft.TextSpan:
        style = ft.TextStyle(
            weight=ft.FontWeight.W_600 if run.is_bold else None,
            italic=run.is_italic,
            decoration=_decoration(run),
            color=ft.Colors.PRIMARY if run.href else None,
            size=self._size * (0.7 if run.is_raised else 0.9) if run.is_code or run.is_raised else None,
            font_family=MONOSPACE if run.is_code else None,
            bgcolor=ft.Colors.SURFACE_CONTAINER_HIGHEST if run.is_code else None,
        )
        on_click = self._context.guard(lambda: show_link(self._context, run.href)) if run.href else None
        return ft.TextSpan(run.text, style=style, on_click=on_click, data=run)


def _decoration(run: Run) -> ft.TextDecoration | None:
    if run.is_struck:
        return ft.TextDecoration.LINE_THROUGH
    return ft.TextDecoration.UNDERLINE if run.href else None


def _drawn(inline: Run | Formula) -> Run | Formula:
    """A formula as the renderer takes it; one that can't be drawn is shown as its source."""
    if isinstance(inline, Run):
        return inline
    tex = to_draw(inline.tex)
    if tex is None:
        return Run(inline.source, is_bold=inline.is_bold, is_code=True)
    return replace(inline, tex=tex)


def as_markdown(inlines: Inlines) -> str:
    """A line for Flet's Markdown, in which nothing but the formulas and the runs' own styles is a mark."""
    parts: list[str] = []
    before: Run | Formula | None = None
    for inline in inlines:
        if isinstance(inline, Run):
            written = _run_as_markdown(inline)
        else:
            sign = "$$" if inline.is_display else "$"
            written = f"{sign}{inline.tex}{sign}"
        parts.append(_joined_to(before, written))
        before = inline
    return "\n".join(line.lstrip(" \t") for line in "".join(parts).split("\n"))


def _joined_to(before: Run | Formula | None, written: str) -> str:
    """What is written after a formula or code, which the renderer wants to end before certain signs only."""
    sign = _ESCAPED.match(written)
    if isinstance(before, Formula):
        first = chr(int(sign[1])) if sign else written[0]
        if first not in _FORMULA_ENDS:
            return _HAIR_SPACE + written
        return written.replace(sign[0], first, 1) if sign else written
    # Right behind a backtick it takes a number for text.
    if before is not None and before.is_code and sign:
        return written.replace(sign[0], "\\" + chr(int(sign[1])), 1)
    return written


def _run_as_markdown(run: Run) -> str:
    if run.is_code:
        ticks = "`" * (longest_ticks(run.text) + 1)
        pad = " " if run.text.startswith(("`", " ")) or run.text.endswith(("`", " ")) else ""
        return f"{ticks}{pad}{run.text}{pad}{ticks}"
    if run.href:
        return f"[{_escaped(run.text)}](<{run.href.replace('<', '%3C').replace('>', '%3E')}>)"
    sign = ("~~" if run.is_struck else "") + ("**" if run.is_bold else "") + ("*" if run.is_italic else "")
    if not sign:
        return _escaped(run.text)
    # A mark beside punctuation or a blank would be none; what stands at the edges goes without it.
    inner = run.text.strip()
    while inner and not inner[0].isalnum():
        inner = inner[1:]
    while inner and not inner[-1].isalnum():
        inner = inner[:-1]
    if not inner:
        return _escaped(run.text)
    before, _, after = run.text.partition(inner)
    return f"{_escaped(before)}{sign}{_escaped(inner)}{sign[::-1]}{_escaped(after)}"


def _escaped(text: str) -> str:
    """As text and nothing else: every ASCII sign as its number."""
    return "".join(
        f"&#{ord(character)};"
        if character.isascii() and unicodedata.category(character)[0] in "PS"
        else character
        for character in text
    )
