"""A conversation's own settings: its system text and how the next word is chosen, each knob explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.components.basics.refresh import refresh
from app.components.settings.sampling_knobs import SamplingKnobs
from app.views.context import ViewContext
from engine.partial_sampling import NOTHING, PartialSampling, ResolvedSampling, Source

_WIDTH = 520


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What a conversation sets for itself; None leaves it to its persona and its model."""

    system: str | None
    sampling: PartialSampling | None


def adjusted(system: str, sampling: PartialSampling, persona_system: str) -> Adjustment:
    """What of these values says something that the persona and the model don't."""
    return Adjustment(None if system == persona_system else system, None if sampling == NOTHING else sampling)


def open_sampling_sheet(
    context: ViewContext,
    *,
    current: Adjustment,
    persona_system: str,
    below: ResolvedSampling,
    on_save: Callable[[Adjustment], object],
) -> None:
    """Show the settings; `on_save` is given what the conversation sets, when the person says so.

    below: the values where it sets none.
    """
    t = context.t
    system = ft.TextField(
        value=persona_system if current.system is None else current.system,
        label=t("chat.sampling.system_name"),
        hint_text=t("chat.sampling.system_hint"),
        multiline=True,
        min_lines=2,
        max_lines=8,
    )
    knobs = SamplingKnobs(
        context, current.sampling or NOTHING, below, Source.CONVERSATION, lambda _sampling: None
    )

    def save() -> None:
        context.close_dialog(dialog)
        on_save(adjusted(system.value or "", knobs.chosen, persona_system))

    def reset() -> None:
        system.value = persona_system
        refresh(system)
        knobs.reset()
        refresh(knobs)

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
