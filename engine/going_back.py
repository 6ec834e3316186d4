"""Going back in a cache whose layers partly see the last tokens only.

A layer with a sliding window lets go of what lies before it while an answer grows. Then the cache can't be
shortened to the end of the question, to answer it again, or for a next turn without the answer's thought.
What such layers see there is copied when an answer begins; the copy takes less than they do. Models without
such layers, or with a context that their cache holds whole, pay nothing. Which tokens are cached is not known
here.
"""

from __future__ import annotations

from engine.llama import Context, WindowCopy


class WayBack:
    """Shortens a context's cache; told where an answer begins, it keeps the way back to there."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._window = context.model.sliding_window
        self._copy: WindowCopy | None = None
        self._first, self._end = 0, 0  # a token at a position from the first to the end sees the copy only

    def begin_answer(self) -> None:
        """An answer begins at the end of what is cached now: that is where one goes back to."""
        if not self._context.forgets:
            return
        self._end = self._context.n_cached
        # llama.cpp copies what the last token sees; of less than a window, that is everything.
        self._first = self._end - 1 if self._end > self._window else 0
        self._copy = self._context.copy_window()

    def shorten(self, n_tokens: int) -> int:
        """Keep the first `n_tokens` of the cache, or fewer where the way there is lost; returns how many."""
        if not self._is_kept(n_tokens):
            n_tokens = min(n_tokens, self._end)
            if self._copy is None or n_tokens < self._first or not self._context.put_window_back(self._copy):
                n_tokens = 0
        if n_tokens < self._first:
            self._copy = None
        self._end = min(self._end, n_tokens)
        return n_tokens if self._context.truncate(n_tokens) else 0

    def _is_kept(self, position: int) -> bool:
        """Whether the layers still hold all that a token at `position` sees."""
        return not self._window or self._context.first_cached <= max(0, position - self._window)
