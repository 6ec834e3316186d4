"""Every command that counts as known is drawn by the renderer in the real browser, and none is an error."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.markdown.tex import to_draw
from app.markdown.tex_commands import (
    COLORS,
    DELIMITERS,
    ENVIRONMENTS,
    N_ARGUMENTS,
    OPERATORS,
    RELATIONS,
    SIZES,
    TAKE_COLOR,
    TAKE_TEXT,
)

_PROGRAM = Path(__file__).resolve().parents[1] / "builders" / "formula_page.py"
_BATCH = 100
_WAIT_S = 120
_TEXTS = """() => [...document.querySelectorAll('flt-semantics')].map(node =>
    (node.getAttribute('aria-label') || '') + [...node.childNodes]
        .filter(child => child.nodeType == 3 || child.tagName == 'SPAN')
        .map(child => child.textContent).join('')).join('\\n')"""


def _formulas() -> Iterator[str]:
    for name, n_arguments in N_ARGUMENTS.items():
        yield f"x \\{name}" + "{a}" * n_arguments + " y"
    for name in TAKE_TEXT:
        yield f"x \\{name}{{a b}}"
    for name in OPERATORS:
        yield f"x \\{name}\\limits_a"
    for name in RELATIONS:
        yield f"x \\not{name if len(name) == 1 else chr(92) + name} a"
    for color in COLORS:
        yield f"x \\textcolor{{{color}}}{{a}}"
    for name, n_formulas in TAKE_COLOR.items():
        yield f"x \\{name}{{red}}" + "{a}" * n_formulas + " a"
    for name in SIZES:
        yield f"x \\{name}( a"
    for delimiter in DELIMITERS:
        yield f"x \\left{delimiter} a \\right{delimiter}"
    for name, has_argument in ENVIRONMENTS.items():
        argument = "{cc}" if "array" in name else "{1}"
        yield f"x \\begin{{{name}}}{argument if has_argument else ''} a & b \\end{{{name}}}"


@contextmanager
def _server(formulas: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(_PROGRAM), str(port), str(formulas)])
    try:
        deadline = time.monotonic() + _WAIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "the page does not come"
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.kill()
        process.wait(_WAIT_S)


def _drawn(browser: Any, address: str, n_formulas: int) -> list[bool]:
    """Which formulas left glyphs between their marks; an error leaves none."""
    context = browser.new_context(viewport={"width": 900, "height": 80 * n_formulas})
    try:
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector("flt-semantics-placeholder", state="attached", timeout=_WAIT_S * 1000)
        page.evaluate("() => document.querySelector('flt-semantics-placeholder').click()")
        page.get_by_text("NENDN").wait_for(state="attached", timeout=_WAIT_S * 1000)
        page.wait_for_timeout(1500)
        parts = re.split(r"N(\d+|END)N", page.evaluate(_TEXTS))
    finally:
        context.close()
    seen = dict(zip(parts[1::2], parts[2::2], strict=True))
    return [bool(re.sub(r"[\s.]", "", seen[str(index)])) for index in range(n_formulas)]


@pytest.mark.slow
def test_every_known_command_is_drawn_and_an_unknown_one_is_not(browser: Any, tmp_path: Path) -> None:
    formulas = list(_formulas())
    assert [tex for tex in formulas if to_draw(tex) is None] == []
    source = tmp_path / "formulas.json"

    undrawn = []
    source.write_text("[]", encoding="utf-8")
    with _server(source) as address:
        for begin in range(0, len(formulas), _BATCH):
            batch = [*(to_draw(tex) for tex in formulas[begin : begin + _BATCH]), "x \\nosuch{a}"]
            source.write_text(json.dumps(batch), encoding="utf-8")
            *known, unknown = _drawn(browser, address, len(batch))
            assert not unknown
            undrawn += [tex for tex, is_drawn in zip(batch, known, strict=False) if not is_drawn]

    assert undrawn == []
