"""Models whose layers see only the last tokens: the small cache, and answers that are exact all the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
import pytest

from builders.chats import GREEDY, ask, user
from builders.gguf_models import N_CONTROL, Shape, byte_vocabulary, write_model
from builders.other_ggufs import write_gguf
from engine.gguf_header import read_gguf_header
from engine.going_back import WayBack
from engine.in_process import InProcessBackend
from engine.llama import Context
from engine.memory import estimate, footprint, largest_context
from engine.model_shape import read_model_shape
from engine.sliding_window import read_sliding_layers
from engine.types import LoadOptions, Message

WINDOW = 32
SHAPE = Shape(n_embd=64, n_heads=4, n_layers=6, n_ff=64, context=2048, window=WINDOW)


@pytest.fixture(scope="module")
def sliding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Gemma 3: five of its six layers see the last 32 tokens.

    Its output is not the embedding, with which random weights would only repeat the last token.
    """
    output = np.zeros((len(byte_vocabulary().tokens), SHAPE.n_embd), np.float32)
    single_bytes = output[N_CONTROL : N_CONTROL + 256]  # nothing that ends an answer
    single_bytes[...] = np.random.default_rng(9).standard_normal(single_bytes.shape)
    folder = tmp_path_factory.mktemp("sliding")
    return write_model(
        folder / "m.gguf", architecture="gemma3", shape=SHAPE, tensors={"output.weight": output}
    )


def _load(backend: InProcessBackend, path: Path) -> InProcessBackend:
    backend.load(path, LoadOptions(context_tokens=2048, threads=1, prompt_format="belle"))
    return backend


def _text(number: int, n_tokens: int) -> str:
    """A token a letter, no two texts alike."""
    return "".join(chr(ord("a") + (number * 7 + index * (index + 3)) % 23) for index in range(n_tokens))


def _fresh(path: Path, messages: list[Message], n_tokens: int = 40) -> tuple[str, int]:
    backend = _load(InProcessBackend(), path)
    try:
        done = ask(backend, messages, replace(GREEDY, max_tokens=n_tokens))
    finally:
        backend.unload()
    return done.message.text, done.statistics.reused_tokens


def test_the_next_turn_reads_only_what_is_new_and_answers_the_same(
    backend: InProcessBackend, sliding: Path
) -> None:
    _load(backend, sliding)
    messages: list[Message] = []
    used = 0
    for number in range(4):
        messages.append(user(_text(number, 200)))
        done = ask(backend, messages, replace(GREEDY, max_tokens=40))
        assert done.statistics.reused_tokens == max(0, used - 1)
        assert (done.message.text, 0) == _fresh(sliding, messages)
        used = done.statistics.context_used
        messages.append(done.message)
    assert used > 800  # far more than the layers with a window keep


