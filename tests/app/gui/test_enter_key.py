"""Enter sends, Shift+Enter breaks the line, and an input method's confirmation does neither."""

from __future__ import annotations

from app.components.chat.enter_key import EnterKey, Typed


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _typing(text: str) -> EnterKey:
    rule = EnterKey()
    rule.on_change(text)
    return rule


def test_enter_sends_what_was_there() -> None:
    rule = _typing("你好")
    rule.on_key("Enter", shift=False)
    assert rule.on_change("你好\n") == Typed("", submitted="你好")


def test_enter_in_the_middle_sends_the_whole_text() -> None:
    rule = _typing("one two")
    rule.on_key("Enter", shift=False)
    assert rule.on_change("one\n two").submitted == "one two"


def test_enter_with_a_selection_sends_it_too() -> None:
    rule = _typing("one two")
    rule.on_key("Enter", shift=False)
    assert rule.on_change("one\n").submitted == "one two"


def test_shift_enter_breaks_the_line() -> None:
    rule = _typing("one")
    rule.on_key("Enter", shift=True)
    assert rule.on_change("one\n") == Typed("one\n")
    rule.on_change("one\ntwo")
    rule.on_key("Enter", shift=False)
    assert rule.on_change("one\ntwo\n").submitted == "one\ntwo"


def test_a_shift_that_was_used_long_ago_does_not_count() -> None:
    clock = _Clock()
    rule = EnterKey(now=clock)
    rule.on_change("one")
    rule.on_key("Enter", shift=True)
    clock.now = 5.0
    assert rule.on_change("one\n").submitted == "one"


def test_confirming_a_candidate_with_enter_never_sends() -> None:
    rule = EnterKey()
    for composing in ("n", "ni", "ni'h", "ni'hao"):
        assert rule.on_change(composing).submitted is None
    rule.on_key("Enter", shift=False)  # code 229: the browser reports the key all the same
    assert rule.on_change("nihao").submitted is None
    rule.on_change("nihao 世界")
    rule.on_key("Enter", shift=False)
    assert rule.on_change("nihao 世界\n").submitted == "nihao 世界"


def test_choosing_a_candidate_replaces_the_composition_and_does_not_send() -> None:
    rule = _typing("nihao")
    rule.on_key("Enter", shift=False)
    assert rule.on_change("你好") == Typed("你好")


def test_pasting_lines_does_not_send() -> None:
    rule = _typing("see:")
    assert rule.on_change("see:\nline one\nline two\n") == Typed("see:\nline one\nline two\n")


def test_what_is_typed_before_the_field_is_emptied_is_kept() -> None:
    rule = _typing("one")
    rule.on_key("Enter", shift=False)
    assert rule.on_change("one\n").submitted == "one"
    assert rule.on_change("one\nt") == Typed("t")
    assert rule.on_change("one\ntw") == Typed("tw")
    assert rule.on_change("two") == Typed("two")


def test_a_phones_return_key_breaks_the_line() -> None:
    rule = EnterKey(newline_without_key=True)
    rule.on_change("one")
    assert rule.on_change("one\n") == Typed("one\n")
    rule.on_key("Enter", shift=False)
    assert rule.on_change("one\n\n").submitted == "one\n"


def test_enter_in_an_empty_field_leaves_it_empty() -> None:
    rule = EnterKey()
    rule.on_key("Enter", shift=False)
    assert rule.on_change("\n") == Typed("", submitted="")
