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


def shown(text: str, stream: TextStream) -> tuple[str, str | None]:
    return "".join(run(stream, [bytes([byte]) for byte in text.encode()])), stream.stopped_by


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Human: and you?", ("", "Human:")),
        ("Humans are", ("Humans are", None)),
        ("Hum", ("Hum", None)),
        ("A Human: one", ("A Human: one", None)),
        ("Hi\nHuman: you?", ("Hi", "\nHuman:")),
        ("HuHuman:", ("HuHuman:", None)),
    ],
)
def test_a_leading_stop_string_ends_only_at_the_beginning(
    text: str, expected: tuple[str, str | None]
) -> None:
    assert shown(text, TextStream(["\nHuman:"], ["Human:"])) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\nHuman: quoted.\nMore.", ("\nHuman: quoted.\nMore.", None)),
        (" \n\nHuman: quoted.\nHuman: asks", (" \n\nHuman: quoted.", "\nHuman:")),
        ("\nHuman:\nHuman:", ("\nHuman:", "\nHuman:")),
        ("Well.\nHuman: asks", ("Well.", "\nHuman:")),
        ("\nHumans", ("\nHumans", None)),
        ("", ("", None)),
    ],
)
def test_what_goes_on_gets_past_a_stop_string_once(text: str, expected: tuple[str, str | None]) -> None:
    assert shown(text, TextStream(["\nHuman:"], passes_first=True)) == expected


@given(TEXTS, st.lists(st.integers(0, 160), max_size=30))
def test_any_split_passes_the_same(text: str, cuts: list[int]) -> None:
    at_once, in_pieces = (TextStream(STOPS, ["</s>"], passes_first=True) for _ in range(2))
    assert "".join(run(at_once, [text.encode()])) == "".join(run(in_pieces, split(text.encode(), cuts)))
    assert at_once.stopped_by == in_pieces.stopped_by
