"""What a model writes is all there, as what it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.markdown.blocks import (
    Block,
    Code,
    Formula,
    FormulaBlock,
    Heading,
    Item,
    Paragraph,
    Quote,
    Rule,
    Run,
    Table,
)
from app.markdown.reading import read_blocks
from builders.written_text import visible_text


def _read(text: str) -> list[Block]:
    return [placed.block for placed in read_blocks(text)]


def _line(text: str) -> tuple[Run | Formula, ...]:
    (block,) = _read(text)
    assert isinstance(block, Paragraph)
    return block.inlines


def _formulas(text: str) -> list[str]:
    return [part.tex for part in _line(text) if isinstance(part, Formula)]


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("当$x=1$时，有$y=2$，因此$x+y=3$。", ["x=1", "y=2", "x+y=3"]),
        ("其中$a$、$b$为常数（$a>0$）。", ["a", "b", "a>0"]),
        ("设函数\\(f(x)=x^2\\)在区间\\([0,1]\\)上", ["f(x)=x^2", "[0,1]"]),
        ("so \\[ E = mc^2 \\] holds", ["E = mc^2"]),
        ("$$a_1$$ inside", ["a_1"]),
        ("$\\text{速度}=1$", ["\\text{速度}=1"]),
        ("$a\\$b$", ["a\\$b"]),
    ],
)
def test_formulas_are_told_by_their_signs_whatever_stands_beside_them(text: str, formulas: list[str]) -> None:
    assert _formulas(text) == formulas


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("It costs 5$ and 10$ more, total 15$.", None),
        ("US$, CA$ and AU$ are dollars.", None),
        ("从$5涨到$10，又跌到$7。", None),
        ("$HOME and $PATH, $HOME/bin:$PATH", None),
        ("( Q&A included ) and [ 1, 2, 3 ] and ( 见注释_2 )。", None),
        ("use C:\\[temp\\] and D:\\_new\\*.txt", None),
        ("use \\(not math\\)", "use (not math)"),
        ("5\\*3 and \\# 1", "5*3 and # 1"),
    ],
)
def test_money_variables_brackets_and_paths_are_prose(text: str, shown: str | None) -> None:
    assert _line(text) == (Run(shown or text),)


@pytest.mark.parametrize(
    ("text", "bold"),
    [
        ("**注意：**请先备份。", ["注意："]),
        ("这是**“重要”**的文件", ["“重要”"]),
        ("，**步骤一（必做）**完成后", ["步骤一（必做）"]),
        ("**a** b ** c **", ["a"]),
        ("한국어**(조선말)**이다", ["(조선말)"]),
    ],
)
def test_chinese_needs_no_blanks_around_bold_text(text: str, bold: list[str]) -> None:
    assert [part.text for part in _line(text) if isinstance(part, Run) and part.is_bold] == bold


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE html>\n<html>\n<body>\n\n  <h1>Hi</h1>\n\n    <p>a</p>\n\n</body>\n</html>",
        "<div>",
        "<!-- a comment -->",
        "<details>\n<summary>More</summary>\ntext\n</details>",
    ],
)
def test_html_is_code_and_whole(text: str) -> None:
    assert _read(text) == [Code("html", text)]


@pytest.mark.parametrize(
    "text", ["<your address>", "<姓名>", "a <b>bold</b> word", "x<sup>2</sup>", "if a<b:"]
)
def test_what_only_looks_like_html_is_text(text: str) -> None:
    assert _line(text) == (Run(text),)


def test_links_are_links_and_their_definitions_stay() -> None:
    assert _read("[the docs][1], <https://a.b>, 见https://c.d/e。\n\n[1]: https://x.y") == [
        Paragraph(
            (
                Run("the docs", href="https://x.y"),
                Run(", "),
                Run("https://a.b", href="https://a.b"),
                Run(", 见"),
                Run("https://c.d/e", href="https://c.d/e"),
                Run("。"),
            )
        ),
        Paragraph((Run("[1]: "), Run("https://x.y", href="https://x.y")), is_note=True),
    ]


def test_footnotes_stand_where_they_were_written() -> None:
    assert _read("脚注[^1]。\n\n[^1]: 这是**内容**") == [
        Paragraph((Run("脚注"), Run("[1]", is_raised=True), Run("。"))),
        Paragraph((Run("[1] "), Run("这是"), Run("内容", is_bold=True)), is_note=True),
    ]


def test_images_are_never_more_than_text() -> None:
    assert _line("![a cat](https://host/cat.png) ![](x.png)") == (
        Run("▣ a cat (https://host/cat.png) ▣ x.png"),
    )


def test_a_quote_of_several_lines_is_one_with_all_in_it() -> None:
    assert _read("> one\n> two\n>\n> ```py\n> x = 1\n> ```") == [
        Quote((Paragraph((Run("one\ntwo"),)), Code("py", "x = 1")))
    ]


@pytest.mark.parametrize("indent", range(8))
def test_a_fence_after_a_numbered_item_is_code_at_any_indent(indent: int) -> None:
    pad = " " * indent
    blocks = _read(f"1. Create:\n\n{pad}```yaml\n{pad}- name: web\n{pad}```\n\n2. Start it.")

    assert "```" not in visible_text(blocks) or indent >= 7  # beyond that, CommonMark has it indented code
    assert "- name: web" in visible_text(blocks)


def test_formulas_in_nested_lists_belong_to_the_item() -> None:
    (item,) = _read(
        "*   **E:**\n    1.  M:\n        *   A ($t$):\n            \\[\n            x\n            \\]"
    )
    assert isinstance(item, Item)
    inner = item.blocks[1]
    assert isinstance(inner, Item)
    assert isinstance(inner.blocks[1], Item)
    assert inner.blocks[1].blocks[1] == FormulaBlock("x", "\\[\nx\n\\]")


def test_a_formula_may_have_a_blank_line_inside_an_environment() -> None:
    blocks = _read("$$\n\\begin{aligned}\na &= b \\\\\n\nc &= d\n\\end{aligned}\n$$\n\nAfter.")
    assert [type(block) for block in blocks] == [FormulaBlock, Paragraph]


def test_dollars_that_no_formula_follows_are_text() -> None:
    assert _read("$$ is what it costs\n\nNext") == [
        Paragraph((Run("$$ is what it costs"),)),
        Paragraph((Run("Next"),)),
    ]


def test_a_cell_may_have_several_lines() -> None:
    (table,) = _read("| a | b |\n|:-:|--:|\n| one<br>two | `x\\|y` |")
    assert table == Table(
        ("center", "right"),
        ((Run("a"),), (Run("b"),)),
        (((Run("one\ntwo"),), (Run("x|y", is_code=True),)),),
    )


def test_code_is_exact() -> None:
    code = "\tif (![1,2].includes(x)) {  \n\n  $a$ <b> &amp; `y`\u2060\n}"
    assert _read(f"````js\n{code}\n````") == [Code("js", code)]
    assert _read("    indented\n      more") == [Code("", "indented\n  more")]
    assert _line("`![1,2]`") == (Run("![1,2]", is_code=True),)


def test_a_task_has_a_box() -> None:
    assert _read("- [x] done\n- [ ] open\n- [z] none") == [
        Item(None, (Paragraph((Run("done"),)),), is_done=True),
        Item(None, (Paragraph((Run("open"),)),), is_done=False),
        Item(None, (Paragraph((Run("[z] none"),)),)),
    ]


def test_headings_and_rules() -> None:
    assert _read("# A\n\nB\n===\n\n***") == [Heading(1, (Run("A"),)), Heading(1, (Run("B"),)), Rule()]


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab 中，\n\t<>&!-+.:/C1", max_size=60))
def test_no_letter_is_lost(text: str) -> None:
    shown = visible_text(_read(text))
    for letter in "ab中，C":
        assert shown.count(letter) >= text.count(letter) - text.count("&")
