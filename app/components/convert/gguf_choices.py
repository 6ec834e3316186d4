"""A model that needs no conversion: how it comes to the others, or to a chat if it is among them already."""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT
from app.components.basics.refresh import refresh
from app.components.models.adding_ways import AddingWays
from app.models.conversion import Draft
from app.models.import_look import look_at_import
from app.models.inspection import GgufFacts
from app.views.context import ViewContext
from engine.models.adding import How


class GgufChoices(ft.Column):
    """Writes the way into `draft`; on_start begins. Call `check` after it is shown."""

    def __init__(
        self, context: ViewContext, draft: Draft, facts: GgufFacts, on_start: Callable[[str], object]
    ) -> None:
        self._context = context
        self._draft = draft
        self._facts = facts
        self._ways = AddingWays(context, draft.how, self._choose)
        self._start = ft.FilledButton(
            context.t("convert.add"), icon=ft.Icons.ADD, on_click=context.guard(lambda: on_start(""))
        )
        super().__init__(spacing=2 * UNIT, tight=True, horizontal_alignment=ft.CrossAxisAlignment.STRETCH)

    async def check(self) -> None:
        """Look whether the model is there already, and how it can come there."""
        look = await self._context.in_thread(look_at_import, self._facts.path, self._context.models.library)
        if look.is_known:
            self.controls = self._known()
        else:
            self._ways.show(look)
            self.controls = [self._ways, ft.Row([identified(self._start, "convert-start")])]
        refresh(self)

    def _known(self) -> list[ft.Control]:
        context, path = self._context, self._facts.path
        chat = ft.FilledButton(
            context.t("job.chat"),
            icon=ft.Icons.CHAT_OUTLINED,
            on_click=context.guard(lambda: context.use_model(path)),
        )
        return [ft.Text(context.t("library.import.known")), ft.Row([identified(chat, "convert-chat")])]

    def _choose(self, how: How) -> None:
        self._draft.how = how
