"""Markdown that fetches nothing: images become their description and address, in text.

A renderer loads an image as soon as it shows it, which tells a foreign host that, when and by whom an answer
was read; so no image may reach it. Links stay, they are opened on a click only. Knows text only.
"""

from __future__ import annotations

import re

# In the renderer's own order: an escaped character, a code span, an image, what begins an image.
_TOKEN = re.compile(
    r"(?P<escape>\\.)"
    r"|(?P<code>(?P<ticks>`+)(?!`)(?:.|\n)*?[^`](?P=ticks)(?!`))"
    r"|!\[(?P<alt>[^\[\]\n]*)\]\((?P<address>[^()\s]*)(?:\s+[\"'(][^)\n]*)?\)"
    r"|(?P<start>!(?=\[))",
    re.DOTALL,
)
_WORD_JOINER = "\u2060"  # takes no room, and keeps "!" and "[" apart


def without_images(markdown: str) -> str:
    """The same Markdown, with text in place of images."""
    return _TOKEN.sub(_replaced, markdown) if "![" in markdown else markdown


def _replaced(token: re.Match[str]) -> str:
    if token["address"] is not None:
        label = token["alt"].strip()
        return f"▣ {label} ({token['address']})" if label else f"▣ {token['address']}"
    if token["start"] is not None:
        return "!" + _WORD_JOINER
    # Where this pattern and the renderer disagree on what is code, an image must not appear either.
    return token[0].replace("![", f"!{_WORD_JOINER}[")


def is_safe_address(address: str) -> bool:
    """Whether a link may be offered for opening: web and mail only, nothing that runs or reads files."""
    return bool(re.match(r"(?:https?://|mailto:)\S", address, re.IGNORECASE)) and not re.search(
        r"[\x00-\x20\x7f\u202a-\u202e\u2066-\u2069]", address
    )
