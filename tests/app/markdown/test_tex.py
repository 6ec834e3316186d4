"""Formulas are drawn only where the renderer can; the sentences of its errors never stand in for them."""

from __future__ import annotations

import pytest

from app.markdown.tex import to_draw


@pytest.mark.parametrize(
    "tex",
    [
        r"\frac{a}{b}",
        r"\frac12",
        "f'(x)^2+x_1^2",
        r"\left(\frac{a}{b}\right)^2",
        r"\left\{ a \middle| b\right.",
        r"\sqrt[3]{x}",
        r"\text{速度 v}=10\%",
        r"\begin{array}{c|c}a&b\\ \hline c&d\end{array}",
        r"\begin{cases} x & y \\ z & w \end{cases}",
        r"\xrightarrow[b]{a}",
        r"\lim\limits_{x\to 0}",
        r"\sum_{\substack{i\\j}}",
        r"a \not= b",
        r"\textcolor{red}{x}",
        "速度=路程/时间",
    ],
)
def test_what_the_renderer_knows_is_handed_over_as_it_is(tex: str) -> None:
    assert to_draw(tex) == tex


@pytest.mark.parametrize(
    ("tex", "drawn"),
    [
        (
            r"\begin{align*} a&=b\\ c&=d \tag{1}\end{align*}",
            r"\begin{aligned} a&=b\\ c&=d \qquad (\text{1})\end{aligned}",
        ),
        (r"\begin{equation}\label{e} a \end{equation}", "a"),
        (r"\begin{gather} a\\b\end{gather}", r"\begin{array}{c} a\\b\end{array}"),
        (r"a &= b\\ &= c", r"\begin{aligned}a &= b\\ &= c\end{aligned}"),
        ("a % so\n+ b", "a + b"),
        ("a\n\n  + b", "a + b"),
    ],
)
def test_what_looks_the_same_takes_the_place_of_what_it_does_not_know(tex: str, drawn: str) -> None:
    assert to_draw(tex) == drawn


@pytest.mark.parametrize(
    "tex",
    [
        "",
        r"\nosuch",
        r"\frac{a}",
        "a^b^c",
        "f^2'",
        "{a",
        "a}",
        r"\left( a",
        r"a \right)",
        r"\begin{cases} a",
        r"\begin{nosuch} a \end{nosuch}",
        r"\begin{cases} a \end{array}",
        r"\limits",
        r"\textcolor{nosuch}{a}",
        "a # b",
        "{" * 60 + "}" * 60,
        "x+" * 5000,
    ],
)
def test_anything_else_is_not_drawn(tex: str) -> None:
    assert to_draw(tex) is None
