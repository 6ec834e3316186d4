"""The examples of CommonMark and GFM through our blocks: no visible character of any is missing.

CHATBELLE_MARKDOWN_SUITES names a folder with the unpacked source packages of markdown-it-py, which has
CommonMark's examples as JSON, and of marko, which has GFM's.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.markdown.reading import read_blocks
from builders.written_text import visible_text

_EXAMPLE = re.compile(r"^`{32} example[^\n]*\n(.*?)^\.\n(.*?)^`{32}$", re.DOTALL | re.MULTILINE)


class _TextOfHtml(HTMLParser):
    """What a browser shows of HTML, with descriptions in place of images."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.parts.append(dict(attrs).get("alt") or "")

    handle_startendtag = handle_starttag


def _commonmark(folder: Path) -> Iterator[tuple[str, str]]:
    (path,) = folder.glob("markdown_it_py-*/tests/test_cmark_spec/commonmark.json")
    for example in json.loads(path.read_text(encoding="utf-8")):
        yield example["markdown"], example["html"]


def _gfm(folder: Path) -> Iterator[tuple[str, str]]:
    (path,) = folder.glob("marko-*/tests/spec/gfm.txt")
    for found in _EXAMPLE.finditer(path.read_text(encoding="utf-8")):
        yield found[1].replace("→", "\t"), found[2].replace("→", "\t")


def _text_of_html(html: str) -> str:
    parser = _TextOfHtml()
    parser.feed(html)
    parser.close()
    return "".join(parser.parts)


def _is_all_in(expected: str, shown: str) -> bool:
    """Whether every character but blanks is shown, in this order."""
    rest = iter(shown)
    return all(character in rest for character in expected if not character.isspace())


@pytest.mark.parametrize(("suite", "n_examples"), [(_commonmark, 652), (_gfm, 672)])
def test_no_character_that_can_be_seen_is_lost(suite, n_examples: int) -> None:  # type: ignore[no-untyped-def]
    folder = os.environ.get("CHATBELLE_MARKDOWN_SUITES")
    if not folder:
        pytest.skip("CHATBELLE_MARKDOWN_SUITES names no folder with the suites")
    examples = list(suite(Path(folder)))

    lost = [
        markdown
        for markdown, html in examples
        if not _is_all_in(
            _text_of_html(html), visible_text([placed.block for placed in read_blocks(markdown)])
        )
    ]

    assert len(examples) == n_examples
    assert lost == []
