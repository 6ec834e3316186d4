"""The messages of one conversation, newest at the bottom, older ones made when they are scrolled to.

The list is anchored at its end, so the newest text stays in view without any scrolling. While a person reads
further up, what is new waits (see `following`), and a button leads back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import flet as ft

from app.chat.paths import can_go_on
from app.components.basics.identified import identified
from app.components.basics.look import UNIT, centred, muted_text, text_size
from app.components.basics.refresh import refresh
from app.components.chat.answer_row import AnswerRow
from app.components.chat.following import Coalescer, Following, flush_interval_s
from app.components.chat.message_commands import MessageCommands
from app.components.chat.question_row import QuestionRow
from app.components.chat.thought_view import ThoughtView
from app.history.records import PathMessage
from app.views.context import ViewContext

_PAGE = 30
_LOAD_AHEAD_PX = 1_200
_BUILD_S = 0.12
_HIGHLIGHT_S = 1.6
_MOVE_MS = 30  # with no duration at all, what has the keyboard's focus loses it

Row = QuestionRow | AnswerRow


@dataclass(frozen=True, slots=True)
class Place:
    """Where a person reads who has left the end: how far from it, with so many messages made."""

    distance_px: float
    n_loaded: int


class MessageList(ft.Stack):
    """Shows a path. `show` for another conversation, `change` when the path is different than before."""

    def __init__(
        self, context: ViewContext, commands: MessageCommands, opened_thoughts: Iterable[int] = ()
    ) -> None:
        """opened_thoughts: ids of answers whose thoughts are open."""
        self._context = context
        self._commands = commands
        self._opened_thoughts = set(opened_thoughts)
        self._entries: tuple[PathMessage, ...] = ()
        self._remembered_from: int | None = None
        self._waiting: frozenset[int] = frozenset()
        self._n_loaded = 0
        self._rows: dict[int, Row] = {}
        self._frames: dict[int, ft.Control] = {}
        self._held: tuple[Sequence[PathMessage], int | None] | None = None
        self._following = Following()
        self._distance_px = 0.0
        self._coalescer = Coalescer(self._render, self._interval_s)
        self._activity = _ActivityRow()
        self._list = ft.ListView(
            reverse=True,
            expand=True,
            padding=ft.Padding.only(top=UNIT, bottom=2 * UNIT),
            on_scroll=context.guard(self._on_scroll),
            scroll_interval=60,
            controls=[],
        )
        self._jump_text = ft.Text(theme_style=ft.TextThemeStyle.LABEL_LARGE)
        self._jump = self._jump_button()
        super().__init__([self._list, self._jump], expand=True)

    def show(
        self,
        entries: Sequence[PathMessage],
        remembered_from: int | None = None,
        at_message: int | None = None,
        at_place: Place | None = None,
        *,
        in_thought: bool = False,
    ) -> None:
        """Show another conversation from its end, at a message or at a place; the caller updates.

        in_thought: what is looked for is in the thought of that message.
        """
        if in_thought and at_message is not None:
            self._opened_thoughts.add(at_message)
        self._coalescer.cancel()
        self._rows.clear()
        self._frames.clear()
        self._held = None
        self._following = Following()
        self._distance_px = 0.0
        self._entries = tuple(entries)
        self._remembered_from = remembered_from
        self._n_loaded = min(len(entries), max(_PAGE, self._distance_from_end(at_message) + 4))
        if at_place is not None:
            self._n_loaded = min(len(entries), max(self._n_loaded, at_place.n_loaded))
            self._distance_px = at_place.distance_px
            self._following.on_scroll(self._distance_px)
        self._set_jump()
        self._arrange()
        if at_message in self._rows:
            self._context.run(self._go_to, at_message)

    @property
    def place(self) -> Place | None:
        """Where the person reads; None at the end."""
        return None if self._following.is_at_end else Place(self._distance_px, self._n_loaded)

    @property
    def opened_thoughts(self) -> frozenset[int]:
        """Ids of answers whose thoughts are open."""
        return frozenset(self._opened_thoughts)

    def did_mount(self) -> None:
        """A list that comes to the screen, also for the second time, begins at its end."""
        if self.place is not None:
            self._context.run(self._return_to, self._distance_px)

    def change(self, entries: Sequence[PathMessage], remembered_from: int | None) -> None:
        """Show what the path is now; what only grew waits while the person reads further up."""
        same_messages = [entry.message.id for entry in entries] == [
            entry.message.id for entry in self._entries
        ]
        if same_messages and not self._following.is_at_end:
            self._held = (entries, remembered_from)
            self._tell_news()
            return
        self._held = None
        self._coalescer.cancel()
        n_new = max(0, len(entries) - len(self._entries))
        self._entries = tuple(entries)
        self._remembered_from = remembered_from
        self._n_loaded = min(len(entries), max(_PAGE, self._n_loaded + n_new))
        self._arrange()
        refresh(self._list)

    def grow(self, message_id: int, piece: str, offset: int) -> bool:
        """The streaming answer has more text; False where something before it is missing."""
        row = self._rows.get(message_id)
        return not isinstance(row, AnswerRow) or self._follow_growth(row.grow(piece, offset))

    def grow_thought(self, message_id: int, piece: str, offset: int) -> bool:
        """As `grow`, for the thought of the streaming answer."""
        row = self._rows.get(message_id)
        return not isinstance(row, AnswerRow) or self._follow_growth(row.grow_thought(piece, offset))

    def _follow_growth(self, has_grown: bool) -> bool:
        if has_grown and self._following.is_at_end:
            self._coalescer.touch()
        elif has_grown:
            self._tell_news()
        return has_grown

    def mark_waiting(self, message_ids: frozenset[int]) -> None:
        """Which questions wait for the engine."""
        changed = self._waiting ^ message_ids
        self._waiting = message_ids
        for entry in self._entries:
            row = self._rows.get(entry.message.id)
            if entry.message.id in changed and isinstance(row, QuestionRow):
                row.show(entry, is_waiting=entry.message.id in message_ids)
                refresh(row)

    def mark_unanswered(self, message_id: int | None, reason: str | None = None) -> None:
        """Which question has no answer and will get none by itself, and why; None where all is well."""
        for row in self._rows.values():
            if isinstance(row, QuestionRow) and row.show_unanswered(row.message_id == message_id, reason):
                refresh(row)

    def set_activity(self, message_id: int | None, text: str | None) -> None:
        """What the engine does before the first word: under the answer, or under the last question."""
        row = self._rows.get(message_id) if message_id is not None else None
        for answer in self._rows.values():
            if isinstance(answer, AnswerRow) and (answer is row or answer.is_streaming):
                answer.set_activity(text if answer is row and not answer.has_begun else None)
        self._activity.set_text(None if isinstance(row, AnswerRow) else text)

    async def scroll_to_end(self) -> None:
        """Go to the newest text, and follow it from now on."""
        self._following.return_to_end()
        self._on_returned()
        await self._list.scroll_to(offset=0, duration=120)

    def dispose(self) -> None:
        """Nothing will be shown any more."""
        self._coalescer.cancel()

    # --- arranging ---

    def _distance_from_end(self, message_id: int | None) -> int:
        for distance, entry in enumerate(reversed(self._entries)):
            if entry.message.id == message_id:
                return distance
        return 0

    def _arrange(self) -> None:
        """Make, keep and order the rows of the loaded part of the path."""
        loaded = self._entries[len(self._entries) - self._n_loaded :]
        ids = {entry.message.id for entry in loaded}
        for gone in self._rows.keys() - ids:
            del self._rows[gone], self._frames[gone]
        for entry in loaded:
            self._row_for(entry)
        self._mark_last(loaded)
        controls: list[ft.Control] = [self._activity]
        for entry in reversed(loaded):
            controls.append(self._frames[entry.message.id])
            if entry.message.id == self._remembered_from and entry is not self._entries[0]:
                controls.append(_remembered_line(self._context))
        self._list.controls = controls

    def _row_for(self, entry: PathMessage) -> None:
        message_id = entry.message.id
        row = self._rows.get(message_id)
        if row is None:
            row = self._rows[message_id] = self._make_row(entry)
            self._frames[message_id] = centred(row)
        elif row.entry != entry:
            if isinstance(row, QuestionRow):
                row.show(entry, is_waiting=message_id in self._waiting)
            else:
                row.show(entry)

    def _make_row(self, entry: PathMessage) -> Row:
        if entry.message.role == "assistant":
            return AnswerRow(self._context, self._commands, entry, self._make_thought(entry.message.id))
        is_waiting = entry.message.id in self._waiting
        return QuestionRow(self._context, self._commands, entry, is_waiting=is_waiting)

    def _make_thought(self, message_id: int) -> ThoughtView:
        return ThoughtView(
            self._context,
            is_open=message_id in self._opened_thoughts,
            on_toggle=partial(self._thought_toggled, message_id),
            on_resize=partial(self._thought_resized, message_id),
        )

    def _mark_last(self, loaded: Sequence[PathMessage]) -> None:
        """Give the newest rows their names for tests and shortcuts; those of a branch switch only once."""
        last = {"user": 0, "assistant": 0}
        branch_id = 0
        for entry in loaded:
            if entry.message.role in last:
                last[entry.message.role] = entry.message.id
            if len(entry.sibling_ids) > 1:
                branch_id = entry.message.id
        info = self._context.service.state.info
        goes_on = can_go_on(self._entries, info.context_tokens if info is not None else None)
        for message_id, row in self._rows.items():
            if isinstance(row, QuestionRow):
                row.set_last(message_id == last["user"], message_id == branch_id)
            else:
                is_last = message_id == last["assistant"]
                row.set_last(is_last, message_id == branch_id, can_go_on=goes_on or not is_last)

    # --- scrolling ---

    def _on_scroll(self, event: ft.OnScrollEvent) -> None:
        if event.max_scroll_extent - event.pixels < _LOAD_AHEAD_PX and self._n_loaded < len(self._entries):
            self._n_loaded = min(len(self._entries), self._n_loaded + _PAGE)
            self._arrange()
            refresh(self._list)
        self._moved_to(event.pixels)

    def _moved_to(self, distance_px: float) -> None:
        self._distance_px = distance_px
        if self._following.on_scroll(distance_px):
            if self._following.is_at_end:
                self._on_returned()
            else:
                self._show_jump()

    def _on_returned(self) -> None:
        self._show_jump()
        held, self._held = self._held, None
        if held is not None:
            self.change(*held)
        else:
            self._coalescer.touch()

    def _tell_news(self) -> None:
        if self._following.on_news():
            self._show_jump()

    def _show_jump(self) -> None:
        self._set_jump()
        refresh(self._jump)

    def _set_jump(self) -> None:
        self._jump.visible = not self._following.is_at_end
        key = "chat.list.news" if self._following.has_news else "chat.list.latest"
        self._jump_text.value = self._context.t(key)

    async def _return_to(self, distance_px: float) -> None:
        """Go back to where the person read, once the rows are there."""
        await asyncio.sleep(_BUILD_S)
        await self._list.scroll_to(offset=distance_px, duration=0)
        self._following.on_scroll(distance_px)
        self._show_jump()

    async def _go_to(self, message_id: int) -> None:
        """Bring a message into view: its part of the list is built first, rows exist near the view only."""
        await asyncio.sleep(_BUILD_S)
        if self._distance_from_end(message_id) > 2:
            self._following.is_at_end = False
            await self._list.scroll_to(offset=-1, duration=0)
            await asyncio.sleep(_BUILD_S)
        await self._list.scroll_to(scroll_key=f"message-{message_id}", duration=0)
        self._show_jump()
        frame = self._frames.get(message_id)
        if isinstance(frame, ft.Container):
            frame.bgcolor = ft.Colors.SURFACE_CONTAINER_HIGH
            refresh(frame)
            await asyncio.sleep(_HIGHLIGHT_S)
            frame.bgcolor = None
            refresh(frame)

    def _thought_toggled(self, message_id: int, is_open: bool) -> None:
        (self._opened_thoughts.add if is_open else self._opened_thoughts.discard)(message_id)

    def _thought_resized(self, message_id: int, grown_px: float) -> None:
        """Keep the line that was clicked where it is: what changes in a list anchored at its end moves it."""
        row = self._rows.get(message_id)
        follows = self._following.is_at_end and isinstance(row, AnswerRow) and row.is_streaming
        if not follows:
            self._context.run(self._move_by, grown_px)

    async def _move_by(self, grown_px: float) -> None:
        if grown_px > 0:
            await self._list.scroll_to(delta=grown_px, duration=_MOVE_MS)  # to the list's beginning at most
            return
        distance_px = max(0.0, self._distance_px + grown_px)
        await self._list.scroll_to(offset=distance_px, duration=_MOVE_MS)
        if not distance_px:  # a list that is shorter than its view now tells of no scrolling
            self._moved_to(0.0)

    # --- streaming ---

    def _streaming_row(self) -> AnswerRow | None:
        rows = (self._rows.get(entry.message.id) for entry in reversed(self._entries))
        return next((row for row in rows if isinstance(row, AnswerRow) and row.is_streaming), None)

    def _interval_s(self) -> float:
        row = self._streaming_row()
        return flush_interval_s(row.n_growing_chars if row else 0)

    def _render(self) -> None:
        row = self._streaming_row()
        if row is not None:
            row.render()

    def _jump_button(self) -> ft.Container:
        button = ft.FilledTonalButton(
            content=ft.Row([ft.Icon(ft.Icons.ARROW_DOWNWARD, size=18), self._jump_text], tight=True),
            on_click=self._context.guard(self.scroll_to_end),
            elevation=2,
        )
        return ft.Container(
            identified(button, "jump-latest"),
            alignment=ft.Alignment.CENTER,
            left=0,
            right=0,
            bottom=UNIT,
            visible=False,
        )


class _ActivityRow(ft.Container):
    """Below the last question, while there is no answer to show anything in."""

    def __init__(self) -> None:
        self._label = muted_text("")
        ring = ft.ProgressRing(width=14, height=14, stroke_width=2)
        super().__init__(
            centred(
                ft.Row([ring, self._label], spacing=10),
                padding=ft.Padding.symmetric(horizontal=2 * UNIT, vertical=UNIT),
            ),
            visible=False,
        )

    def set_text(self, text: str | None) -> None:
        if (text is not None) == self.visible and text in (None, self._label.value):
            return
        self.visible = text is not None
        self._label.value = text or ""
        refresh(self)


def _remembered_line(context: ViewContext) -> ft.Control:
    line = ft.Container(ft.Divider(height=1, color=ft.Colors.OUTLINE_VARIANT), expand=True)
    again = ft.Container(ft.Divider(height=1, color=ft.Colors.OUTLINE_VARIANT), expand=True)
    label = muted_text(context.t("chat.list.remembered"))
    label.size = text_size(context) * 0.8
    return centred(
        identified(ft.Row([line, label, again], spacing=12), "remembered-from"),
        padding=ft.Padding.symmetric(horizontal=2 * UNIT, vertical=UNIT),
    )
