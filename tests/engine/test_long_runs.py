"""Texts that overflowed the stack of llama.cpp's pre-tokenizers."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.gguf_models import write_model
from engine.llama import Model
from engine.long_runs import MAX_RUN_CHARS, cut_long_runs

_RUNS = st.sampled_from(["a" * 700, "中文" * 600, " " * 1500, "。" * 2500, "x y. ", "\n\n", "`"])


@given(st.lists(_RUNS, max_size=8).map("".join))
def test_pieces_add_up_and_short_runs_stay_whole(text: str) -> None:
    pieces = list(cut_long_runs(text))
    assert "".join(pieces) == text
    for kind in ("a", "中文", " ", "。"):
        assert not any(kind * (MAX_RUN_CHARS // len(kind) + 1) in piece for piece in pieces)


@pytest.mark.parametrize("text", ["", "一句话。" * 3000, "Plain prose, of many words. " * 500])
def test_ordinary_text_is_not_cut(text: str) -> None:
    assert list(cut_long_runs(text)) == [text]


def test_a_huge_word_is_tokenized_on_a_small_stack(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf", pre_tokenizer="bloom")
    counts: list[int] = []
    with Model(path) as model:
        previous = threading.stack_size(512 * 1024)
        try:
            thread = threading.Thread(target=lambda: counts.append(len(model.tokenize("A" * 200_000))))
            thread.start()
            thread.join()
        finally:
            threading.stack_size(previous)
    assert counts == [200_000]