@pytest.mark.parametrize("n_answer", [8, 100, 300, 900])
def test_another_answer_to_the_same_question_begins_where_the_first_did(
    n_answer: int, backend: InProcessBackend, sliding: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far the first answer went beyond what the layers with a window keep, nothing is read again."""
    seen: list[npt.NDArray[np.float32]] = []
    original = Context.logits

    def record(self: Context) -> npt.NDArray[np.float32]:
        seen.append(original(self).copy())
        return original(self)

    monkeypatch.setattr(Context, "logits", record)
    _load(backend, sliding)
    messages = [user(_text(1, 500))]
    starts, answers = [], []
    for _ in range(3):
        seen.clear()
        answers.append(ask(backend, messages, replace(GREEDY, max_tokens=n_answer)))
        starts.append(seen[0])
    assert [done.statistics.generated_tokens for done in answers] == [n_answer] * 3
    for done in answers[1:]:
        assert done.statistics.reused_tokens == done.statistics.prompt_tokens - 1
    # The last token is read alone then, not in a batch, which gives other last bits; from there on, the same.
    assert np.abs(starts[1] - starts[0]).max() < 0.01 * np.abs(starts[0]).max()
    assert np.array_equal(starts[1], starts[2])
    assert answers[1].message.text == answers[2].message.text


def test_a_next_turn_without_the_end_of_a_long_answer_reads_only_what_is_new(
    backend: InProcessBackend, sliding: Path
) -> None:
    """As after a thought that is not sent back."""
    _load(backend, sliding)
    question = user(_text(1, 500))
    long = ask(backend, [question], replace(GREEDY, max_tokens=700))
    short = Message("assistant", long.message.text[:3])
    following = [question, short, user(_text(2, 40))]
    done = ask(backend, following, replace(GREEDY, max_tokens=40))
    assert done.statistics.reused_tokens >= long.statistics.prompt_tokens
    assert (done.message.text, 0) == _fresh(sliding, following)


@pytest.mark.parametrize("n_before", [10, 150, 400])
def test_an_edit_far_back_answers_as_a_new_conversation_does(
    n_before: int, backend: InProcessBackend, sliding: Path
) -> None:
    """The first question stays, the second is changed: what the window forgot must be read again."""
    _load(backend, sliding)
    messages = [user(_text(1, n_before))]
    first = ask(backend, messages, replace(GREEDY, max_tokens=10)).message
    long = [*messages, first, user(_text(2, 600))]
    ask(backend, long, replace(GREEDY, max_tokens=40))

    edited = [*messages, first, user(_text(3, 50))]
    done = ask(backend, edited, replace(GREEDY, max_tokens=40))

    assert (done.message.text, 0) == _fresh(sliding, edited)
    assert done.statistics.reused_tokens == 0


def test_going_back_and_forth_among_edits_and_long_answers_stays_exact(
    backend: InProcessBackend, sliding: Path
) -> None:
    """What was copied belongs to a beginning that is kept, cut or replaced meanwhile."""
    _load(backend, sliding)
    one, other = user(_text(1, 300)), user(_text(1, 260) + _text(4, 90))
    steps = [
        ([one], 400),
        ([other], 400),
        ([one], 30),
        ([one], 400),
        ([user(_text(1, 200))], 30),
        ([one], 60),
    ]
    for messages, n_tokens in steps:
        done = ask(backend, messages, replace(GREEDY, max_tokens=n_tokens))
        assert done.message.text == _fresh(sliding, messages, n_tokens)[0]


def test_without_the_check_an_edit_would_change_the_answer(
    backend: InProcessBackend, sliding: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests above can fail: llama.cpp itself goes back without a word to where layers have forgotten."""
    monkeypatch.setattr(WayBack, "_is_kept", lambda self, position: True)
    _load(backend, sliding)
    messages = [user(_text(1, 150))]
    first = ask(backend, messages, replace(GREEDY, max_tokens=10)).message
    ask(backend, [*messages, first, user(_text(2, 600))], replace(GREEDY, max_tokens=40))
    edited = [*messages, first, user(_text(3, 50))]
    done = ask(backend, edited, replace(GREEDY, max_tokens=40))
    assert done.message.text != _fresh(sliding, edited)[0]


# --- which layers slide, and what they take ---------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "keys", "expected"),
    [
        ("gemma2", {}, (4096, "s.s.s.s.")),
        ("gemma3", {"sliding_window": 512}, (512, "sssss.ss")),
        ("gemma3", {}, None),
        ("gemma3", {"sliding_window": 0}, None),
        ("gemma3", {"sliding_window": 512, "sliding_window_pattern": 2}, (512, "s.s.s.s.")),
        ("cohere2", {"sliding_window": 4096}, (4096, "sss.sss.")),
        ("gpt-oss", {"sliding_window": 128}, (128, "s.s.s.s.")),
        ("smallthinker", {"sliding_window": 1}, (4096, ".sss.sss")),
        ("smallthinker", {}, None),
        ("llama4", {}, (8192, "sss.sss.")),
        ("phi3", {"sliding_window": 2047}, None),  # llama.cpp leaves it off
        ("exaone4", {"sliding_window": 4096}, None),  # only the large one has it
        ("llama", {"sliding_window": 4096}, None),
        ("gemma4", {"sliding_window": 512, "sliding_window_pattern": (True, False) * 4}, (512, "s.s.s.s.")),
    ],
)
def test_layers_slide_as_llama_cpp_has_them(
    architecture: str, keys: dict[str, object], expected: tuple[int, str] | None, tmp_path: Path
) -> None:
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    for name, value in keys.items():
        key = f"{architecture}.attention.{name}"
        if isinstance(value, tuple):
            writer.add_array(key, list(value))
        else:
            writer.add_key_value(key, value, gguf.GGUFValueType.UINT32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()

    found = read_sliding_layers(read_gguf_header(path), 8)

    shown = found and (found.window, "".join("s" if slides else "." for slides in found.slides))
    assert shown == expected


def test_the_estimate_counts_the_window_once(tmp_path: Path) -> None:
    shape = replace(SHAPE, window=512)
    path = write_model(tmp_path / "m.gguf", architecture="gemma3", shape=shape)
    header = read_gguf_header(path)
    read = read_model_shape(header)
    assert (read.kv_width, read.sliding_kv_width, read.sliding_window) == (6 * 128, 5 * 128, 512)
    model = footprint(header, read)
    assert estimate(model, 512).kv_cache == 512 * 6 * 128 * 2
    # 512 tokens of the window and a batch of 128, in whole steps of 256, and a copy of the window; all of
    # them in the sixth layer
    assert estimate(model, 2048).kv_cache == ((768 + 512) * 5 + 2048) * 128 * 2


def test_the_largest_context_is_the_largest_that_fits(tmp_path: Path) -> None:
    shape = replace(SHAPE, window=512, context=8192)
    path = write_model(tmp_path / "m.gguf", architecture="gemma3", shape=shape)
    header = read_gguf_header(path)
    model = footprint(header, read_model_shape(header))
    for context in (512, 1024, 4096, 8192):
        assert largest_context(model, estimate(model, context).total) == context
    assert largest_context(model, estimate(model, 8192).total << 4) == 8192
    assert largest_context(model, estimate(model, 512).total - 1) is None


def test_layers_that_share_keys_and_values_take_none_of_their_own(tmp_path: Path) -> None:
    keys = {"block_count": 30, "embedding_length": 64, "attention.head_count": 4}
    path = write_gguf(tmp_path / "m.gguf", "gemma3n", {f"gemma3n.{name}": n for name, n in keys.items()})
    assert read_model_shape(read_gguf_header(path)).kv_width == 20 * 4 * 2 * 16
