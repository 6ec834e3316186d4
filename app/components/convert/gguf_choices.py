"""A model that needs no conversion: how it comes to the others, or to a chat if it is among them already."""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.components.basics.refresh import refresh
from app.i18n import window_size
from app.models.conversion import Draft
from app.models.inspection import GgufFacts
from app.views.context import ViewContext
from engine.models.adding import How

_WAYS: tuple[How, ...] = ("copy", "link", "in-place")


class GgufChoices(ft.Column):
    """Writes the way into `draft`; on_start begins. Call `check` after it is shown."""

    def __init__(
        self, context: ViewContext, draft: Draft, facts: GgufFacts, on_start: Callable[[str], object]
    ) -> None:
        self._context = context
        self._draft = draft
        self._facts = facts
        self._on_start = on_start
        super().__init__(spacing=2 * UNIT, tight=True, horizontal_alignment=ft.CrossAxisAlignment.STRETCH)

    async def check(self) -> None:
        """Look whether the model is there already."""
        paths = await self._context.in_thread(self._context.models.library.paths)
        is_known = self._facts.path.absolute() in {path.absolute() for path in paths.values()}
        self.controls = self._known() if is_known else self._ways()
        refresh(self)

    def _known(self) -> list[ft.Control]:
        context, path = self._context, self._facts.path
        chat = ft.FilledButton(
            context.t("job.chat"),
            icon=ft.Icons.CHAT_OUTLINED,
            on_click=context.guard(lambda: context.use_model(path)),
        )
        return [ft.Text(context.t("convert.gguf_known")), ft.Row([identified(chat, "convert-chat")])]

    def _ways(self) -> list[ft.Control]:
        t = self._context.t
        size = window_size(self._facts.size_bytes)

        def choose(event: ft.Event[ft.RadioGroup]) -> None:
            chosen = str(event.control.value)
            self._draft.how = next(way for way in _WAYS if way == chosen)

        radios: list[ft.Control] = []
        for way in _WAYS:
            radio = ft.Radio(value=way, label=t(f"convert.how.{way}"))
            radios.append(identified(radio, f"how-{way}"))
            note = muted_text(t(f"convert.how.{way}_note", size=size))
            radios.append(ft.Container(note, padding=ft.Padding.only(left=5 * UNIT)))
        group = ft.RadioGroup(
            ft.Column(radios, spacing=0, tight=True),
            value=self._draft.how,
            on_change=self._context.guard(choose),
        )
        start = ft.FilledButton(
            t("convert.add"),
            icon=ft.Icons.ADD,
            on_click=self._context.guard(lambda: self._on_start("")),
        )
        return [group, ft.Row([identified(start, "convert-start")])]
