"""The type that a checkpoint on a hub is converted to: a plain list, and a table once it was looked at."""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.components.identified import identified
from app.components.look import UNIT, muted_text
from app.components.refresh import refresh
from app.components.type_table import TypeTable
from app.components.type_words import quality_text
from app.i18n import EXPECTED_ERRORS
from app.models.hub_look import HubLook
from app.models.hub_offers import HubOffer
from app.models.type_options import TypeOption, default_type
from app.views.context import ViewContext
from convert.errors import ConvertError
from convert.recipes import AUTO, DEFAULT_TARGET
from engine.models.hub import Repository
from engine.models.machine import Machine
from engine.models.ranges import ReadStopped

_TARGETS = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_k_s", "iq4_xs", "q3_k_m", "f16", AUTO)


class CheckpointTypes(ft.Column):
    """`show` begins to look at an offer; on_change is called when more is known, or another type chosen.

    target: what was chosen. can_start: false once it is known to be impossible. width: of its place.
    """

    def __init__(
        self,
        context: ViewContext,
        repository: Repository,
        machine: Machine,
        on_change: Callable[[], object],
        *,
        width: float,
    ) -> None:
        self._context = context
        self._repository = repository
        self._machine = machine
        self._on_change = on_change
        self._width = width
        self._look: HubLook | None = None
        self._options: tuple[TypeOption, ...] = ()
        self.target = DEFAULT_TARGET
        self.can_start = True
        super().__init__(
            spacing=UNIT, tight=True, horizontal_alignment=ft.CrossAxisAlignment.STRETCH, visible=False
        )

    @property
    def option(self) -> TypeOption | None:
        """The chosen type with its numbers, once they are known."""
        return next((option for option in self._options if option.name == self.target), None)

    def show(self, offer: HubOffer | None) -> None:
        """Offer the types of a checkpoint, None for none; the caller updates."""
        self.stop()
        self._options, self.can_start = (), True
        self.visible = offer is not None
        if offer is None:
            return
        self.target = AUTO if offer.is_quantized else DEFAULT_TARGET
        self.controls = [self._list()]
        if not offer.needs_key:
            self.controls.append(_looking(self._context))
            self._look = HubLook(self._repository, self._context.models.endpoints(), offer.file)
            self._context.run(self._read, self._look)

    def stop(self) -> None:
        """Look no further; harmless when repeated."""
        if self._look is not None:
            self._look.stop()
            self._look = None

    async def _read(self, look: HubLook) -> None:
        controls: list[ft.Control]
        try:
            options = await self._context.in_thread(look.read, self._machine)
        except ReadStopped:
            return
        except EXPECTED_ERRORS as error:
            if look is not self._look:
                return
            self.can_start = not isinstance(error, ConvertError)
            text = self._context.texts.error(error)
            problem = ft.Text(text, color=ft.Colors.ERROR, selectable=True)
            controls = [] if isinstance(error, ConvertError) else [self._list()]
            controls.append(identified(problem, "hub-problem", text))
        else:
            if look is not self._look:
                return
            self._options = options
            self.target = default_type(options)
            controls = [TypeTable(self._context, options, self.target, self._choose, width=self._width)]
        self._look = None
        self.controls = controls
        self._on_change()
        refresh(self)

    def _choose(self, name: str) -> None:
        self.target = name
        self._on_change()

    def _list(self) -> ft.Control:
        """All types, while nothing is known of this checkpoint."""

        def choose(event: ft.Event[ft.Dropdown]) -> None:
            self.target = event.control.value or DEFAULT_TARGET

        return ft.Dropdown(
            label=self._context.t("get.hub.type"),
            value=self.target,
            options=[ft.DropdownOption(name, text=self._label(name)) for name in _TARGETS],
            on_select=self._context.guard(choose),
            expand=True,
        )

    def _label(self, name: str) -> str:
        shown = self._context.t("convert.types.auto") if name == AUTO else name
        quality = quality_text(name, self._context.texts)
        return f"{shown} · {quality}" if quality else shown


def _looking(context: ViewContext) -> ft.Control:
    ring = ft.Semantics(content=ft.ProgressRing(width=14, height=14, stroke_width=2), exclude_semantics=True)
    return ft.Row([ring, muted_text(context.t("get.hub.looking"), expand=True)], spacing=12)
