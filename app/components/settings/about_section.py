"""What this program is, what can't be expected of a model like these, and the licences."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import flet as ft

from app.components.basics.identified import identified
from app.components.settings.settings_section import note
from app.views.context import ViewContext
from engine.worker_start import can_start_workers


def about_section(context: ViewContext) -> ft.Control:
    """Version, privacy, limits and licences."""
    t = context.t
    return ft.Column(
        [
            ft.Row(
                [
                    ft.Image("icon.svg", width=40, height=40, exclude_from_semantics=True),
                    ft.Column(
                        [
                            ft.Text(
                                t("settings.version", version=_version()),
                                theme_style=ft.TextThemeStyle.TITLE_MEDIUM,
                            ),
                            note(t("settings.private")),
                        ],
                        spacing=2,
                        expand=True,
                    ),
                ],
                spacing=16,
            ),
            *_check(context),
            ft.Text(t("settings.limits"), theme_style=ft.TextThemeStyle.TITLE_SMALL),
            *(_limit(t(f"settings.limits_{each}")) for each in ("facts", "reasoning", "harmful")),
            ft.Text(t("settings.licences"), theme_style=ft.TextThemeStyle.TITLE_SMALL),
            note(t("settings.licences_text")),
        ],
        spacing=12,
    )


def _check(context: ViewContext) -> list[ft.Control]:
    """Where there are no other processes, as on phones, there is no check."""
    if not can_start_workers():
        return []
    from app.components.settings.self_test_dialog import open_self_test  # not even to be imported there

    button = ft.OutlinedButton(
        context.t("self-test.check"),
        icon=ft.Icons.HEALTH_AND_SAFETY_OUTLINED,
        on_click=context.guard(lambda: open_self_test(context)),
    )
    return [ft.Row([identified(button, "self-test")])]


def _limit(text: str) -> ft.Control:
    return ft.Row(
        [
            ft.Icon(ft.Icons.INFO_OUTLINE, size=18, color=ft.Colors.TERTIARY),
            ft.Text(text, expand=True, theme_style=ft.TextThemeStyle.BODY_MEDIUM),
        ],
        spacing=10,
        vertical_alignment=ft.CrossAxisAlignment.START,
    )


def _version() -> str:
    try:
        return version("chatbelle")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return ""
