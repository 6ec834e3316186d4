"""Asking the hub what is in a repository, before a person chooses: in sight, and given up with its dialog."""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.components.basics.dialogs import cancel_button
from app.components.basics.identified import identified
from app.components.basics.look import DIALOG_INSET, UNIT, selectable
from app.components.basics.refresh import refresh
from app.components.models.get_dialog import dialog_title, dialog_width
from app.components.models.hub_dialog import HubDialog
from app.i18n import EXPECTED_ERRORS, ExpectedError
from app.models.asking import ask
from app.models.hub_offers import repository_offers
from app.models.next_machine import machine_for_next
from app.views.context import ViewContext
from engine.models.fetch_errors import Offline


class HubQuestion:
    """One per screen. Asks nothing else while its dialog is open, nor while that of the answer is."""

    def __init__(self, context: ViewContext) -> None:
        self._context = context
        self._dialog: ft.AlertDialog | None = None

    def ask(self, repo: str) -> None:
        """Ask the hub what `repo` has, and the person which of it to get."""
        if self._dialog is not None and self._dialog.open:
            return
        waiting = _Waiting(self._context, repo, on_again=lambda: self._ask(waiting, repo))
        self._open(waiting)
        self._ask(waiting, repo)

    def _ask(self, waiting: _Waiting, repo: str) -> None:
        waiting.show_waiting()
        self._context.run(self._answer, waiting, repo)

    async def _answer(self, waiting: _Waiting, repo: str) -> None:
        context, models = self._context, self._context.models
        try:
            repository = await context.in_thread(
                ask, lambda: models.repository(repo), lambda: not waiting.open
            )
        except EXPECTED_ERRORS as error:
            waiting.show_error(error)  # nobody sees it once the dialog is closed
            return
        if repository is None:
            return
        free_bytes = await context.in_thread(models.library.free_bytes)
        machine = await context.in_thread(machine_for_next, models, context.service.state)
        local = (await context.in_thread(models.listing)).models
        if waiting.open:
            context.close_dialog(waiting)
            offers = repository_offers(repository)
            self._open(HubDialog(context, repository, offers, free_bytes, machine, local))

    def _open(self, dialog: ft.AlertDialog) -> None:
        self._dialog = dialog
        self._context.open_dialog(dialog)


class _Waiting(ft.AlertDialog):
    """Says that the hub is being asked, or why it did not answer; closing it gives the question up."""

    def __init__(self, context: ViewContext, repo: str, on_again: Callable[[], object]) -> None:
        self._context = context
        t = context.t
        ring = ft.Semantics(
            content=ft.ProgressRing(width=18, height=18, stroke_width=2), exclude_semantics=True
        )
        asking = ft.Row([ring, ft.Text(t("get.hub.asking"), expand=True)], spacing=2 * UNIT)
        self._asking = identified(asking, "hub-asking")
        self._error = ft.Text(color=ft.Colors.ERROR)
        self._error_box = identified(selectable(self._error), "hub-no-answer", visible=False)
        self._close = cancel_button(context, lambda: context.close_dialog(self))
        self._again = identified(
            ft.FilledTonalButton(t("jobs.again"), icon=ft.Icons.REFRESH, on_click=context.guard(on_again)),
            "hub-ask-again",
            visible=False,
        )
        super().__init__(
            title=dialog_title(context, repo),
            scrollable=True,
            inset_padding=DIALOG_INSET,
            content=ft.Container(
                ft.Column([self._asking, self._error_box], tight=True, spacing=0), width=dialog_width(context)
            ),
            actions=[identified(self._close, "hub-give-up"), self._again],
        )

    def show_waiting(self) -> None:
        """The hub is being asked."""
        self._show(is_waiting=True)

    def show_error(self, error: ExpectedError) -> None:
        """It did not answer."""
        show_hub_error(self._error, error, self._context)
        self._show(is_waiting=False)

    def _show(self, *, is_waiting: bool) -> None:
        self._asking.visible = is_waiting
        self._error_box.visible = self._again.visible = not is_waiting
        self._close.content = self._context.t("gui.cancel" if is_waiting else "gui.close")
        refresh(self)


def show_hub_error(text: ft.Text, error: ExpectedError, context: ViewContext) -> None:
    """Say in `text` why the hub did not answer; of a network that is out of reach, the details on request."""
    is_offline = isinstance(error, Offline)
    text.value = context.t("get.hub.offline") if is_offline else context.texts.error(error)
    text.tooltip = error.reason if isinstance(error, Offline) else None
