"""The text of a block, from markdown-it's tokens to runs and formulas."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from markdown_it.token import Token

from app.markdown.blocks import Formula, Inline, Inlines, Run

# What an address may be made of; Chinese text goes on behind it without a blank.
_ADDRESS = re.compile(r"https?://[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_STYLES = {"strong": "is_bold", "em": "is_italic", "s": "is_struck"}


def read_inlines(tokens: Sequence[Token]) -> Inlines:
    """What the children of an `inline` token say; neighbours in the same style are one run."""
    merged: list[Inline] = []
    for inline in _inlines(tokens):
        last = merged[-1] if merged else None
        if isinstance(inline, Run) and isinstance(last, Run) and _style(inline) == _style(last):
            merged[-1] = replace(last, text=last.text + inline.text)
        else:
            merged.append(inline)
    return tuple(inline for inline in merged if not isinstance(inline, Run) or inline.text)


def _style(run: Run) -> Run:
    return replace(run, text="")


def _inlines(tokens: Sequence[Token]) -> Iterator[Inline]:
    depths = dict.fromkeys(_STYLES.values(), 0)
    href = ""
    for token in tokens:
        kind = token.type.removesuffix("_open").removesuffix("_close")
        if kind in _STYLES:
            depths[_STYLES[kind]] += token.nesting
        elif kind == "link":
            href = str(token.attrs.get("href", "")) if token.nesting == 1 else ""
        else:
            style = Run(
                "",
                is_bold=depths["is_bold"] > 0,
                is_italic=depths["is_italic"] > 0,
                is_struck=depths["is_struck"] > 0,
                href=href,
            )
            yield from _leaf(token, style)


def _leaf(token: Token, style: Run) -> Iterator[Inline]:
    match token.type:
        case "softbreak" | "hardbreak":
            yield replace(style, text="\n")
        case "code_inline":
            yield replace(style, text=token.content, is_code=True)
        case "formula":
            yield Formula(token.content, token.info, style.is_bold, token.markup in ("$$", "\\["))
        case "footnote_sign":
            yield replace(style, text=f"[{token.content}]", is_raised=True)
        case "image":
            # Never loaded: that would tell a foreign host that, when and by whom an answer was read.
            label, address = token.content.strip(), str(token.attrs.get("src", ""))
            yield replace(style, text=f"▣ {label} ({address})" if label else f"▣ {address}")
        case "html_inline":
            yield replace(style, text="\n" if _BREAK.fullmatch(token.content) else token.content)
        case _:
            yield from [replace(style, text=token.content)] if style.href else _linked(token.content, style)


def _linked(text: str, style: Run) -> Iterator[Run]:
    """Bare addresses become links."""
    at = 0
    for found in _ADDRESS.finditer(text):
        address = _without_end_of_sentence(found[0])
        yield replace(style, text=text[at : found.start()])
        yield replace(style, text=address, href=address)
        at = found.start() + len(address)
    yield replace(style, text=text[at:])


def _without_end_of_sentence(address: str) -> str:
    while True:
        shorter = address.rstrip(".,;:!?'*_~")
        if shorter.endswith(")") and shorter.count(")") > shorter.count("("):
            shorter = shorter[:-1]
        if shorter.endswith("]") and shorter.count("]") > shorter.count("["):
            shorter = shorter[:-1]
        if shorter == address:
            return address
        address = shorter
