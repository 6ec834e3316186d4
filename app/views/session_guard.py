"""Three things that Flet does which would cost a person their page, done otherwise; and a page's use, told.

Flet has no hooks for them, so its methods are replaced, here and nowhere else:

- An error in a handler is shown as a red banner with a traceback. Ours becomes a sentence.
- The answer to a method call (such as `focus`) on a control that is gone by then ends the connection: the
  browser drops the page and fetches all of it anew. Ours ends the call.
- A text with half of a surrogate pair in it, such as the name of a file that is not UTF-8, can't be sent, and
  nothing else of that update is. Ours has a question mark there.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import msgpack
from flet.messaging.session import Session

_log = logging.getLogger(__name__)
_NO_USE = ("disconnect", "close")


def guard_session(session: Session, on_error: Callable[[str], None]) -> None:
    """Make `session` robust; on_error is given an unhandled error's text, which begins with its message."""
    take = session.handle_invoke_method_results

    def take_result(control_id: int, call_id: str, result: Any, error: str | None) -> None:
        if control_id not in session.index:
            _log.debug("the control %s was gone before its answer came", control_id)
            # Flet looks only whether it knows the id; with one that it knows, the caller goes on.
            control_id = next(iter(session.index))
        take(control_id, call_id, result, error)

    def tell(message: str) -> None:
        on_error(message)

    session.handle_invoke_method_results = take_result  # type: ignore[method-assign]
    session.error = tell  # type: ignore[method-assign]
    if not isinstance(msgpack.packb, functools.partial):  # once is enough; whatever sends looks it up there
        msgpack.packb = functools.partial(msgpack.packb, unicode_errors="replace")


def watch_session(session: Session, on_use: Callable[[], None]) -> None:
    """Call `on_use` before whatever a person does on the page, and when it has come back, is handled."""
    dispatch = session.dispatch_event

    async def tell(control_id: int, event_name: str, event_data: Any) -> None:
        if event_name not in _NO_USE:
            on_use()
        await dispatch(control_id, event_name, event_data)

    session.dispatch_event = tell  # type: ignore[method-assign]
