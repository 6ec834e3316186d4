"""Colours, fonts and text sizes: Material 3 from one seed colour, in light and dark.

The size of text is the theme's business alone: a scale set by the person multiplies every style's size.
"""

from __future__ import annotations

import flet as ft

from app.components.basics.look import MONOSPACE
from app.settings import Settings

SEED = "#1F6F6B"
# In assets/web/assets/FontManifest.json, so that it is there before the first frame: the web client has no
# system fonts, and without this one Chinese is boxes.
WEB_FONT = "CJK"
CODE_FONT_FILE = "fonts/SourceCodePro-Regular.ttf"

# Material 3's type scale: https://m3.material.io/styles/typography/type-scale-tokens
_SIZES = {
    "display_large": 57,
    "display_medium": 45,
    "display_small": 36,
    "headline_large": 32,
    "headline_medium": 28,
    "headline_small": 24,
    "title_large": 22,
    "title_medium": 16,
    "title_small": 14,
    "body_large": 16,
    "body_medium": 14,
    "body_small": 12,
    "label_large": 14,
    "label_medium": 12,
    "label_small": 11,
}
# "On surface" of the seed's colours in both modes.
_ON_LIGHT, _ON_DARK = "#161D1C", "#DDE4E2"
_MODES = {
    "system": ft.ThemeMode.SYSTEM,
    "light": ft.ThemeMode.LIGHT,
    "dark": ft.ThemeMode.DARK,
}


def apply_theme(page: ft.Page, settings: Settings) -> None:
    """Set the page's theme from the settings; the caller updates the page."""
    page.fonts = {MONOSPACE: CODE_FONT_FILE}
    family = WEB_FONT if page.web else None
    page.theme = make_theme(settings.font_scale, family, _ON_LIGHT)
    page.dark_theme = make_theme(settings.font_scale, family, _ON_DARK)
    page.theme_mode = _MODES[settings.theme]


def make_theme(font_scale: float, font_family: str | None, text_color: str) -> ft.Theme:
    """The theme of one mode; text_color is that mode's text on a surface."""
    # A style without family and colour would have the client's, not those of the theme.
    styles = {
        name: ft.TextStyle(size=size * font_scale, font_family=font_family, color=text_color)
        for name, size in _SIZES.items()
    }
    return ft.Theme(
        color_scheme_seed=SEED,
        font_family=font_family,
        text_theme=ft.TextTheme(**styles),
        scrollbar_theme=ft.ScrollbarTheme(thickness=8, radius=4),
        snackbar_theme=ft.SnackBarTheme(behavior=ft.SnackBarBehavior.FLOATING),
    )
