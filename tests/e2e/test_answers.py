"""Answers in the real browser: what was written is what is read, copied and drawn."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.history.store import HistoryStore
from app.markdown.tex import to_draw
from app.markdown.tex_commands import N_ARGUMENTS

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
    "[docs]: https://example.com/docs",
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


@pytest.mark.slow
def test_every_formula_that_is_drawn_can_be_drawn(start: Start, look: Look, home: Path) -> None:
    formulas = [f"x \\{name}" + "{a}" * n for name, n in N_ARGUMENTS.items()]
    samples = [tex for tex in formulas if to_draw(tex)]
    assert len(samples) > 600
    pages = [samples[start : start + 100] for start in range(0, len(samples), 100)]
    for number, page in enumerate(pages):
        lines = [f"N{index}N\n\n$$\n{tex}\n$$" for index, tex in enumerate(page)]
        _write_history(home, "\n\n".join([*lines, f"N{len(lines)}N"]), question=f"Formulas {number}")
    app = look(start(), height=8000)
    missing = []

    for number, page in enumerate(pages):
        _open(app, f"Formulas {number}")
        app.wait_for_text("N0N")
        app.wait_for_text(f"N{len(page)}N")
        # A screen reader hears the signs of a formula, and nothing where the renderer found an error.
        parts = re.split(r"N\d+N", app.page_text())[1:-1]
        missing += [tex for tex, heard in zip(page, parts, strict=True) if not heard.strip()]

    assert missing == []
