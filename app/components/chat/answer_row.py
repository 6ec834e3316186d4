"""What the model thought and said, how the answer ended, what can be done with it, and its numbers."""

from __future__ import annotations

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.components.basics.refresh import refresh
from app.components.chat.answer_details import cut_off_text, detail_rows, summary_line
from app.components.chat.markdown_view import MarkdownView
from app.components.chat.message_actions import MessageActions, branch_switch
from app.components.chat.message_commands import MessageCommands
from app.components.chat.thought_view import ThoughtView
from app.history.records import PathMessage, Status
from app.views.context import ViewContext

_CUT_OFF = (Status.UNFINISHED, Status.STOPPED, Status.LENGTH)


class AnswerRow(ft.Container):
    """One answer. What changes it does not update the screen, except `render` and `set_activity`.

    thought: the view of its thought, to be filled here.
    """

    def __init__(
        self, context: ViewContext, commands: MessageCommands, entry: PathMessage, thought: ThoughtView
    ) -> None:
        self._context = context
        self._commands = commands
        self._is_last = False
        self._can_go_on = True
        self._has_branch_ids = False
        self._shows_details = False
        self.entry = entry
        self._thought = thought
        self._text = MarkdownView(context, entry.message.text, is_growing=self.is_streaming)
        self._activity = ft.Row(
            [
                # A ring that comes and goes in the tree of names costs the node around it its identifier.
                ft.Semantics(
                    content=ft.ProgressRing(width=14, height=14, stroke_width=2), exclude_semantics=True
                ),
                muted_text(""),
            ],
            visible=False,
            spacing=10,
        )
        self._mark = ft.Container(visible=False)
        self._actions = MessageActions(context, ft.MainAxisAlignment.START)
        self._details = ft.Container(visible=False)
        self._column = ft.Column(
            [self._thought, self._text, self._activity, self._mark, self._actions, self._details],
            spacing=4,
            tight=True,
        )
        self._node = identified(self._column, "")
        super().__init__(
            self._node,
            padding=ft.Padding.only(right=UNIT, top=UNIT),
            on_hover=context.guard(self._on_hover),
            key=ft.ScrollKey(f"message-{entry.message.id}"),  # type: ignore[call-arg]
        )
        self._show_thought()
        self._fill()

    @property
    def message_id(self) -> int:
        """The answer's id."""
        return self.entry.message.id

    @property
    def is_streaming(self) -> bool:
        """Whether it still grows."""
        return self.entry.message.status is Status.STREAMING

    @property
    def has_begun(self) -> bool:
        """Whether there is a first word of it, be it only thought."""
        return bool(self._text.text) or not self._thought.is_blank

    @property
    def n_growing_chars(self) -> int:
        """How much one `render` sends again, about."""
        return self._text.n_growing_chars or self._thought.n_growing_chars

    def grow(self, piece: str, offset: int) -> bool:
        """Add a piece that belongs at `offset`, as far as it is not there; `render` shows it.

        Returns False when something before it is missing.
        """
        known = len(self._text.text)
        if offset > known:
            return False
        self._thought.end()
        self._text.append(piece[known - offset :])
        return True

    def grow_thought(self, piece: str, offset: int) -> bool:
        """As `grow`, for the thought."""
        return self._thought.grow(piece, offset)

    def render(self) -> None:
        """Bring what was added to the screen."""
        if self._activity.visible and self.has_begun:
            self.set_activity(None)
        self._thought.render()
        self._text.render()

    def show(self, entry: PathMessage) -> None:
        """Show this state of the answer; the caller updates."""
        self.entry = entry
        is_behind = self.is_streaming and self._text.text.startswith(entry.message.text)
        self._text.set_text(
            self._text.text if is_behind else entry.message.text, is_growing=self.is_streaming
        )
        self._text.render_quietly()
        self._show_thought()
        if not self.is_streaming:
            self._activity.visible = False
        self._fill()

    def set_last(self, is_last: bool, has_branch_ids: bool, *, can_go_on: bool = True) -> None:
        """Whether this is the newest answer, and its branch switch the newest one; can_go_on: whether the
        context lets it be continued. The caller updates.
        """
        new = (is_last, has_branch_ids, can_go_on)
        if new != (self._is_last, self._has_branch_ids, self._can_go_on):
            self._is_last, self._has_branch_ids, self._can_go_on = new
            self._fill()

    def set_activity(self, text: str | None) -> None:
        """Say what is done before the first word, None for nothing any more."""
        if (text is not None) == self._activity.visible and text in (None, self._activity_label.value):
            return
        self._activity.visible = text is not None
        self._activity_label.value = text or ""
        refresh(self._activity)

    @property
    def _activity_label(self) -> ft.Text:
        label = self._activity.controls[1]
        assert isinstance(label, ft.Text)
        return label

    def _show_thought(self) -> None:
        message = self.entry.message
        known = self._thought.text
        is_behind = self.is_streaming and known.startswith(message.thought)
        self._thought.show(
            known if is_behind else message.thought,
            message.thought_s,
            is_running=self.is_streaming and not self._text.text,
        )

    def _fill(self) -> None:
        self._node.identifier = "last-reply" if self._is_last else None
        self._thought.set_last(self._is_last)
        self._fill_mark()
        self._fill_actions()
        self._fill_details()

    def _fill_mark(self) -> None:
        status = self.entry.message.status
        self._mark.visible = status in _CUT_OFF
        if not self._mark.visible:
            self._mark.content = None
            return
        can_continue = self._is_last and self._can_go_on
        reason = cut_off_text(self.entry.message, self._context.texts, can_go_on=self._can_go_on)
        resume = ft.TextButton(
            self._context.t("chat.answer.continue"),
            icon=ft.Icons.PLAY_ARROW,
            on_click=self._context.guard(lambda: self._commands.continue_answer(self.message_id)),
        )
        self._mark.content = ft.Row(
            [
                ft.Icon(ft.Icons.PAUSE_CIRCLE_OUTLINE, size=16, color=ft.Colors.ON_SURFACE_VARIANT),
                muted_text(reason),
                *([identified(resume, "continue")] if can_continue else []),
            ],
            spacing=UNIT,
            wrap=True,
            vertical_alignment=ft.CrossAxisAlignment.CENTER,
        )

    def _fill_actions(self) -> None:
        t = self._context.t
        actions = self._actions
        actions.keep_shown(self._is_last)
        actions.visible = not self.is_streaming
        switch = branch_switch(
            self._context, actions, self.entry, self._commands.select, is_identified=self._has_branch_ids
        )
        copy = actions.button(
            ft.Icons.CONTENT_COPY_OUTLINED,
            t("chat.copy"),
            lambda: self._context.copy(self.entry.message.text),
            "copy-last" if self._is_last else None,
        )
        buttons = [
            *([copy] if self.entry.message.text else []),
            actions.button(
                ft.Icons.REFRESH,
                t("chat.answer.regenerate"),
                lambda: self._commands.regenerate(self.message_id),
                "regenerate" if self._is_last else None,
            ),
            actions.button(
                ft.Icons.INFO_OUTLINE,
                t("chat.answer.details"),
                self._toggle_details,
                "details" if self._is_last else None,
            ),
            actions.button(
                ft.Icons.DELETE_OUTLINE, t("chat.delete"), lambda: self._commands.delete(self.message_id)
            ),
        ]
        summary = self._summary()
        actions.controls = [*switch, *buttons, *([summary] if summary else [])]

    def _summary(self) -> ft.Control | None:
        if not self._context.settings.settings.show_statistics or self._context.is_narrow:
            return None
        line = summary_line(self.entry.message, self._context.texts)
        return ft.Container(muted_text(line), padding=ft.Padding.only(left=UNIT)) if line else None

    def _toggle_details(self) -> None:
        self._shows_details = not self._shows_details
        self._fill_details()
        refresh(self._details)

    def _fill_details(self) -> None:
        self._details.visible = self._shows_details and not self.is_streaming
        if not self._details.visible:
            self._details.content = None
            return
        rows = [
            ft.Row(
                [
                    ft.Container(muted_text(name), width=112),
                    ft.Text(
                        value,
                        theme_style=ft.TextThemeStyle.BODY_SMALL,
                        expand=True,
                        max_lines=6,
                        overflow=ft.TextOverflow.ELLIPSIS,
                    ),
                ],
                vertical_alignment=ft.CrossAxisAlignment.START,
            )
            for name, value in detail_rows(self.entry.message, self._context.texts)
        ]
        self._details.content = identified(
            ft.Container(
                ft.SelectionArea(ft.Column(list(rows), spacing=4, tight=True)),
                bgcolor=ft.Colors.SURFACE_CONTAINER_LOW,
                border_radius=UNIT,
                padding=12,
            ),
            "answer-details",
        )

    def _on_hover(self, event: ft.Event[ft.Container]) -> None:
        self._actions.reveal(event.data in (True, "true"))
