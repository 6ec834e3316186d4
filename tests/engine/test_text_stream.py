"""Whole characters only, and never a fragment of a stop string, however the bytes are split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text_stream import TextStream

STOPS = ("\nHuman:", "</s>", "。。", "abab", "ba")
TEXTS = st.text(st.sampled_from("ab\nHuman:</s>。 中é😀"), max_size=40)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def slow_cut(text: str, stops: tuple[str, ...]) -> str:
    """Reference: grow the text by a character until it ends with a stop string, the longest one of those."""
    for end in range(1, len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            return text[: end - max(map(len, ending))]
    return text


def run(stream: TextStream, pieces: list[bytes], *, cut: bool = False) -> list[str]:
    out = [stream.push(piece) for piece in pieces]
    return [*out, stream.finish(cut=cut)]


@given(TEXTS, st.lists(st.integers(0, 160), max_size=30))
def test_any_split_gives_the_text_up_to_the_first_stop_string(text: str, cuts: list[int]) -> None:
    stream = TextStream(STOPS)
    out = run(stream, split(text.encode(), cuts))
    assert "".join(out) == slow_cut(text, STOPS) == stream.text
    assert stream.stopped == (slow_cut(text, STOPS) != text or any(text.endswith(stop) for stop in STOPS))


@given(TEXTS, st.lists(st.integers(0, 160), max_size=30))
def test_nothing_is_taken_back(text: str, cuts: list[int]) -> None:
    stream = TextStream(STOPS)
    so_far = ""
    expected = slow_cut(text, STOPS)
    for piece in split(text.encode(), cuts):
        so_far += stream.push(piece)
        assert expected.startswith(so_far)


@given(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=10))
def test_any_bytes_decode_as_they_would_at_once(data: bytes, cuts: list[int]) -> None:
    assert "".join(run(TextStream(), split(data, cuts))) == data.decode("utf-8", "replace")


@given(st.text(max_size=20))
def test_valid_text_never_shows_a_replacement_character(text: str) -> None:
    out = run(TextStream(), [bytes([byte]) for byte in text.encode()])
    assert "".join(out) == text


@pytest.mark.parametrize("cut", [False, True])
def test_half_a_character_at_the_end_shows_only_where_the_model_left_it(cut: bool) -> None:
    assert "".join(run(TextStream(), ["中文".encode()[:-1]], cut=cut)) == ("中" if cut else "中\ufffd")


def test_what_might_have_become_a_stop_string_comes_out_in_the_end() -> None:
    stream = TextStream(["\nHuman:"])
    assert stream.push(b"x\nHum") == "x"
    assert stream.finish(cut=True) == "\nHum"
    assert not stream.stopped


def test_nothing_comes_after_a_stop_string() -> None:
    stream = TextStream(["STOP"])
    assert [stream.push(b"aST"), stream.push(b"OPb"), stream.push(b"c"), stream.finish(cut=False)] == [
        "a",
        "",
        "",
        "",
    ]


TURNS = ("\nHuman:", "\n Human:", "\nHuman：")
MADE_UP = "Human: And you?\n\nAssistant: Me, too."


def shown(text: str, stream: TextStream) -> tuple[str, bool]:
    return "".join(run(stream, [bytes([byte]) for byte in text.encode()])), stream.stopped


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi.\n" + MADE_UP, "Hi."),
        ("Hi.\n\n" + MADE_UP, "Hi.\n"),
        ("Hi.\n " + MADE_UP, "Hi."),
        ("Hi.\nHuman：你呢？\nAssistant：我也是。", "Hi."),
        ("Hi.\nHuman: Translate:\nI see.\n\nAssistant: 我明白。", "Hi."),
        (MADE_UP, ""),
        ("Hi.\nHuman: " + "on and on " * 30 + "\n\nAssistant: I see.", "Hi."),
    ],
)
def test_a_turn_that_is_made_up_ends_the_text(text: str, expected: str) -> None:
    assert shown(text, TextStream((), TURNS)) == (expected, True)


@pytest.mark.parametrize(
    "text",
    [
        "Words:\n\nHuman: an animal species.\nDog: another one.\n\nThat is all.",
        "Words:\nHuman: an animal species.\n\nAssistants help.\nHuman: again.\n\nThe end.",
        "Words:\nHuman: an animal species.",
        "Human: an animal species.\n\nDog: another.",
        "Humans are animals.",
        "A Human: one.",
        "Words:\nHuman: an animal species.\n" + "Dog: a pet that is loved by many.\n" * 15 + "\nThat is all.",
        "词汇表：\nHuman：人类\n" + "词：这是一个比较长的解释，说明这个词的意思。\n" * 25,
        "Hi.\nHuman: " + "on and on " * 50,
    ],
)
def test_a_line_of_that_name_is_no_turn(text: str) -> None:
    assert shown(text, TextStream((), TURNS)) == (text, False)


def test_a_turn_after_a_line_of_that_name_ends_the_text() -> None:
    quoted = "Human: an animal species.\n\nDog: another."
    assert shown(f"{quoted}\n{MADE_UP}", TextStream((), TURNS)) == (quoted, True)


@pytest.mark.parametrize(("cut", "expected"), [(True, "Hi."), (False, "Hi.\nHuman: you")])
def test_what_may_be_a_turn_is_kept_only_where_the_model_ended_it(cut: bool, expected: str) -> None:
    assert "".join(run(TextStream((), TURNS), [b"Hi.\nHuman: you"], cut=cut)) == expected
    assert "".join(run(TextStream((), TURNS), [b"Hi.\nHuman: "], cut=cut)) == "Hi."


def test_a_long_list_is_held_back_once_and_flows_from_then_on() -> None:
    stream = TextStream((), TURNS)
    pieces = [b"Words:\nHuman: a species.", *[b"\nDog: a pet of many people."] * 40]
    shown_at = [bool(stream.push(piece)) for piece in pieces]
    first = shown_at.index(True, 1)
    assert sum(map(len, pieces[1:first])) < 400
    assert all(shown_at[first:])


def test_what_may_be_a_turn_is_not_shown_before_it_is_clear() -> None:
    stream = TextStream((), TURNS)
    assert stream.push(b"Hi.\nHuman: an animal.\nDog: too.") == "Hi."
    assert stream.push(b"\n\n") == ""
    assert stream.push(b"So") == "\nHuman: an animal.\nDog: too.\n\nSo"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n" + MADE_UP, ("\n" + MADE_UP, False)),
        (MADE_UP, (MADE_UP, False)),
        (" \n\nHuman: x\n\nNo.\n" + MADE_UP, (" \n\nHuman: x\n\nNo.", True)),
        ("Well.\n" + MADE_UP, ("Well.", True)),
        ("STOP STOP", ("STOP ", True)),
        ("Well. STOP", ("Well. ", True)),
        ("", ("", False)),
    ],
)
def test_what_goes_on_gets_past_what_ended_it(text: str, expected: tuple[str, bool]) -> None:
    assert shown(text, TextStream(["STOP"], TURNS, goes_on=True)) == expected


TURN_TEXTS = st.lists(
    st.sampled_from(
        ["\nHuman:", "Human:", "\n", " ", "Assistant:", "Assistant", "a", "。。", "</s>", "x" * 150]
    ),
    max_size=14,
).map("".join)


@given(TURN_TEXTS, st.lists(st.integers(0, 700), max_size=30), st.booleans(), st.booleans())
def test_any_split_finds_the_same_turns(text: str, cuts: list[int], goes_on: bool, cut: bool) -> None:
    at_once, in_pieces = (TextStream(STOPS, TURNS, goes_on=goes_on) for _ in range(2))
    pieces = split(text.encode(), cuts)
    assert "".join(run(at_once, [text.encode()], cut=cut)) == "".join(run(in_pieces, pieces, cut=cut))
    assert at_once.stopped_by == in_pieces.stopped_by
