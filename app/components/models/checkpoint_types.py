"""The type that a checkpoint on a hub is converted to: a plain list, and a table once it was looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text, selectable
from app.components.basics.refresh import refresh
from app.components.convert.need_card import NeedCard
from app.components.models.type_table import TypeTable
from app.components.models.type_words import quality_text
from app.components.work.job_text import error_text
from app.i18n import EXPECTED_ERRORS, ExpectedError
from app.models.hub_look import HubLook
from app.models.hub_offers import HubOffer
from app.models.inspection import Need
from app.models.type_options import TypeOption, default_type
from app.views.context import ViewContext
from convert.errors import ConvertError, TokenizerError
from convert.recipes import AUTO, DEFAULT_TARGET
from engine.models.hub import Repository
from engine.models.machine import Machine
from engine.models.ranges import ReadStopped

_TARGETS = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_k_s", "iq4_xs", "q3_k_m", "f16", AUTO)


class CheckpointTypes(ft.Column):
    """`show` begins to look at an offer; on_change is called when more is known, or another type chosen.

    target, tokenizer: what was chosen. can_start: false once that is known to be impossible.
    width: of its place.
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
        self._n_looks = 0
        self._is_chosen = False
        self._options: tuple[TypeOption, ...] = ()
        self._offer: HubOffer | None = None
        self._need: NeedCard | None = None
        self.target = DEFAULT_TARGET
        self.tokenizer: Path | None = None
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
        self._offer, self._options, self.can_start = offer, (), True
        self.tokenizer, self._need, self._is_chosen = None, None, False
        self.visible = offer is not None
        if offer is not None:
            self.target = AUTO if offer.is_quantized else DEFAULT_TARGET
            self._begin(offer)

    def stop(self) -> None:
        """Look no further; harmless when repeated."""
        self._n_looks += 1
        if self._look is not None:
            self._look.stop()
            self._look = None

    def _begin(self, offer: HubOffer) -> None:
        """Show what can be chosen already, and look for the rest; what is encrypted can't be looked at."""
        self.controls = [*self._needs(), self._list()]
        if not offer.needs_key:
            self.controls.append(_looking(self._context))
            self._n_looks += 1
            self._context.run(self._read, offer, self._n_looks)

    async def _read(self, offer: HubOffer, n_looks: int) -> None:
        options: tuple[TypeOption, ...] = ()
        problem: ExpectedError | None = None
        endpoints = await self._context.in_thread(self._context.models.endpoints)
        if n_looks != self._n_looks:
            return
        look = HubLook(self._repository, endpoints, offer.file, self.tokenizer, offer.subfolder)
        self._look = look
        try:
            options = await self._context.in_thread(look.read, self._machine)
        except ReadStopped:
            return
        except EXPECTED_ERRORS as error:
            problem = error
        if look is not self._look:
            return
        self._look = None
        self._options = options
        self.can_start = not isinstance(problem, ConvertError)
        if problem is not None:
            self._show_problem(problem)
        else:
            if not self._is_chosen or self.option is None:  # else a person was quicker than the hub
                self.target = default_type(options)
            table = TypeTable(self._context, options, self.target, self._choose, width=self._width)
            if self._need is not None:
                self._need.show(Need("tokenizer"))
            self.controls = [*self._needs(), table]
        self._on_change()
        refresh(self)

    def _show_problem(self, error: ExpectedError) -> None:
        """A tokenizer can be given; anything else only be told, what the network did without consequences."""
        if isinstance(error, TokenizerError):
            need = Need("tokenizer", error, problem=error if self.tokenizer is not None else None)
            if self._need is None:
                self._need = NeedCard(
                    self._context,
                    need,
                    None,
                    on_path=self._take_tokenizer,
                    on_choice=lambda name: None,
                    on_again=lambda: None,
                )
            self._need.show(need)
            self.controls = list(self._needs())
            return
        text = error_text(error, self._context.texts)
        said = selectable(ft.Text(text, color=ft.Colors.ERROR))
        rest = [] if isinstance(error, ConvertError) else [self._list()]
        self.controls = [*self._needs(), *rest, identified(said, "hub-problem")]

    def _take_tokenizer(self, path: Path | None) -> None:
        self.tokenizer = path
        if self._offer is not None:
            self.stop()
            self._begin(self._offer)
            refresh(self)

    def _needs(self) -> tuple[ft.Control, ...]:
        return (self._need,) if self._need is not None else ()

    def _choose(self, name: str) -> None:
        self.target, self._is_chosen = name, True
        self._on_change()

    def _list(self) -> ft.Control:
        """All types, while nothing is known of this checkpoint."""

        def choose(event: ft.Event[ft.Dropdown]) -> None:
            self._choose(event.control.value or DEFAULT_TARGET)

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
