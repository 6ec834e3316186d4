"""What a model thought before it answered: one line, and the thought below it once somebody opens that.

While it thinks, the seconds go up by themselves. Nothing of a closed thought is rendered or sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.components.basics.refresh import is_on_screen, refresh
from app.components.chat.markdown_view import MarkdownView
from app.i18n import Texts
from app.views.context import ViewContext

_TICK_S = 1.0
_ICON_PX = 16
_HEAD_PX = 32


def thought_line(seconds: float, texts: Texts, *, is_running: bool = False) -> str:
    """How long it was thought, or is being thought; 0 seconds are not known."""
    minutes, rest = divmod(int(seconds if is_running else round(seconds)), 60)
    key = "chat.thought.running" if is_running else "chat.thought.done"
    if minutes:
        return texts.text(f"{key}_minutes", minutes=minutes, seconds=rest)
    if not is_running and rest == 0:
        return texts.text("chat.thought.moment" if seconds > 0 else "chat.thought.unknown")
    return texts.text(key, seconds=rest)


class ThoughtView(ft.Column):
    """The thought of one answer. What changes it does not update the screen, except `render` and a click.

    on_toggle: is told whether it is open now. on_resize: by how many pixels that changed its height, once
    that is known.
    """

    def __init__(
        self,
        context: ViewContext,
        *,
        is_open: bool,
        on_toggle: Callable[[bool], object],
        on_resize: Callable[[float], object],
    ) -> None:
        self._context = context
        self._on_toggle = on_toggle
        self._on_resize = on_resize
        self._pieces: list[str] = []
        self._n_chars = 0
        self._is_blank = True
        self._is_stale = False  # there is something that `render` has to show
        self._is_open = is_open
        self._is_running = False
        self._before_s = 0.0
        self._began_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._height_px = 0.0
        self._awaits_height = False
        self._text: MarkdownView | None = None
        self._label = muted_text("", max_lines=1, overflow=ft.TextOverflow.ELLIPSIS)
        self._sign = ft.Container(width=_ICON_PX, height=_ICON_PX)
        self._arrow = ft.Icon(ft.Icons.EXPAND_MORE, size=18, color=ft.Colors.ON_SURFACE_VARIANT)
        self._node = self._line()
        self._copy = self._copy_button()
        self._body = ft.Container(
            visible=False,
            border=ft.Border(left=ft.BorderSide(2, ft.Colors.OUTLINE_VARIANT)),
            padding=ft.Padding.only(left=2 * UNIT),
            # All that it adds to the height of this view is its own, for `on_resize`.
            margin=ft.Margin.only(left=UNIT + _ICON_PX / 2 - 1, top=4, bottom=UNIT),
            on_size_change=context.guard(self._on_size),
        )
        head = ft.Row([self._node, self._copy], spacing=4, height=_HEAD_PX)
        super().__init__([head, self._body], spacing=0, tight=True, visible=False)

    @property
    def text(self) -> str:
        """The thought as far as it is known here, exact."""
        return "".join(self._pieces)

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to see; some models open a thought and close it at once."""
        return self._is_blank

    @property
    def n_growing_chars(self) -> int:
        """How much one `render` sends again, about."""
        return self._text.n_growing_chars if self._text is not None else 0

    def set_last(self, is_last: bool) -> None:
        """Whether it is the newest answer's, which has names for tests; the caller updates."""
        self._node.identifier = "thought" if is_last else None
        self._copy.identifier = "copy-thought" if is_last else None

    def grow(self, piece: str, offset: int) -> bool:
        """Add a piece that belongs at `offset`, as far as it is not there; `render` shows it.

        Returns False when something before it is missing.
        """
        if offset > self._n_chars:
            return False
        if new := piece[self._n_chars - offset :]:
            self._append(new)
            if not self._is_running:
                self._run(self._before_s)
        return True

    def end(self) -> None:
        """The first word of the answer came: it is not thought any longer. `render` shows that."""
        if self._is_running:
            self._before_s = self._seconds
            self._is_running = False
            self._is_stale = True
            self._cancel_tick()
            if self._text is not None:
                self._text.set_text(self.text, is_growing=False)

    def render(self) -> None:
        """Bring what was added to the screen: of a closed thought, that it is there and how long it takes."""
        if not self._is_stale or self._is_blank:
            return
        self._is_stale = False
        was_visible = self.visible
        self._fill()
        if self._text is not None and was_visible:
            self._text.render()
            refresh(self._node)
        else:
            refresh(self)

    def show(self, text: str, seconds: float, *, is_running: bool) -> None:
        """Show this state of the thought; the caller updates. seconds: how long so far, 0 if not known."""
        known = self.text
        if not text.startswith(known):
            self._pieces, self._n_chars, self._is_blank, known = [], 0, True, ""
            self._close_text()
        self._append(text[len(known) :])
        if is_running and not self._is_running:
            self._run(seconds)
        elif not is_running:
            self.end()
            self._before_s = seconds
        self._fill()
        if self._text is not None:
            self._text.set_text(self.text, is_growing=self._is_running)
            self._text.render_quietly()

    def did_mount(self) -> None:
        """The seconds go up where they are seen."""
        self._plan_tick()

    def will_unmount(self) -> None:
        """Off the screen nothing is counted; the next look takes the time from the clock."""
        self._cancel_tick()

    # --- parts ---

    def _line(self) -> ft.Semantics:
        row = ft.Row([self._sign, self._label, self._arrow], spacing=UNIT, tight=True)
        button = ft.Container(
            # A ring that comes and goes in the tree of names costs the node around it its identifier.
            ft.Semantics(content=row, exclude_semantics=True),
            padding=ft.Padding.symmetric(horizontal=UNIT, vertical=6),
            border_radius=UNIT,
            ink=True,
            on_click=self._context.guard(self._toggle),
        )
        return identified(button, "", button=True)

    def _copy_button(self) -> ft.Semantics:
        button = ft.IconButton(
            ft.Icons.CONTENT_COPY_OUTLINED,
            icon_size=_ICON_PX,
            width=_HEAD_PX,
            height=_HEAD_PX,
            padding=0,
            icon_color=ft.Colors.ON_SURFACE_VARIANT,
            tooltip=self._context.t("chat.thought.copy"),
            on_click=self._context.guard(lambda: self._context.copy(self.text.strip())),
        )
        return identified(button, "", visible=False)

    def _fill(self) -> None:
        """Bring line and body up to date, without sending them."""
        self.visible = not self._is_blank
        is_open = self._is_open and self.visible
        self._label.value = self._node.label = thought_line(
            self._seconds, self._context.texts, is_running=self._is_running
        )
        self._node.expanded = is_open
        self._arrow.icon = ft.Icons.EXPAND_LESS if is_open else ft.Icons.EXPAND_MORE
        if self._is_running != isinstance(self._sign.content, ft.ProgressRing):
            self._sign.content = _ring() if self._is_running else None
        if not self._is_running and self._sign.content is None:
            self._sign.content = ft.Icon(
                ft.Icons.PSYCHOLOGY_OUTLINED, size=_ICON_PX, color=ft.Colors.ON_SURFACE_VARIANT
            )
        self._copy.visible = self._body.visible = is_open
        if is_open and self._text is None:
            self._text = MarkdownView(self._context, self.text, is_growing=self._is_running, is_quiet=True)
            self._body.content = self._text
        elif not is_open:
            self._close_text()

    def _append(self, piece: str) -> None:
        self._pieces.append(piece)
        self._n_chars += len(piece)
        self._is_blank = self._is_blank and not piece.strip()
        self._is_stale = True
        if self._text is not None:
            self._text.append(piece)

    def _close_text(self) -> None:
        self._text = self._body.content = None

    def _toggle(self) -> None:
        self._is_open = not self._is_open
        self._fill()
        refresh(self)
        self._on_toggle(self._is_open)
        self._awaits_height = self._is_open
        if not self._is_open:
            self._on_resize(-self._height_px)

    def _on_size(self, event: ft.LayoutSizeChangeEvent[ft.Container]) -> None:
        self._height_px = event.height
        if self._awaits_height and self._is_open:
            self._awaits_height = False
            self._on_resize(event.height)

    # --- the clock ---

    @property
    def _seconds(self) -> float:
        return self._before_s + (time.monotonic() - self._began_s if self._is_running else 0.0)

    def _run(self, seconds: float) -> None:
        self._before_s, self._began_s, self._is_running = seconds, time.monotonic(), True
        self._plan_tick()

    def _plan_tick(self) -> None:
        self._cancel_tick()
        if self._is_running and is_on_screen(self):
            # When the number changes, not a second from now: it would skip one now and then.
            wait_s = _TICK_S - self._seconds % _TICK_S
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._tick)

    def _cancel_tick(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._fill()
        refresh(self._node)
        self._plan_tick()


def _ring() -> ft.ProgressRing:
    return ft.ProgressRing(width=_ICON_PX - 2, height=_ICON_PX - 2, stroke_width=2)
