"""Thought and answer are told apart however the bytes are split, and half a tag is never seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.thought_formats import ThoughtFormat, thought_format
from engine.thoughts import Part, ThoughtSplitter, tags_around


def family(template: str) -> ThoughtFormat:
    found = thought_format(template, "llama", lambda _: True)
    assert found is not None
    return found


TAGS = family("<think></think>")
GRANITE = family("<think></think> <response></response>")
APRIEL = family("[BEGIN FINAL RESPONSE]")
HARMONY = family("<|channel|><|message|>")
GEMMA = family("<|channel><channel|>")
KIMI_K3 = family("<|open|><|close|><|end_of_msg|>")
SOLAR = family("<|think|><|content|><|begin|>")
MUSE = family("<|eom|>to=self<|message|>")
COHERE = family("<|START_THINKING|>")
TRIANGLES = family("◁think▷")
FAMILIES = [TAGS, GRANITE, APRIEL, HARMONY, GEMMA, KIMI_K3, SOLAR, MUSE, COHERE, TRIANGLES]


def parts(
    form: ThoughtFormat, pieces: list[bytes], opening: str = "", *, cut: bool = False
) -> tuple[str, str]:
    """Thought and answer, after checking that no thought follows the answer."""
    splitter = ThoughtSplitter(form, opening)
    found = [split for piece in pieces for split in splitter.push(piece)]
    found += splitter.finish(cut=cut)
    kinds = [part for part, _ in found]
    assert kinds == sorted(kinds, key=lambda part: part is Part.ANSWER)
    return tuple(  # type: ignore[return-value]
        b"".join(data for part, data in found if part is kind).decode("utf-8", "replace")
        for kind in (Part.THOUGHT, Part.ANSWER)
    )


def bytewise(text: str) -> list[bytes]:
    return [bytes([byte]) for byte in text.encode()]


@pytest.mark.parametrize(
    ("form", "written", "thought", "answer"),
    [
        (TAGS, "<think>\nHm.\n\nYes.\n</think>\n\nFour.", "Hm.\n\nYes.", "Four."),
        (TAGS, "\n<think>Hm.</think>Four.\n", "Hm.", "Four.\n"),
        (TAGS, "<think>\n\n</think>\n\nFour.", "", "Four."),
        (TAGS, "</think>\n\nFour.", "", "Four."),
        (TAGS, "Four.", "", "Four."),
        (TAGS, "\n\nFour <think>no</think>.", "", "\n\nFour <think>no</think>."),
        (TAGS, "<think>a</think>b<think>c</think>d", "a", "b<think>c</think>d"),
        (TAGS, "<think>a</think>\n    code\n", "a", "    code\n"),
        (TAGS, "<think>a</think> b", "a", "b"),
        (TAGS, "<think>a < b, </thin> </", "a < b, </thin> </", ""),
        (TAGS, "<b>bold</b>", "", "<b>bold</b>"),
        (TAGS, "<thin", "", "<thin"),
        (TAGS, "<think>a</think>\n\n", "a", ""),
        (GRANITE, "<think>a</think>\n<response>b</response>", "a", "b</response>"),
        (GRANITE, "<think>a</think>\nb", "a", "b"),
        (APRIEL, "Here are my reasoning steps:\na\n[BEGIN FINAL RESPONSE]\nb", "a", "b"),
        (
            APRIEL,
            "Here are my notes: [BEGIN FINAL RESPONSE]",
            "",
            "Here are my notes: [BEGIN FINAL RESPONSE]",
        ),
        (
            HARMONY,
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b",
            "a",
            "b",
        ),
        (
            HARMONY,
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>b"
            "<|end|><|start|>assistant<|channel|>commentary to=assistant<|channel|>final <|constrain|>json"
            "<|message|>{}",
            "a\n\nb",
            "{}",
        ),
        (HARMONY, "<|channel|>analysis<|message|>a<|channel|>final<|message|>b", "a", "b"),
        (HARMONY, "<|channel|>final<|message|>b", "", "b"),
        (HARMONY, "<|message|>b", "", "b"),
        (HARMONY, "b", "", "b"),
        (HARMONY, "<|channel|>" + "x" * 300, "", "<|channel|>" + "x" * 300),
        (HARMONY, "<|channel|>analysis<|message|>a<|end|><|start|>assistant", "a", ""),
        (GEMMA, "<|channel>thought\na\n<channel|>b", "a", "b"),
        (KIMI_K3, "<|open|>think<|sep|>a<|close|>think<|sep|><|open|>response<|sep|>b", "a", "b"),
        (KIMI_K3, "<|open|>think<|sep|>a<|open|>response<|sep|>b", "a", "b"),
        (SOLAR, "<|think|>a<|end|><|begin|>assistant<|content|>b", "a", "b"),
        (SOLAR, "<|content|>b", "", "b"),
        (MUSE, " to=self<|message|>a<|eom|><|start|>assistant to=user<|message|>b", "a", "b"),
        (COHERE, "<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b", "a", "b"),
        (TRIANGLES, "◁think▷想◁/think▷答", "想", "答"),
    ],
)
def test_each_family_is_split(form: ThoughtFormat, written: str, thought: str, answer: str) -> None:
    assert parts(form, [written.encode()]) == (thought, answer)
    assert parts(form, bytewise(written)) == (thought, answer)


@pytest.mark.parametrize(
    ("form", "opening", "written", "thought", "answer"),
    [
        (TAGS, "<|im_start|>assistant\n<think>\n", "a\n</think>\n\nb", "a", "b"),
        (TAGS, "<|im_start|>assistant\n<think>\n", "<think>\na\n</think>\n\nb", "a", "b"),
        (TAGS, "assistant\n<think>\n\n</think>\n\n", "\nb <think>", "", "b <think>"),
        (TAGS, "assistant\n<think>\n\n</think>\n\n", "<think>a</think>b", "a", "b"),
        (TAGS, "<|assistant|></think>", "\nb", "", "b"),
        (TAGS, "<|im_start|>assistant\n", "<think>a</think>b", "a", "b"),
        (TAGS, "assistant\n<think>\nThe first", " second\n</think>\n\nb", " second", "b"),
        (APRIEL, "Here are my reasoning steps:\n", "a\n[BEGIN FINAL RESPONSE]\nb", "a", "b"),
        (GEMMA, "<|turn>model\n<|channel>thought\n<channel|>", "b", "", "b"),
        (COHERE, "<|CHATBOT_TOKEN|><|START_THINKING|>", "a<|END_THINKING|>b", "a", "b"),
        (COHERE, "<|START_THINKING|><|END_THINKING|>", "<|START_RESPONSE|>b", "", "b"),
        (KIMI_K3, "<|open|>think<|sep|>", "a<|close|>think<|sep|><|open|>response<|sep|>b", "a", "b"),
        (KIMI_K3, "<|open|>response<|sep|>", "b", "", "b"),
        (SOLAR, "<|begin|>assistant<|think|><|end|><|begin|>assistant", "<|content|>b", "", "b"),
        (
            HARMONY,
            "<|end|><|start|>assistant",
            "<|channel|>analysis<|message|>a<|end|><|channel|>final<|message|>b",
            "a",
            "b",
        ),
        (HARMONY, "<|end|><|start|>assistant<|channel|>analysis<|message|>The", " a<|end|>", " a", ""),
        (HARMONY, "<|start|>assistant<|channel|>final<|message|>", "b", "", "b"),
        (MUSE, "<|eot|><|start|>assistant", " to=user<|message|>b", "", "b"),
        (MUSE, "<|start|>assistant to=self<|message|>", "a<|eom|>", "a", ""),
    ],
)
def test_the_prompt_may_have_begun_or_ended_the_thought(
    form: ThoughtFormat, opening: str, written: str, thought: str, answer: str
) -> None:
    assert parts(form, bytewise(written), opening) == (thought, answer)


def after_close(form: ThoughtFormat, pieces: list[bytes], *, cut: bool = False) -> tuple[str, int | None]:
    """The answer after a thought that was closed from outside, and how many of its bytes precede it."""
    splitter = ThoughtSplitter(form, form.before)
    assert list(splitter.push(b"Hm")) == [(Part.THOUGHT, b"Hm")]
    splitter.close(5)
    found = [split for piece in pieces for split in splitter.push(piece)]
    found += splitter.finish(cut=cut)
    assert {part for part, _ in found} <= {Part.ANSWER}
    start = splitter.answer_start
    return b"".join(data for _, data in found).decode(), None if start is None else start - len(b"Hm") - 5


@pytest.mark.parametrize(
    ("form", "written", "answer"),
    [
        (TAGS, "</think>\n\nFour.", "Four."),
        (TAGS, "\n</think>\n</think> Four.", "Four."),
        (TAGS, "<think>\n\n</think>\n\nFour.", "Four."),
        (TAGS, "</think><think></think>\n    code", "    code"),
        (TAGS, "\n\nFour.\n</think>\n", "Four.\n</think>\n"),
        (TAGS, "<think>Hm</think>Four.", "<think>Hm</think>Four."),
        (TAGS, "</thinner>", "</thinner>"),
        (TAGS, "</thi", "</thi"),
        (GRANITE, "</think>\n<response>Four.", "Four."),
        (APRIEL, "[BEGIN FINAL RESPONSE]\nFour.", "Four."),
        (GEMMA, "<channel|>Four.", "Four."),
        (KIMI_K3, "<|close|>think<|sep|><|open|>response<|sep|>Four.", "Four."),
        (HARMONY, "<|end|>", "<|end|>"),  # it ends the answer, an empty one
        (SOLAR, "<|end|>", "<|end|>"),
    ],
)
def test_a_tag_that_closes_the_thought_once_more_is_no_answer(
    form: ThoughtFormat, written: str, answer: str
) -> None:
    expected = (answer, len(written.encode()) - len(answer.encode()))
    assert after_close(form, [written.encode()]) == expected
    assert after_close(form, bytewise(written)) == expected


@pytest.mark.parametrize("written", ["</thi", "</think>\n", "<think>\n</"])
def test_half_a_repeated_tag_at_a_limit_is_dropped(written: str) -> None:
    assert after_close(TAGS, bytewise(written), cut=True)[0] == ""


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("<think>a \n</thi", ("a", "")),
        ("<think>a \n", ("a", "")),
        ("<thi", ("", "")),
        ("<think>a</think>\n\n", ("a", "")),
        ("<think>a</think>\n\nb\n", ("a", "b\n")),
    ],
)
def test_half_a_tag_at_a_limit_is_dropped(written: str, expected: tuple[str, str]) -> None:
    assert parts(TAGS, bytewise(written), cut=True) == expected


@pytest.mark.parametrize(
    ("form", "opening", "expected"),
    [
        (TAGS, "<|im_start|>assistant\n", ("<think>", "</think>")),
        (TAGS, "<|im_start|>assistant\n<think>\n", ("", "</think>")),
        (TAGS, "<|im_start|>assistant\n<think>\n\n</think>\n\n", None),
        (TAGS, "<|assistant|></think>", None),
        (
            HARMONY,
            "<|end|><|start|>assistant",
            (
                "<|channel|>analysis<|message|>",
                "<|end|><|start|>assistant<|channel|>final<|message|>",
            ),
        ),
        (
            MUSE,
            "<|eot|><|start|>assistant",
            (" to=self<|message|>", "<|eom|><|start|>assistant to=user<|message|>"),
        ),
        (SOLAR, "<|end|><|begin|>assistant", ("<|think|>", "<|end|><|begin|>assistant<|content|>")),
        (SOLAR, "<|end|><|begin|>assistant<|think|><|end|><|begin|>assistant", None),
        (GEMMA, "<|turn>model\n", ("<|channel>thought\n", "\n<channel|>")),
        (GEMMA, "<|turn>model\n<|channel>thought\n<channel|>", None),
    ],
)
def test_the_tags_for_a_thought_that_goes_on(
    form: ThoughtFormat, opening: str, expected: tuple[str, str] | None
) -> None:
    assert tags_around(form, opening) == expected


@pytest.mark.parametrize("form", FAMILIES)
def test_what_is_written_around_a_thought_is_read_so(form: ThoughtFormat) -> None:
    assert parts(form, bytewise(f"{form.before}a{form.after}b")) == ("a", "b")
    assert parts(form, bytewise(f" c{form.after}b"), f"{form.before}a") == (" c", "b")
    assert parts(form, [b"b"], f"{form.before}a{form.after}") == ("", "b")


FRAGMENTS = sorted(
    {tag for form in FAMILIES for tag in form.tags} | {"a", "想", " ", "\n", "<", "</th", "[B"}
)
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@given(
    st.sampled_from(FAMILIES),
    st.sampled_from(["", "<think>\n", "<think></think>", "<|channel|>analysis<|message|>x"]),
    TEXTS,
    st.lists(st.integers(0, 300), max_size=30),
    st.booleans(),
)
def test_any_split_gives_the_same(
    form: ThoughtFormat, opening: str, text: str, cuts: list[int], cut: bool
) -> None:
    data = text.encode()
    assert parts(form, split(data, cuts), opening, cut=cut) == parts(form, [data], opening, cut=cut)


@given(st.sampled_from(FAMILIES), TEXTS, st.lists(st.integers(0, 300), max_size=30))
def test_no_answer_begins_with_a_tag_that_closes_a_thought(
    form: ThoughtFormat, text: str, cuts: list[int]
) -> None:
    data = text.encode()
    closed, _ = after_close(form, split(data, cuts))
    assert closed == after_close(form, [data])[0]
    for answer in (closed, parts(form, [data])[1], parts(form, [data], form.before)[1]):
        tags = [tag for tag in form.closings if tag not in form.answer_ends]
        assert not any(answer.lstrip().startswith(tag) for tag in tags)


@given(st.sampled_from(FAMILIES), TEXTS)
def test_what_was_shown_stays(form: ThoughtFormat, text: str) -> None:
    """What comes out for a beginning is what comes out first for the whole: no half tag, nothing undone."""
    whole = parts(form, [text.encode()])
    splitter = ThoughtSplitter(form)
    so_far = {Part.THOUGHT: b"", Part.ANSWER: b""}
    for piece in bytewise(text):
        for part, data in splitter.push(piece):
            so_far[part] += data
            assert whole[part is Part.ANSWER].encode().startswith(so_far[part])


@given(st.sampled_from(FAMILIES), st.text(st.characters(codec="utf-8"), max_size=30))
def test_an_answer_without_tags_stays_exact(form: ThoughtFormat, text: str) -> None:
    words = "Well: " + text
    assert parts(form, bytewise(words)) == ("", words)


@given(st.sampled_from([TAGS, GEMMA, COHERE, TRIANGLES]), st.text(max_size=30), st.text(max_size=30))
def test_tags_around_any_text_are_found(form: ThoughtFormat, thought: str, answer: str) -> None:
    """A slow and obvious reference, for texts that do not speak of tags themselves."""
    if any(tag[:2] in thought + answer for tag in form.tags):
        return
    written = f"{form.openings[0]}\n{thought}\n{form.closings[0]}\n\n{answer}"
    blank = " \t\r\n"
    lead = answer[: len(answer) - len(answer.lstrip(blank))]
    kept = answer[lead.rfind("\n") + 1 :] if answer.strip(blank) else ""
    assert parts(form, bytewise(written)) == (thought.strip(blank), kept)
