"""Import a model from this disk: name it, and say how a GGUF is taken over; everything else is converted."""

from __future__ import annotations

from pathlib import Path

import flet as ft

from app.components.basics.dialogs import cancel_button
from app.components.basics.identified import identified
from app.components.basics.look import DIALOG_INSET, UNIT, muted_text
from app.components.basics.path_field import PathField
from app.components.basics.refresh import refresh
from app.components.models.adding_ways import AddingWays
from app.kit.errors import KitError
from app.models.import_look import ImportLook, look_at_import
from app.models.importing import ImportWish
from app.views.context import ViewContext
from engine.errors import EngineError

_WIDTH = 460


def ask_import(context: ViewContext) -> None:
    """Open the dialog."""
    context.open_dialog(_ImportDialog(context))


class _ImportDialog(ft.AlertDialog):
    def __init__(self, context: ViewContext) -> None:
        self._context = context
        self._look: ImportLook | None = None
        t = context.t
        self._path = PathField(
            context,
            t("library.import.path"),
            "import-path",
            kind="file",
            on_change=self._changed,
            on_submit=self._accept,
        )
        self._note = muted_text(t("library.import.note"))
        self._problem = identified(
            ft.Text("", theme_style=ft.TextThemeStyle.BODY_SMALL, color=ft.Colors.ERROR),
            "import-problem",
            "",
            exclude_semantics=True,
            live_region=True,
            visible=False,
        )
        self._ways = AddingWays(context, "link" if context.is_phone else "copy")
        self._ways.visible = False
        self._button = ft.FilledButton(t("library.import.next"), on_click=context.guard(self._accept))
        super().__init__(
            title=ft.Text(t("library.import.title")),
            scrollable=True,
            inset_padding=DIALOG_INSET,
            content=ft.Container(
                ft.Column(
                    [self._path, self._note, self._problem, self._ways],
                    tight=True,
                    spacing=2 * UNIT,
                    horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
                ),
                width=_WIDTH,
            ),
            actions=[
                cancel_button(context, lambda: context.close_dialog(self)),
                identified(self._button, "import-start"),
            ],
        )

    async def _changed(self) -> None:
        """Look at what is there, and show the ways where it is a GGUF, or why it can't be one's model."""
        path = self._path.path
        look = await self._look_at(path) if path is not None else None
        if path != self._path.path:
            return  # typed on meanwhile
        if look != self._look:
            self._look = look
            self._show()

    def _show(self) -> None:
        t, look = self._context.t, self._look
        problem = look.problem if look is not None else None
        is_gguf = look is not None and look.is_gguf and problem is None
        self._show_problem(problem)
        self._note.value = t("library.import.note")
        if look is not None and look.exists:
            self._note.value = (
                t("library.import.gguf", size=look.size_bytes)
                if look.is_gguf
                else t("library.import.convert")
            )
        self._ways.visible = is_gguf and not self._context.is_phone
        if look is not None and is_gguf:
            self._ways.show(look)
        self._button.disabled = problem is not None
        self._button.content = t("library.import.start" if is_gguf else "library.import.next")
        refresh(self)

    def _show_problem(self, problem: EngineError | KitError | None) -> None:
        text, sentence = self._problem.content, ""
        if problem is not None:
            sentence = self._context.texts.error(problem)
        assert isinstance(text, ft.Text)
        text.value = self._problem.label = sentence
        self._problem.visible = problem is not None
        self._note.visible = problem is None

    async def _accept(self) -> None:
        context, path = self._context, self._path.path
        if path is None:
            self._path.show_error(context.t("library.path.empty"))
            return
        look = await self._look_at(path)
        if not look.exists:
            self._path.show_error(context.t("library.path.missing", path=str(path)))
        elif not look.is_gguf:
            context.close_dialog(self)
            context.open_convert(look.path)
        elif look.problem is not None:
            self._look = look
            self._show()
        elif look.is_known:
            self._path.show_error(context.t("library.import.known"))
        elif look != self._look:
            self._look = look
            self._show()  # chosen so quickly that the ways were not shown yet
        else:
            await context.in_thread(context.models.import_path, ImportWish(look.path, self._ways.way))
            context.close_dialog(self)
            context.open_models("local")

    async def _look_at(self, path: Path) -> ImportLook:
        return await self._context.in_thread(look_at_import, path, self._context.models.library)
