"""Sliders for how answers are chosen: each shows where its value comes from, and goes back to that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.refresh import refresh
from app.components.settings.settings_section import note
from app.i18n import Texts
from app.views.context import ViewContext
from engine.partial_sampling import NO_LIMIT, NOTHING, PartialSampling, ResolvedSampling, Source


@dataclass(frozen=True, slots=True)
class Knob:
    """One value of `Sampling`: its field, range and number of steps.

    has_none: the last step means that there is no limit.
    """

    field: str
    lowest: float
    highest: float
    steps: int
    is_whole: bool = False
    has_none: bool = False

    def read(self, position: float) -> float:
        """The field's value for a slider's position."""
        if self.has_none and position >= self.highest:
            return NO_LIMIT
        return round(position) if self.is_whole else round(position, 2)

    def position(self, value: float | None) -> float:
        """Where the slider stands for a value; None and NO_LIMIT are no limit."""
        if self.has_none and value in (None, NO_LIMIT):
            return self.highest
        top = self.highest - (self.highest - self.lowest) / self.steps if self.has_none else self.highest
        return min(max(value or 0, self.lowest), top)


KNOBS = (
    Knob("temperature", 0, 2, 40),
    Knob("top_k", 0, 100, 100, is_whole=True),
    Knob("top_p", 0.05, 1, 19),
    Knob("min_p", 0, 0.5, 50),
    Knob("repetition_penalty", 1, 2, 20),
    Knob("presence_penalty", 0, 2, 20),
    Knob("frequency_penalty", 0, 2, 20),
    Knob("max_tokens", 128, 4224, 32, is_whole=True, has_none=True),
)


class SamplingKnobs(ft.Column):
    """The sliders of one place that may set values.

    chosen: what this place sets. below: the values where it sets none, and where those come from. place: what
    this place is itself. on_change is given what it sets, when a slider is let go or goes back.
    """

    def __init__(
        self,
        context: ViewContext,
        chosen: PartialSampling,
        below: ResolvedSampling,
        place: Source,
        on_change: Callable[[PartialSampling], None],
    ) -> None:
        self._on_change = on_change
        self.chosen = chosen
        self._knobs = [_KnobRow(context, knob, below, place, self._set) for knob in KNOBS]
        super().__init__(controls=list[ft.Control](self._knobs), spacing=12)
        self._show()

    def reset(self) -> None:
        """Set nothing any more, without a slider neither; the caller updates."""
        self.chosen = NOTHING
        self._show()
        self._on_change(self.chosen)

    def _show(self) -> None:
        for row in self._knobs:
            row.show(getattr(self.chosen, row.field))

    def _set(self, field: str, value: float | None) -> None:
        self.chosen = replace(self.chosen, **{field: value})  # type: ignore[arg-type]
        self._on_change(self.chosen)


class _KnobRow(ft.Column):
    """One slider with its name, value, origin and the way back."""

    def __init__(
        self,
        context: ViewContext,
        knob: Knob,
        below: ResolvedSampling,
        place: Source,
        on_change: Callable[[str, float | None], None],
    ) -> None:
        self.field = knob.field
        self._texts = context.texts
        self._knob = knob
        self._below: float | None = getattr(below.sampling, knob.field)
        self._sources = (place, below.sources[knob.field])
        self._on_change = on_change
        self._number = ft.Text(theme_style=ft.TextThemeStyle.LABEL_LARGE)
        label = context.t(f"settings.{knob.field}")
        origin = context.t(f"sampling.source.{self._sources[1]}")
        tooltip = context.t("sampling.go_back", value=value_text(self._below, self._texts), source=origin)
        button = ft.IconButton(
            ft.Icons.UNDO, icon_size=16, tooltip=tooltip, on_click=context.guard(self._go_back)
        )
        self._reset = identified(button, f"reset-{knob.field}", tooltip)
        self._note = note("")
        self._slider = ft.Slider(
            min=knob.lowest,
            max=knob.highest,
            divisions=knob.steps,
            padding=ft.Padding.symmetric(vertical=4),
            on_change=context.guard(self._move),
            on_change_end=context.guard(self._let_go),
        )
        super().__init__(
            [
                ft.Row(
                    [
                        ft.Text(label, expand=True),
                        self._number,
                        self._reset,
                    ],
                    height=32,
                ),
                ft.Semantics(content=self._slider, label=label),
                self._note,
            ],
            spacing=0,
        )

    def show(self, chosen: float | None) -> None:
        """Show a value that was chosen here, or for None the one below; the caller updates."""
        value = self._below if chosen is None else chosen
        self._number.value = value_text(value, self._texts)
        self._slider.value = self._knob.position(value)
        self._reset.visible = chosen is not None
        source = self._sources[0 if chosen is not None else 1]
        origin = self._texts.text(f"sampling.source.{source}")
        self._note.value = f"{origin} · {self._texts.text(f'settings.{self.field}_help')}"

    def _move(self, event: ft.Event[ft.Slider]) -> None:
        self._number.value = value_text(self._knob.read(event.control.value or 0), self._texts)
        refresh(self._number)

    def _let_go(self, event: ft.Event[ft.Slider]) -> None:
        self._choose(self._knob.read(event.control.value or 0))

    def _go_back(self) -> None:
        self._choose(None)

    def _choose(self, value: float | None) -> None:
        self.show(value)
        refresh(self)
        self._on_change(self.field, value)


def value_text(value: float | None, texts: Texts) -> str:
    """A value as it is shown; what has no limit says so."""
    return texts.text("sampling.no_limit") if value is None or value == NO_LIMIT else f"{value:g}"
