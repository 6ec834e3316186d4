"""An answer on the screen while it grows: what is finished is never sent again."""

from __future__ import annotations

import flet as ft

from app.components.basics.refresh import refresh
from app.components.chat.block_column import BlockColumn
from app.markdown.stream import MarkdownStream
from app.views.context import ViewContext


class MarkdownView(ft.SelectionArea):
    """Shows a text that may grow. `append` only remembers, `render` brings it to the screen.

    is_quiet: it steps back behind other text.
    """

    def __init__(
        self, context: ViewContext, text: str = "", *, is_growing: bool = False, is_quiet: bool = False
    ) -> None:
        self._stream = MarkdownStream(text)
        self._is_growing = is_growing
        self._column = BlockColumn(context, is_quiet=is_quiet)
        super().__init__(self._column)
        self._apply()

    @property
    def text(self) -> str:
        """The whole text, exact."""
        return self._stream.text

    @property
    def n_growing_chars(self) -> int:
        """How much one `render` sends again, about."""
        return self._stream.n_growing_chars

    def append(self, piece: str) -> None:
        """Add to the text, without showing it yet."""
        self._stream.append(piece)

    def set_text(self, text: str, *, is_growing: bool) -> None:
        """Change the text, without showing it yet; one that only grew keeps the finished blocks."""
        self._is_growing = is_growing
        known = self._stream.text
        if not text.startswith(known):
            self._stream = MarkdownStream(text)
        elif len(text) > len(known):
            self._stream.append(text[len(known) :])

    def render_quietly(self) -> None:
        """Bring the controls up to date without sending them: the caller updates."""
        self._apply()

    def render(self) -> None:
        """Show the text as it is now."""
        changed, is_new = self._apply()
        if is_new:
            refresh(self._column)
            return
        for control in changed:
            refresh(control)

    def _apply(self) -> tuple[list[ft.Control], bool]:
        """Bring the controls up to date; returns those that changed, and whether there are new ones."""
        if not self._is_growing:
            self._stream.end()
        # The newest block before may still carry the caret.
        start = max(0, self._stream.take_changed_from() - 1)
        return self._column.change(self._stream.blocks, self._is_growing, start)
