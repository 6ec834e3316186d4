"""The text of a block: no mark of its own reaches the renderer, no image is loaded, links are harmless."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.components.chat.inline_text import as_markdown
from app.components.chat.link_dialog import is_safe_address
from app.markdown.blocks import Formula, Run

FORMULA = Formula("x=1", "$x=1$")


@pytest.mark.parametrize(
    ("inlines", "markdown"),
    [
        ((Run("当"), FORMULA, Run("时")), "当$x=1$\u200a时"),
        ((FORMULA, Run("，有")), "$x=1$，有"),
        ((FORMULA, Run(". ( a )")), "$x=1$. &#40; a &#41;"),
        ((FORMULA, FORMULA), "$x=1$\u200a$x=1$"),
        ((Run("注意：", is_bold=True), FORMULA), "**注意**：$x=1$"),
        ((Run("“重要”", is_bold=True), FORMULA), "“**重要**”$x=1$"),
        ((Run("a`b", is_code=True), FORMULA), "``a`b``$x=1$"),
        ((Run("docs", href="https://a/b?c=<d>"), FORMULA), "[docs](<https://a/b?c=%3Cd%3E>)$x=1$"),
        ((FORMULA, Run(" 值。", is_bold=True)), "$x=1$ **值**。"),
        ((FORMULA, Run("b", is_code=True)), "$x=1$\u200a`b`"),
        ((Run("a", is_code=True), Run(", $b"), FORMULA), "`a`\\, &#36;b$x=1$"),
        ((Run("    1. a"), FORMULA), "1&#46; a$x=1$"),
    ],
)
def test_lines_with_formulas_are_written_so_that_only_the_formula_is_one(
    inlines: tuple[Run | Formula, ...], markdown: str
) -> None:
    assert as_markdown(inlines) == markdown


@given(st.text(alphabet="![]()`\\ab<>\"'*_~$#|&; 中", min_size=1, max_size=40), st.booleans(), st.booleans())
def test_text_brings_no_mark_of_its_own(text: str, is_bold: bool, is_italic: bool) -> None:
    written = as_markdown((Run(text, is_bold=is_bold, is_italic=is_italic), FORMULA))

    rest = re.sub(r"&#\d+;", "", written.removesuffix("$x=1$"))
    assert set(rest) <= set("ab 中\u200a*")
    assert rest.count("*") in (0, 2 * (2 * is_bold + is_italic))


@pytest.mark.parametrize("address", ["https://host/x?y", "http://host", "mailto:a@b.c", "HTTPS://HOST"])
def test_web_and_mail_addresses_may_be_opened(address: str) -> None:
    assert is_safe_address(address)


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "file:///etc/passwd", "", "//host", "https://a b", "https://\u202eab"]
)
def test_anything_else_may_not(address: str) -> None:
    assert not is_safe_address(address)
