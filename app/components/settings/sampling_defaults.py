"""Sliders for how answers are chosen when neither persona nor conversation says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import flet as ft

from app.components.settings.settings_section import note
from app.views.context import ViewContext
from engine.types import Sampling


@dataclass(frozen=True, slots=True)
class Knob:
    """One value of `Sampling`: its field, range and number of steps."""

    field: str
    lowest: float
    highest: float
    steps: int
    is_whole: bool = False

    def read(self, value: float) -> float:
        """The field's value for a slider's position."""
        return round(value) if self.is_whole else round(value, 2)


KNOBS = (
    Knob("temperature", 0, 2, 40),
    Knob("top_p", 0.05, 1, 19),
    Knob("top_k", 0, 100, 20, is_whole=True),
    Knob("repetition_penalty", 1, 2, 20),
    Knob("max_tokens", 64, 2048, 31, is_whole=True),
)


class SamplingKnobs(ft.Column):
    """The sliders. on_change is given the whole value when a slider is let go."""

    def __init__(
        self, context: ViewContext, sampling: Sampling, on_change: Callable[[Sampling], None]
    ) -> None:
        self._context = context
        self._on_change = on_change
        self.sampling = sampling
        super().__init__(controls=[self._knob(each) for each in KNOBS], spacing=16)

    def show(self, sampling: Sampling) -> None:
        """Show other values; the caller updates."""
        self.sampling = sampling
        self.controls = [self._knob(each) for each in KNOBS]

    def _knob(self, knob: Knob) -> ft.Control:
        value = getattr(self.sampling, knob.field)
        number = ft.Text(_text(value), theme_style=ft.TextThemeStyle.LABEL_LARGE)
        label = self._context.t(f"settings.{knob.field}")

        def move(event: ft.Event[ft.Slider]) -> None:
            number.value = _text(knob.read(event.control.value or 0))
            number.update()

        def let_go(event: ft.Event[ft.Slider]) -> None:
            self.sampling = replace(
                self.sampling,
                **{knob.field: knob.read(event.control.value or 0)},  # type: ignore[arg-type]
            )
            self._on_change(self.sampling)

        slider = ft.Slider(
            value=min(max(value, knob.lowest), knob.highest),
            min=knob.lowest,
            max=knob.highest,
            divisions=knob.steps,
            padding=ft.Padding.symmetric(vertical=4),
            on_change=self._context.guard(move),
            on_change_end=self._context.guard(let_go),
        )
        return ft.Column(
            [
                ft.Row([ft.Text(label, expand=True), number]),
                ft.Semantics(content=slider, label=label),
                note(self._context.t(f"settings.{knob.field}_help")),
            ],
            spacing=0,
        )


def _text(value: float) -> str:
    return f"{value:g}"
