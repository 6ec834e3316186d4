"""A growing Markdown text is cut into blocks that never change once they are finished."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.components.chat.markdown_stream import Block, BlockKind, MarkdownStream, code_of, formula_of

_LINES = (
    "你好，世界。",
    "plain words",
    "# Heading",
    "Title\n===",
    "---",
    "***",
    "- item",
    "  continued",
    "   - nested",
    "* star",
    "1. one",
    "2) two",
    "> quote",
    "```python",
    "```",
    "~~~~",
    "~~~",
    "  ```",
    "`inline`",
    "| a | b |",
    "|---|:-:|",
    "| 1 | 2 |",
    "$$",
    "$$x^2$$",
    "\\[",
    "\\]",
    "\\[ a \\] 是",
    "    indented",
    "",
    "   ",
)
_documents = st.lists(st.one_of(st.sampled_from(_LINES), st.text(max_size=12)), max_size=24).map("\n".join)


@st.composite
def _pieces(draw: st.DrawFn) -> list[str]:
    text = draw(_documents)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    edges = [0, *cuts, len(text)]
    return [text[start:end] for start, end in zip(edges, edges[1:], strict=False)]


@settings(max_examples=400)
@given(_pieces())
def test_blocks_are_the_text_and_finished_blocks_never_change(pieces: list[str]) -> None:
    stream = MarkdownStream()
    sent = ""
    finished: list[Block] = []
    for piece in pieces:
        stream.append(piece)
        sent += piece

        assert stream.text == sent
        assert stream.finished[: len(finished)] == finished
        finished = list(stream.finished)


@settings(max_examples=200)
@given(_pieces())
def test_how_the_text_arrived_makes_no_difference(pieces: list[str]) -> None:
    stream = MarkdownStream()
    for piece in pieces:
        stream.append(piece)

    assert stream.blocks == MarkdownStream("".join(pieces)).blocks


def _shown(text: str) -> list[tuple[BlockKind, str]]:
    return [(block.kind, block.text) for block in MarkdownStream(text).blocks if not block.is_blank]


def test_a_paragraph_is_finished_by_the_blank_line_after_it() -> None:
    stream = MarkdownStream("one\ntwo\n")
    assert stream.finished == []

    stream.append("\n")
    assert stream.finished == [Block(BlockKind.TEXT, "one\ntwo\n\n")]
    assert stream.tail == ()


def test_a_list_is_one_block_an_item() -> None:
    assert _shown("Intro:\n1. one\n   more\n\n   - nested\n2. two\nlazy\n\nAfter") == [
        (BlockKind.TEXT, "Intro:\n"),
        (BlockKind.ITEM, "1. one\n   more\n\n   - nested\n"),
        (BlockKind.ITEM, "2. two\nlazy\n\n"),
        (BlockKind.TEXT, "After"),
    ]


def test_a_fence_keeps_everything_until_it_closes() -> None:
    blocks = _shown("Look:\n```python\n# no heading\n\n- no item\n```\nDone")
    assert blocks == [
        (BlockKind.TEXT, "Look:\n"),
        (BlockKind.CODE, "```python\n# no heading\n\n- no item\n```\n"),
        (BlockKind.TEXT, "Done"),
    ]


def test_an_unclosed_fence_is_code_while_it_grows() -> None:
    stream = MarkdownStream("```py\nx = 1\n\ny")
    (block,) = stream.tail

    assert (block.kind, block.is_closed) == (BlockKind.CODE, False)
    assert code_of(block) == ("py", "x = 1\n\ny")


def test_a_longer_fence_is_not_closed_by_a_shorter_one() -> None:
    (block,) = MarkdownStream("````md\n```\nx\n```\n````").blocks
    assert code_of(block) == ("md", "```\nx\n```")


def test_three_ticks_around_a_word_are_no_fence() -> None:
    assert _shown("```x``` is code\nmore") == [(BlockKind.TEXT, "```x``` is code\nmore")]


def test_a_table_begins_at_its_header_and_ends_without_bars() -> None:
    assert _shown("Values:\n| a | b |\n|---|---|\n| 1 | 2 |\nAfter") == [
        (BlockKind.TEXT, "Values:\n"),
        (BlockKind.TABLE, "| a | b |\n|---|---|\n| 1 | 2 |\n"),
        (BlockKind.TEXT, "After"),
    ]


@pytest.mark.parametrize("text", ["$$\nx^2\n$$", "\\[\nx^2\n\\]", "$$x^2$$", "\\[ x^2 \\]"])
def test_formulas_are_blocks(text: str) -> None:
    (block,) = MarkdownStream(text).blocks

    assert (block.kind, block.is_closed) == (BlockKind.MATH, True)
    assert formula_of(block) == "x^2"


def test_an_unclosed_formula_ends_at_a_blank_line_and_was_none() -> None:
    assert _shown("$$ is what it costs\n\nNext") == [
        (BlockKind.TEXT, "$$ is what it costs\n\n"),
        (BlockKind.TEXT, "Next"),
    ]


def test_a_heading_is_a_block_of_its_own() -> None:
    assert [text for _, text in _shown("# A\ntext\n## B\ntext")] == ["# A\n", "text\n", "## B\n", "text"]


def test_an_underlined_title_stays_whole() -> None:
    assert _shown("Title\n---\ntext") == [(BlockKind.TEXT, "Title\n---\ntext")]


def test_a_long_answer_leaves_little_to_resend() -> None:
    stream = MarkdownStream()
    for _ in range(200):
        stream.append("A sentence of some length, as models write them.\n\n- an item\n- another\n\n")

    assert sum(len(block.text) for block in stream.tail) < 100
