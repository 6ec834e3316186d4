"""What a person does with a model on this disk: show its file, check it, forget it, remove it.

A model that answers now is let go before its file is; one that is just being loaded, or at work, is refused
with a sentence. Knows no list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import flet as ft

from app.components.basics.dialogs import ask_confirmation
from app.components.models.local_model_details import show_details
from app.components.models.local_row import RowAction
from app.components.models.prompt_format_dialog import choose_prompt_format
from app.models.in_use import chosen_model, is_in_use, refusal
from app.models.local_shelf import ShelfRow
from app.reveal import reveal
from app.views.context import ViewContext
from engine.models.errors import ModelChanged
from engine.models.listing import LocalModel

_LET_GO_S = 60.0
_LOOK_S = 0.1


class LocalActions:
    """One per screen. on_changed: what the list says of a model is different now."""

    def __init__(self, context: ViewContext, on_changed: Callable[[], object]) -> None:
        self._context = context
        self._on_changed = on_changed

    def of(self, row: ShelfRow, moved_from: Path | None) -> Sequence[RowAction]:
        """What the menu of a row offers."""
        context, model = self._context, row.model
        entries = [
            RowAction(
                "library.action.details",
                ft.Icons.INFO_OUTLINE,
                lambda: show_details(context, row, moved_from),
            )
        ]
        platform = context.page.platform
        if platform is None or not platform.is_mobile():
            entries.append(
                RowAction(
                    "library.action.reveal", ft.Icons.FOLDER_OPEN_OUTLINED, lambda: self.reveal(model.path)
                )
            )
        if model.problem is None or isinstance(model.problem, ModelChanged):  # it may be whole again
            entries.append(
                RowAction("library.action.verify", ft.Icons.VERIFIED_OUTLINED, lambda: self._verify(model))
            )
        if model.problem is None:
            entries.append(
                RowAction(
                    "library.action.prompt_format",
                    ft.Icons.FORUM_OUTLINED,
                    lambda: choose_prompt_format(context, row, self._on_changed),
                )
            )
        if row.is_in_place:
            entries.append(
                RowAction("library.action.forget", ft.Icons.PLAYLIST_REMOVE, lambda: self.forget(model.path))
            )
        entries.append(
            RowAction("library.action.remove", ft.Icons.DELETE_OUTLINE, lambda: self._ask_remove(model))
        )
        return entries

    async def reveal(self, path: Path) -> None:
        """Show a file in the system's file manager; where there is none, copy its path."""
        if not await self._context.in_thread(reveal, path):
            await ft.Clipboard().set(str(path))
            self._context.notify(self._context.t("library.not_revealed", path=str(path)))

    async def forget(self, path: Path) -> None:
        """Take a model off the list; its file stays, if there is one."""
        await self._context.in_thread(self._context.models.forget, path)

    async def _verify(self, model: LocalModel) -> None:
        await self._context.in_thread(self._context.models.verify, model.path)

    def _ask_remove(self, model: LocalModel) -> None:
        if self._context.is_phone:  # it has no trash
            self._ask_delete(model)
            return
        t = self._context.t
        kind = "cached" if model.place == "hf-cache" else "split" if len(model.parts) > 1 else "file"
        text = t(
            f"library.remove.{kind}", path=str(model.path), n=len(model.parts), size_bytes=model.size_bytes
        )
        if model.place == "in-place":
            forget = t("library.action.forget")
            text = f"{text}\n\n{t('library.remove.in_place', forget=forget)}"
        self._confirm(model, "title", text, "action", to_trash=True)

    def _ask_delete(self, model: LocalModel) -> None:
        t = self._context.t
        text = t("library.remove.no_trash", path=str(model.path), size_bytes=model.size_bytes)
        self._confirm(model, "title_delete", text, "delete", to_trash=False)

    def _confirm(self, model: LocalModel, title: str, text: str, action: str, *, to_trash: bool) -> None:
        t = self._context.t
        if is_in_use(self._context.service.state, model.parts):
            text = f"{text}\n\n{t('library.remove.in_use')}"
        ask_confirmation(
            self._context,
            t(f"library.remove.{title}", name=model.name),
            text,
            t(f"library.remove.{action}"),
            lambda: self._remove(model, to_trash=to_trash),
        )

    async def _remove(self, model: LocalModel, *, to_trash: bool) -> None:
        context, t = self._context, self._context.t
        if not await self._let_go(model):
            return
        outcome = await context.in_thread(context.models.remove, model, to_trash=to_trash)
        if outcome == "kept":
            self._ask_delete(model)
        else:
            context.notify(t(f"library.removed.{outcome}", name=model.name, size_bytes=model.size_bytes))

    async def _let_go(self, model: LocalModel) -> bool:
        """Have the demo take over where this model is loaded; false, and said, where that can't be now."""
        context, service = self._context, self._context.service
        reason = refusal(service.state, model.parts)
        if reason is not None:
            context.notify(context.t(f"library.remove.{reason}", name=model.name))
            return False
        chosen = await context.in_thread(chosen_model, service)
        if chosen.path not in model.parts:
            return True
        if not is_in_use(service.state, model.parts):  # only meant to be loaded for the next question
            await context.in_thread(context.settings.update, default_model=None)
            return True
        await context.in_thread(service.choose_file, None)
        waited_s = 0.0
        while is_in_use(service.state, model.parts) or service.state.phase == "loading":
            if waited_s >= _LET_GO_S:
                context.notify(context.t("library.remove.answering", name=model.name))
                return False
            await asyncio.sleep(_LOOK_S)
            waited_s += _LOOK_S
        return True
