"""A conversation's own settings: its system text and how the next word is chosen, each knob explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.components.settings.sampling_defaults import SamplingKnobs
from app.views.context import ViewContext
from engine.types import Sampling

_WIDTH = 520


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What a conversation sets for itself; None leaves it to its persona."""

    system: str | None
    sampling: Sampling | None


def adjusted(system: str, sampling: Sampling, persona_system: str, persona_sampling: Sampling) -> Adjustment:
    """What of these values differs from the persona's."""
    return Adjustment(
        None if system == persona_system else system, None if sampling == persona_sampling else sampling
    )


def open_sampling_sheet(
    context: ViewContext,
    *,
    current: Adjustment,
    persona_system: str,
    persona_sampling: Sampling,
    on_save: Callable[[Adjustment], object],
) -> None:
    """Show the settings; `on_save` is given what differs from the persona, when the person says so."""
    t = context.t
    system = ft.TextField(
        value=persona_system if current.system is None else current.system,
        label=t("chat.sampling.system_name"),
        hint_text=t("chat.sampling.system_hint"),
        multiline=True,
        min_lines=2,
        max_lines=8,
    )
    knobs = SamplingKnobs(context, current.sampling or persona_sampling, lambda _sampling: None)

    def save() -> None:
        context.close_dialog(dialog)
        on_save(adjusted(system.value or "", knobs.sampling, persona_system, persona_sampling))

    def reset() -> None:
        system.value = persona_system
        system.update()
        knobs.show(persona_sampling)
        knobs.update()

    dialog = ft.AlertDialog(
        title=ft.Text(t("chat.sampling.title")),
        scrollable=True,
        content=ft.Container(
            ft.Column(
                [
                    muted_text(t("chat.sampling.about")),
                    identified(system, "system-text"),
                    muted_text(t("chat.sampling.system_help")),
                    knobs,
                ],
                tight=True,
                spacing=2 * UNIT,
                horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
            ),
            width=_WIDTH,
        ),
        actions=[
            identified(
                ft.TextButton(t("chat.sampling.reset"), on_click=context.guard(reset)), "sampling-reset"
            ),
            ft.TextButton(t("gui.cancel"), on_click=context.guard(lambda: context.close_dialog(dialog))),
            identified(ft.FilledButton(t("gui.save"), on_click=context.guard(save)), "sampling-save"),
        ],
    )
    context.open_dialog(dialog)
