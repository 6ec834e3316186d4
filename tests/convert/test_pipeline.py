"""What a conversion writes, and what it leaves when it can't."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from gguf import GGUFReader

from builders.shaped_models import N_VOCAB, MemoryTensor, bloom_shaped, llama_shaped, tiny_vocabulary
from convert.errors import (
    NotEnoughDisk,
    OutputExists,
    OutputNotWritable,
    TruncatedFile,
    VerificationFailed,
    VocabularyTooLong,
)
from convert.output import remove_stale
from convert.pipeline import Converted, Plan, Progress, convert, output_size_bytes
from convert.recipes import TARGETS
from convert.tokenizers.vocabulary import TokenType


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def run(plan: Plan, output: Path, **settings: Any) -> Converted:
    *_, last = convert(plan, output, **settings)
    assert isinstance(last, Converted)
    return last


def fields_of(path: Path) -> dict[str, Any]:
    return {name: field.contents() for name, field in GGUFReader(path).fields.items()}


def until_phase(events: Iterator[Progress | Converted], phase: str) -> None:
    for event in events:
        if isinstance(event, Progress) and event.phase == phase:
            return


def test_keys_and_result(tmp_path: Path) -> None:
    output = tmp_path / "模型 model.gguf"
    model = bloom_shaped(256, 2)
    result = run(model.plan("q4_k_m"), output)
    found = fields_of(output)
    assert found["GGUF.version"] == 3
    assert found["general.architecture"] == "bloom"
    assert found["general.type"] == "model"
    assert found["general.name"] == "Tiny"
    assert found["general.license"] == "apache-2.0"
    assert found["general.file_type"] == 15
    assert found["general.quantization_version"] == 2
    assert found["bloom.block_count"] == 2
    assert found["bloom.attention.layer_norm_epsilon"] == pytest.approx(1e-5)
    assert found["tokenizer.ggml.model"] == "gpt2"
    assert found["tokenizer.ggml.pre"] == "bloom"
    assert found["tokenizer.ggml.merges"] == ["t o", "to k"]
    assert found["tokenizer.ggml.eos_token_id"] == 2
    assert found["tokenizer.ggml.add_bos_token"] is False
    assert "tokenizer.ggml.bos_token_id" not in found
    assert "tokenizer.ggml.scores" not in found
    assert found["tokenizer.chat_template"] == "{{ messages }}"
    assert result.size_bytes == output.stat().st_size
    assert result.sha256 == hashlib.sha256(output.read_bytes()).hexdigest()
    assert result.types == {"f32": 11, "q6_k": 3, "q4_k": 6}
    assert result.n_nonfinite == {}
    assert result.peak_rss_bytes > 2**20
    assert os.listdir(tmp_path) == [output.name]


def test_nothing_of_the_surroundings_is_in_the_file(tmp_path: Path) -> None:
    output = tmp_path / "somewhere-secret.gguf"
    run(llama_shaped(64, 2).plan("q8_0", tokenizer_path=Path("/home/secret/tokenizer.model")), output)
    assert b"secret" not in output.read_bytes()


def test_left_out_texts_leave_no_key(tmp_path: Path) -> None:
    run(llama_shaped(64, 2).plan("f16", license=None, chat_template=None), tmp_path / "a.gguf")
    found = fields_of(tmp_path / "a.gguf")
    assert "general.license" not in found
    assert "tokenizer.chat_template" not in found


@pytest.mark.parametrize("target", ["f32", "q4_k_m", "iq4_xs"])
def test_threads_do_not_change_the_bytes(tmp_path: Path, target: str) -> None:
    plan = bloom_shaped(256, 8).plan(target)
    one = run(plan, tmp_path / "one.gguf", threads=1)
    four = run(plan, tmp_path / "four.gguf", threads=4)
    assert one.sha256 == four.sha256


def test_sizes_are_known_before_anything_is_read(tmp_path: Path) -> None:
    model = llama_shaped(96, 3)
    plan = model.plan("q4_k_m")
    for target in TARGETS:
        result = run(model.plan(target), tmp_path / f"{target}.gguf")
        assert output_size_bytes(plan, target) == result.size_bytes == model.plan(target).size_bytes
    assert plan.n_parameters == sum(tensor.mapped.source.values.size for tensor in plan.tensors)


def test_progress_reaches_both_totals(tmp_path: Path) -> None:
    plan = bloom_shaped(64, 2).plan("q8_0")
    events = [event for event in convert(plan, tmp_path / "a.gguf") if isinstance(event, Progress)]
    for phase in ("convert", "verify"):
        of_phase = [event for event in events if event.phase == phase]
        assert [event.done_bytes for event in of_phase] == sorted(event.done_bytes for event in of_phase)
        assert of_phase[-1].done_bytes == of_phase[-1].total_bytes
    assert events[-1].total_bytes == plan.size_bytes


def test_vocabulary_is_padded_to_the_embedding(tmp_path: Path) -> None:
    short = tiny_vocabulary(N_VOCAB - 2)
    vocabulary = replace(short, model="llama", scores=[0.5] * (N_VOCAB - 2), merges=None)
    plan = llama_shaped(64, 1).plan("q8_0", vocabulary=vocabulary)
    assert plan.n_padding_tokens == 2
    run(plan, tmp_path / "a.gguf")
    found = fields_of(tmp_path / "a.gguf")
    assert found["tokenizer.ggml.tokens"][-2:] == [f"[PAD{N_VOCAB - 2}]", f"[PAD{N_VOCAB - 1}]"]
    assert found["tokenizer.ggml.token_type"][-3:] == [TokenType.NORMAL, TokenType.UNUSED, TokenType.UNUSED]
    assert len(found["tokenizer.ggml.scores"]) == N_VOCAB


def test_vocabulary_longer_than_the_embedding_is_refused() -> None:
    with pytest.raises(VocabularyTooLong) as caught:
        llama_shaped(64, 1).plan("q8_0", vocabulary=tiny_vocabulary(N_VOCAB + 1))
    assert (caught.value.n_tokens, caught.value.n_embeddings) == (N_VOCAB + 1, N_VOCAB)


def test_weights_that_are_not_numbers_are_reported_by_tensor(tmp_path: Path) -> None:
    model = bloom_shaped(256, 2)
    spoilt = model.mapped[0].source
    assert isinstance(spoilt, MemoryTensor)
    spoilt.values[3, 5:9] = np.nan
    result = run(model.plan("q4_k_m"), tmp_path / "a.gguf")
    assert result.n_nonfinite == {"token_embd.weight": 4}


def test_existing_output_needs_force(tmp_path: Path) -> None:
    output = tmp_path / "a.gguf"
    output.write_bytes(b"precious")
    plan = llama_shaped(64, 1).plan("q8_0")
    with pytest.raises(OutputExists):
        run(plan, output)
    assert output.read_bytes() == b"precious"
    assert run(plan, output, force=True).size_bytes == output.stat().st_size
    assert os.listdir(tmp_path) == ["a.gguf"]


def test_output_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "a.gguf"
    events = convert(llama_shaped(64, 1).plan("q8_0"), output)
    until_phase(events, "verify")
    output.write_bytes(b"precious")
    with pytest.raises(OutputExists):
        list(events)
    assert output.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["a.gguf"]


def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").mkdir()
    with pytest.raises(OutputNotWritable):
        run(llama_shaped(64, 1).plan("q8_0"), tmp_path / "a.gguf", force=True)


def test_full_disk_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = llama_shaped(64, 1).plan("q8_0")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, plan.size_bytes - 1))
    with pytest.raises(NotEnoughDisk) as caught:
        next(convert(plan, tmp_path / "a.gguf"))
    assert caught.value.needed_bytes == plan.size_bytes
    assert caught.value.free_bytes == plan.size_bytes - 1
    assert os.listdir(tmp_path) == []


def test_disk_that_fills_up_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = convert(llama_shaped(64, 1).plan("q8_0"), tmp_path / "a.gguf")
    next(events)

    def fail(descriptor: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(NotEnoughDisk):
        list(events)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["missing/a.gguf", "file/a.gguf"])
def test_unusable_folder_is_reported(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputNotWritable) as caught:
        run(llama_shaped(64, 1).plan("q8_0"), tmp_path / name)
    assert caught.value.path == tmp_path / name
    assert caught.value.reason


@pytest.mark.parametrize("n_events", [0, 1, 5, 1000])
def test_cancelled_run_ends_without_a_result(tmp_path: Path, n_events: int) -> None:
    plan = bloom_shaped(64, 2).plan("q8_0")
    seen: list[Progress | Converted] = []
    n_all = len(list(convert(plan, tmp_path / "all.gguf")))
    at = min(n_events, n_all - 2)
    for event in convert(plan, tmp_path / "a.gguf", is_cancelled=lambda: len(seen) == at):
        seen.append(event)
    assert not any(isinstance(event, Converted) for event in seen)
    assert os.listdir(tmp_path) == ["all.gguf"]


@pytest.mark.parametrize("phase", ["convert", "verify"])
def test_closed_generator_leaves_nothing(tmp_path: Path, phase: str) -> None:
    events = convert(bloom_shaped(64, 2).plan("q8_0"), tmp_path / "a.gguf")
    until_phase(events, phase)
    assert len(os.listdir(tmp_path)) == 1
    events.close()  # type: ignore[attr-defined]
    assert os.listdir(tmp_path) == []


def test_failing_source_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: MemoryTensor, start: int, stop: int) -> None:
        raise TruncatedFile(Path("model.safetensors"), 10, 5)

    events = convert(bloom_shaped(64, 2).plan("q8_0"), tmp_path / "a.gguf")
    next(events)
    monkeypatch.setattr(MemoryTensor, "read_rows", fail)
    with pytest.raises(TruncatedFile):
        list(events)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("place", ["header", "blk.1.ffn_up.weight", "output_norm.weight"])
def test_a_flipped_bit_on_disk_is_found_and_placed(tmp_path: Path, place: str) -> None:
    plan = bloom_shaped(64, 2).plan("q8_0")
    offsets = {tensor.mapped.name: len(plan.header) + tensor.offset for tensor in plan.tensors}
    events = convert(plan, tmp_path / "a.gguf")
    until_phase(events, "convert")
    for event in events:
        if isinstance(event, Progress) and event.n_tensors_done == event.n_tensors:
            break
    (temporary,) = tmp_path.iterdir()
    with temporary.open("r+b") as file:
        file.seek(offsets.get(place, 100) + 9)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(VerificationFailed) as caught:
        list(events)
    assert caught.value.detail == place
    assert os.listdir(tmp_path) == []


def test_a_shortened_file_is_found(tmp_path: Path) -> None:
    plan = bloom_shaped(64, 2).plan("q8_0")
    events = convert(plan, tmp_path / "a.gguf")
    for event in events:
        if isinstance(event, Progress) and event.n_tensors_done == event.n_tensors:
            break
    (temporary,) = tmp_path.iterdir()
    os.truncate(temporary, plan.size_bytes - 1)
    with pytest.raises(VerificationFailed) as caught:
        list(events)
    assert caught.value.detail == "size"


def test_two_runs_to_one_output_do_not_disturb_each_other(tmp_path: Path) -> None:
    output = tmp_path / "a.gguf"
    first = convert(bloom_shaped(64, 2).plan("q8_0"), output, force=True)
    next(first)
    second = run(llama_shaped(64, 2).plan("q8_0"), output, force=True)
    assert second.sha256 == hashlib.sha256(output.read_bytes()).hexdigest()
    *_, last = first
    assert isinstance(last, Converted)
    assert last.sha256 == hashlib.sha256(output.read_bytes()).hexdigest()
    assert os.listdir(tmp_path) == ["a.gguf"]


def test_only_this_outputs_leftovers_are_removed(tmp_path: Path) -> None:
    output = tmp_path / ("很长的名字" * 16 + ".gguf")
    events = convert(bloom_shaped(64, 2).plan("q8_0"), output)
    next(events)
    (held,) = tmp_path.iterdir()
    abandoned = tmp_path / held.name.replace(held.name.split("-")[-1], "00000000.partial")
    abandoned.write_bytes(b"left behind")
    other = tmp_path / ".chatbelle-0000000000000000-00000000.partial"
    other.write_bytes(b"another output's")
    remove_stale(output)
    assert sorted(tmp_path.iterdir()) == sorted([held, other])
    list(events)
    assert sorted(tmp_path.iterdir()) == sorted([output, other])
