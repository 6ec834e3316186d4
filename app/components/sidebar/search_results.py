"""What a search found: titles, messages and thoughts with the words marked; a click opens the place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import flet as ft

from app.history.records import SearchHit
from app.views.context import ViewContext

_ASIDE = ft.TextStyle(color=ft.Colors.ON_SURFACE_VARIANT, italic=True)


class SearchResults(ft.ListView):
    """The hits of one query, newest first."""

    def __init__(self, context: ViewContext, on_open: Callable[[SearchHit], None]) -> None:
        super().__init__(expand=True, spacing=4, padding=ft.Padding.symmetric(horizontal=8), visible=False)
        self._context = context
        self._on_open = on_open
        self.hits: tuple[SearchHit, ...] = ()

    def show(self, hits: Sequence[SearchHit]) -> None:
        """Show these hits; the caller updates."""
        self.hits = tuple(hits)
        if hits:
            self.controls = [self._tile(hit) for hit in hits]
        else:
            self.controls = [_notice(self._context.t("sidebar.nothing_found"))]

    def _tile(self, hit: SearchHit) -> ft.Control:
        title = hit.title or self._context.t("sidebar.untitled")
        moment = datetime.fromtimestamp(hit.moment / 1000).strftime("%Y-%m-%d")
        lines: list[ft.Control] = []
        if hit.message_id is not None:
            lines.append(
                ft.Row(
                    [
                        ft.Text(
                            title,
                            max_lines=1,
                            overflow=ft.TextOverflow.ELLIPSIS,
                            theme_style=ft.TextThemeStyle.LABEL_MEDIUM,
                            color=ft.Colors.ON_SURFACE_VARIANT,
                            expand=True,
                        ),
                        ft.Text(
                            moment,
                            theme_style=ft.TextThemeStyle.LABEL_SMALL,
                            color=ft.Colors.ON_SURFACE_VARIANT,
                        ),
                    ],
                    spacing=8,
                )
            )
        thought = self._context.t("sidebar.in_thought")
        lines.append(
            ft.Text(
                spans=[*([ft.TextSpan(f"{thought} ", _ASIDE)] if hit.in_thought else []), *highlighted(hit)],
                max_lines=3,
                overflow=ft.TextOverflow.ELLIPSIS,
                theme_style=ft.TextThemeStyle.BODY_MEDIUM,
            )
        )
        return ft.Container(
            ft.Column(lines, spacing=2, tight=True),
            padding=ft.Padding.symmetric(horizontal=12, vertical=8),
            border_radius=10,
            ink=True,
            on_click=self._context.guard(lambda: self._on_open(hit)),
        )


def highlighted(hit: SearchHit) -> list[ft.TextSpan]:
    """The snippet in pieces, the found words marked by weight and colour."""
    marked = ft.TextStyle(
        weight=ft.FontWeight.BOLD,
        bgcolor=ft.Colors.TERTIARY_CONTAINER,
        color=ft.Colors.ON_TERTIARY_CONTAINER,
    )
    spans: list[ft.TextSpan] = []
    end = 0
    for start, stop in hit.highlights:
        if start > end:
            spans.append(ft.TextSpan(hit.snippet[end:start]))
        spans.append(ft.TextSpan(hit.snippet[start:stop], marked))
        end = stop
    if end < len(hit.snippet):
        spans.append(ft.TextSpan(hit.snippet[end:]))
    return spans


def _notice(text: str) -> ft.Control:
    return ft.Container(
        ft.Text(text, color=ft.Colors.ON_SURFACE_VARIANT, text_align=ft.TextAlign.CENTER),
        padding=24,
        alignment=ft.Alignment.CENTER,
    )
