"""Answers in the real browser: what was written is what is read, copied and drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.history.store import HistoryStore

Start = Callable[..., Any]
Look = Callable[..., Any]

CODE = "\tif (![1,2].includes(x)) {  \n\n  $a$ <b> &amp; `y`\n}"
ANSWER = f"""It costs 5$ and 10$ more; US$, CA$ are dollars, ( Q&A included ), C:\\[temp\\].

<your address>

**注意：**请先备份。脚注[^1]，见[文档][docs]。

| a | b |
|---|---|
| one<br>two | x<sup>2</sup> |

> First line
> second line

当$x=1$时 $\\nosuch{{x}}$

1. Do it:

   ````js
   {CODE.replace(chr(10), chr(10) + "   ")}
   ````

[^1]: 这是脚注内容

[docs]: https://example.com/docs
"""
SHOWN = (
    "It costs 5$ and 10$ more; US$, CA$ are dollars, ( Q&A included ), C:\\[temp\\].",
    "<your address>",
    "注意：请先备份。脚注[1]，见\n文档\n",  # a link is a node of its own
    "one\ntwo",
    "x<sup>2</sup>",
    "First line\nsecond line",
    "\\nosuch{x}",
    "[1] 这是脚注内容",
    "https://example.com/docs",
)


def _write_history(home: Path, answer: str, question: str = "What is written") -> None:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    source = home.parent / "messages.json"
    source.write_text(json.dumps({"messages": messages}), encoding="utf-8")
    (home / "history").mkdir(parents=True, exist_ok=True)
    with HistoryStore.open(home / "history") as history:
        history.transfer.import_file(source)


def _open(app: Any, question: str) -> None:
    app.fill("chat-search", question)
    app.page.wait_for_timeout(1500)  # until the results are those of this text
    app.page.keyboard.press("Enter")
    app.wait_for_label("last-user", question)


def test_what_a_model_wrote_is_read_and_copied_as_it_was_written(
    start: Start, look: Look, home: Path
) -> None:
    _write_history(home, ANSWER)
    app = look(start(), height=1400)
    app.page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    _open(app, "What is written")
    for text in SHOWN:
        app.wait_for_text(text)
    app.press("Copy the code")

    app.wait_for(lambda: app.page.evaluate("() => navigator.clipboard.readText()") == CODE, "the code")
