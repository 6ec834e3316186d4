"""No image of an answer reaches the renderer, and only harmless links are offered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.components.chat.safe_markdown import is_safe_address, without_images


@pytest.mark.parametrize(
    ("markdown", "safe"),
    [
        ("![a cat](https://host/cat.png)", "▣ a cat (https://host/cat.png)"),
        ('![](x.png "title")', "▣ x.png"),
        ("![a [b] c](x)", "!\u2060[a [b] c](x)"),
        ("![label][ref]", "!\u2060[label][ref]"),
        ("`![x](y)`", "`!\u2060[x](y)`"),
        ("a [link](https://host) stays", "a [link](https://host) stays"),
        ("wow!", "wow!"),
    ],
)
def test_images_become_text(markdown: str, safe: str) -> None:
    assert without_images(markdown) == safe


@given(st.text(alphabet="![]()`\\ab<>\n\"'", max_size=40))
def test_nothing_that_begins_an_image_is_left(markdown: str) -> None:
    safe = without_images(markdown)
    assert "![" not in safe.replace("\\!", "")


@pytest.mark.parametrize("address", ["https://host/x?y", "http://host", "mailto:a@b.c", "HTTPS://HOST"])
def test_web_and_mail_addresses_may_be_opened(address: str) -> None:
    assert is_safe_address(address)


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "file:///etc/passwd", "", "//host", "https://a b", "https://\u202eab"]
)
def test_anything_else_may_not(address: str) -> None:
    assert not is_safe_address(address)
