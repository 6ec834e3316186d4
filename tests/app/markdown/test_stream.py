"""A growing Markdown text as blocks: how it arrived makes no difference, and what is over stays."""

from __future__ import annotations

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.markdown.blocks import Block, Code, FormulaBlock, Item, Paragraph, Run
from app.markdown.reading import read_blocks
from app.markdown.stream import MarkdownStream

_many = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
    "<div>",
    "   <p>",
    "</div>",
    "<!-- c -->",
    "[a]",
    "[a]: http://b.c",
    "[^1]",
    "[^1]: note",
    "\\begin{aligned}",
    "**粗体：**字",
    "一\r",
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


@_many
@given(_pieces())
def test_the_text_stays_exact_and_finished_blocks_change_for_definitions_only(pieces: list[str]) -> None:
    stream = MarkdownStream()
    sent = ""
    finished: tuple[Block, ...] = ()
    for piece in pieces:
        stream.append(piece)
        sent += piece

        assert stream.text == sent
        if "[a]:" not in sent:
            assert stream.blocks[: len(finished)] == finished
        finished = stream.blocks[: stream.n_finished]


@_many
@example(["$$\n```python\n你好，世界。"])
@example(["你好\n$$\n0", "\n\n你好"])
@example(["$$\n- 你好\n", "  x^2"])
@given(_pieces())
def test_how_the_text_arrived_makes_no_difference(pieces: list[str]) -> None:
    stream = MarkdownStream()
    for piece in pieces:
        stream.append(piece)
    stream.end()

    assert list(stream.blocks) == [placed.block for placed in read_blocks("".join(pieces))]


@_many
@given(_pieces())
def test_whoever_looks_at_what_changed_sees_all(pieces: list[str]) -> None:
    stream = MarkdownStream()
    seen: list[Block] = []
    for piece in [*pieces, None]:
        if piece is None:
            stream.end()
        else:
            stream.append(piece)
        start = stream.take_changed_from()
        seen[start:] = stream.blocks[start:]

        assert tuple(seen) == stream.blocks


def test_a_list_is_one_block_an_item_and_goes_on_counting() -> None:
    stream = MarkdownStream()
    for piece in ("7. one\n   more\n", "\n   - nested\n", "7. two\nlazy\n7", ". three\n\nAfter"):
        stream.append(piece)

    *items, after = stream.blocks
    assert [item.number for item in items if isinstance(item, Item)] == [7, 8, 9]
    assert after == Paragraph((Run("After"),))


def test_a_definition_that_comes_later_makes_links_of_what_is_over() -> None:
    stream = MarkdownStream("See [the docs][1].\n\nMore.\n\nEven more.\n")
    before = stream.blocks[0]
    assert stream.n_finished >= 1

    stream.append("\n[1]: https://example.com/docs\n\nEnd\n\n")

    assert before == Paragraph((Run("See [the docs][1]."),))
    assert stream.take_changed_from() == 0
    assert stream.blocks[0] == Paragraph(
        (Run("See "), Run("the docs", href="https://example.com/docs"), Run("."))
    )


def test_code_and_formulas_without_an_end_are_shown_as_they_grow() -> None:
    assert MarkdownStream("```py\nx = 1\n\ny").blocks == (Code("py", "x = 1\n\ny"),)
    assert MarkdownStream("$$\nx^2").blocks == (FormulaBlock("x^2", "$$\nx^2", is_closed=False),)


def test_an_answer_that_goes_on_after_its_end_is_read_as_one() -> None:
    stream = MarkdownStream("- a\n- b")
    stream.end()
    stream.append("c\n\n  d")
    stream.end()

    assert list(stream.blocks) == [placed.block for placed in read_blocks("- a\n- bc\n\n  d")]


def test_a_long_answer_leaves_little_to_resend() -> None:
    stream = MarkdownStream()
    for _ in range(200):
        stream.append("A sentence of some length, as models write them.\n\n- an item\n- another\n\n")

    assert len(stream.blocks) == 600
    assert stream.n_growing_chars < 100
