"""What a person asked: a tinted bubble with the text exactly as typed, editable in place."""

from __future__ import annotations

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text, text_size
from app.components.basics.refresh import refresh
from app.components.chat.message_actions import MessageActions, branch_switch
from app.components.chat.message_commands import MessageCommands
from app.history.records import PathMessage
from app.views.context import ViewContext


class QuestionRow(ft.Container):
    """One question; `show` changes what it shows, the caller updates."""

    def __init__(
        self, context: ViewContext, commands: MessageCommands, entry: PathMessage, *, is_waiting: bool = False
    ) -> None:
        self._context = context
        self._commands = commands
        self._field: ft.TextField | None = None
        self._is_last = False
        self._unanswered_text: str | None = None
        self._has_branch_ids = False
        self._actions = MessageActions(context, ft.MainAxisAlignment.END)
        self._body = ft.Column(
            horizontal_alignment=ft.CrossAxisAlignment.END, spacing=2, tight=True, controls=[]
        )
        self._node = identified(self._body, "")
        super().__init__(
            self._node,
            alignment=ft.Alignment.TOP_RIGHT,
            padding=ft.Padding.only(left=6 * UNIT, top=UNIT),
            on_hover=context.guard(self._on_hover),
            key=ft.ScrollKey(f"message-{entry.message.id}"),  # type: ignore[call-arg]
        )
        self.show(entry, is_waiting=is_waiting)

    @property
    def message_id(self) -> int:
        """The question's id."""
        return self.entry.message.id

    def show(self, entry: PathMessage, *, is_waiting: bool = False) -> None:
        """Show this question; is_waiting: the engine has not come to it yet."""
        self.entry = entry
        self._is_waiting = is_waiting
        self._fill()

    def set_last(self, is_last: bool, has_branch_ids: bool) -> None:
        """Whether this is the newest question, and whether its branch switch is the newest."""
        if (is_last, has_branch_ids) != (self._is_last, self._has_branch_ids):
            self._is_last, self._has_branch_ids = is_last, has_branch_ids
            self._fill()

    def show_unanswered(self, is_unanswered: bool, reason: str | None = None) -> bool:
        """Whether nothing will answer this question, and why; returns whether that is new.

        The caller updates.
        """
        unanswered = (reason or self._context.t("chat.question.unanswered")) if is_unanswered else None
        if unanswered == self._unanswered_text:
            return False
        self._unanswered_text = unanswered
        self._fill()
        return True

    def _fill(self) -> None:
        self._node.identifier = "last-user" if self._is_last else None
        if self._field is not None:
            return
        self._fill_actions()
        self._body.controls = [self._bubble(), self._actions]
        if self._unanswered_text is not None:
            self._body.controls.append(self._unanswered(self._unanswered_text))

    def _bubble(self) -> ft.Control:
        return ft.Container(
            ft.SelectionArea(
                ft.Text(
                    self.entry.message.text,
                    style=ft.TextStyle(size=text_size(self._context), height=1.5),
                    color=ft.Colors.ON_SECONDARY_CONTAINER,
                )
            ),
            bgcolor=ft.Colors.SECONDARY_CONTAINER,
            border_radius=ft.BorderRadius(18, 18, 18, 4),
            padding=ft.Padding.symmetric(horizontal=2 * UNIT, vertical=10),
        )

    def _unanswered(self, text: str) -> ft.Control:
        answer = ft.TextButton(
            self._context.t("chat.question.answer"),
            icon=ft.Icons.PLAY_ARROW,
            on_click=self._context.guard(lambda: self._commands.regenerate(self.message_id)),
        )
        return ft.Row(
            [muted_text(text), identified(answer, "answer-now")],
            alignment=ft.MainAxisAlignment.END,
            spacing=UNIT,
            run_spacing=0,
            wrap=True,
        )

    def _fill_actions(self) -> None:
        t = self._context.t
        message = self.entry.message
        actions = self._actions
        actions.keep_shown(self._is_last)
        actions.controls = [
            *branch_switch(
                self._context,
                actions,
                self.entry,
                self._commands.select,
                is_identified=self._has_branch_ids,
            ),
            actions.button(
                ft.Icons.CONTENT_COPY_OUTLINED, t("chat.copy"), lambda: self._context.copy(message.text)
            ),
            actions.button(
                ft.Icons.EDIT_OUTLINED,
                t("chat.question.edit"),
                self._begin_edit,
                "edit-last" if self._is_last else None,
            ),
            actions.button(
                ft.Icons.DELETE_OUTLINE, t("chat.delete"), lambda: self._commands.delete(message.id)
            ),
        ]
        if self._is_waiting:
            actions.controls.insert(0, muted_text(t("chat.question.waiting")))

    async def _begin_edit(self) -> None:
        t = self._context.t
        field = ft.TextField(
            value=self.entry.message.text,
            multiline=True,
            min_lines=1,
            max_lines=12,
            expand=True,
            text_size=text_size(self._context),
            border_color=ft.Colors.OUTLINE,
            label=t("chat.question.edit_label"),
        )
        self._field = field
        self._body.controls = [
            ft.Row([identified(field, "edit-field", expand=True)]),
            ft.Row(
                [
                    identified(
                        ft.TextButton(t("gui.cancel"), on_click=self._context.guard(self._end_edit)),
                        "edit-cancel",
                    ),
                    identified(
                        ft.FilledButton(
                            t("chat.question.send_edit"), on_click=self._context.guard(self._accept_edit)
                        ),
                        "edit-send",
                    ),
                ],
                alignment=ft.MainAxisAlignment.END,
            ),
        ]
        refresh(self._body)
        await field.focus()

    def _end_edit(self) -> None:
        self._field = None
        self._fill()
        refresh(self._body)

    async def _accept_edit(self) -> None:
        text = (self._field.value or "").rstrip() if self._field else ""
        original = self.entry.message
        if not text:
            return
        self._end_edit()
        if text != original.text:
            await self._commands.edit(original.id, text)

    def _on_hover(self, event: ft.Event[ft.Container]) -> None:
        self._actions.reveal(event.data in (True, "true"))
