"""Files of 2023's ggml: forms, models, vocabularies, parts, and the logits of what they become."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader
from numpy.typing import NDArray

from builders.checkpoints import Checkpoint, write_bloom, write_llama
from builders.ggml_files import (
    Kind,
    Layout,
    Stored,
    from_rotary_pairs,
    ggml_file,
    llama_tokens,
    write_bloomz_ggml,
    write_llama_ggml,
)
from builders.tokenizers import write_llama_tokenizer
from convert.arch.base import MappedTensor
from convert.errors import (
    ConvertError,
    InvalidFile,
    LossyGgmlVocabulary,
    MissingShard,
    MissingTensor,
    PrivateGgmlContainer,
    TensorShapeMismatch,
    UnknownGgmlBlocks,
    UnknownGgmlModel,
    UnknownGgmlVersion,
    UnscoredGgmlVocabulary,
    UnsupportedGgmlType,
    UnsupportedModel,
)
from convert.pipeline import Converted, convert
from convert.plan import make_plan, output_size_bytes
from convert.quantize import read_mapped_blocks
from convert.recipes import AUTO
from convert.sources.folder import LocalFolder
from convert.sources.ggml_file import is_legacy_ggml
from convert.sources.ggml_legacy import LegacyGgml, open_legacy_ggml
from convert.sources.ggml_tensors import BlockTensor, JoinedPackedTensor
from convert.sources.tensors import StoredTensor
from convert.vocab import TokenType, Vocabulary, read_vocabulary
from engine.native.kernels import GgmlType, dequantize_rows
from reference import bloom, llama
from reference.llama_cpp_oracle import LoadedModel

IDS = [1, 17, 300, 5, 5, 99, 120, 44, 260, 1, 7, 8, 9, 333, 12, 250, 11, 10, 42, 0] * 2
N_TOKENS = 520
FORMS = [("ggml", 0), ("ggmf", 1), ("ggjt", 1), ("ggjt", 2), ("ggjt", 3)]
KINDS: tuple[Kind, ...] = ("f32", "f16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0")


@pytest.fixture(scope="module")
def small_llama(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Its feed-forward is as wide as 2023's rule makes it: two thirds of 256, up to a multiple of 32."""
    folder = tmp_path_factory.mktemp("llama")
    return write_llama(folder, n_tokens=N_TOKENS, n_ff=192, tokenizer=False)


@pytest.fixture(scope="module")
def small_bloom(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_bloom(tmp_path_factory.mktemp("bloom"), lm_head=True)


def open_file(path: Path) -> LegacyGgml:
    return open_legacy_ggml(LocalFolder(path.parent), path.name)


def read_all(mapped: MappedTensor) -> NDArray[np.float32]:
    assert mapped.row_order is None
    return mapped.source.read_rows(0, mapped.shape[0])


def convert_to(output: Path, model: LegacyGgml, vocabulary: Vocabulary, target: str = AUTO) -> Converted:
    plan = make_plan(
        model.architecture,
        model.mapped_tensors(),
        vocabulary,
        target=target,
        name="",
        license=None,
        chat_template=None,
        tokenizer_path=model.path,
    )
    assert plan.size_bytes == output_size_bytes(plan, target)
    *_, last = convert(plan, output, threads=2)
    assert isinstance(last, Converted)
    return last


def relative_error(found: Any, expected: Any) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def expected_llama(weights: Mapping[str, NDArray[np.float32]], name: str) -> NDArray[np.float32]:
    """A layer-0 matrix under its GGUF name, out of transformers' weights."""
    known = {
        "token_embd": "model.embed_tokens",
        "output": "lm_head",
        "blk.0.attn_v": "model.layers.0.self_attn.v_proj",
        "blk.0.attn_output": "model.layers.0.self_attn.o_proj",
        "blk.0.ffn_gate": "model.layers.0.mlp.gate_proj",
        "blk.0.ffn_up": "model.layers.0.mlp.up_proj",
        "blk.0.ffn_down": "model.layers.0.mlp.down_proj",
        "blk.0.attn_norm": "model.layers.0.input_layernorm",
        "blk.0.ffn_norm": "model.layers.0.post_attention_layernorm",
        "output_norm": "model.norm",
    }
    return weights[known[name.removesuffix(".weight")] + ".weight"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("form", "version"), FORMS)
def test_every_form_and_type_is_read(
    tmp_path: Path, small_llama: Checkpoint, form: str, version: int, kind: Kind
) -> None:
    path = tmp_path / "ggml-model.bin"
    written = write_llama_ggml(path, small_llama, form=form, version=version, kind=kind)
    with open_file(path) as model:
        assert model.form == f"{form}{f' v{version}' if version else ''}, {kind}"
        assert model.size_bytes == path.stat().st_size
        tensors = {tensor.name: tensor for tensor in model.mapped_tensors()}
        for name in ("token_embd", "output", "blk.0.attn_v", "blk.0.attn_output", "blk.0.ffn_down"):
            tensor = tensors[name + ".weight"]
            np.testing.assert_array_equal(read_all(tensor), expected_llama(written, name))
            stored = tensor.source
            found = stored.packed_type if isinstance(stored, BlockTensor) else stored.dtype
            assert found == kind
        for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
            assert isinstance(tensors[name + ".weight"].source, StoredTensor)
            np.testing.assert_array_equal(read_all(tensors[name + ".weight"]), expected_llama(written, name))


def test_what_the_header_does_not_say_is_what_2023_had_built_in(
    tmp_path: Path, small_llama: Checkpoint
) -> None:
    write_llama_ggml(tmp_path / "m.bin", small_llama)
    with open_file(tmp_path / "m.bin") as model:
        metadata = model.architecture.metadata()
    assert metadata["llama.context_length"] == 2048
    assert metadata["llama.attention.layer_norm_rms_epsilon"] == 1e-6
    assert metadata["llama.feed_forward_length"] == 192
    assert metadata["llama.rope.dimension_count"] == 16
    assert "llama.attention.head_count_kv" not in metadata


def test_grouped_query_attention_is_read_off_the_key_matrix(tmp_path: Path) -> None:
    # LLaMA-2 70B, made small: its feed-forward is 1.3 times as wide.
    checkpoint = write_llama(
        tmp_path / "hf", n_tokens=N_TOKENS, n_head_kv=2, n_ff=224, tokenizer=False, rotary_buffers=False
    )
    write_llama_ggml(tmp_path / "m.bin", checkpoint)
    with open_file(tmp_path / "m.bin") as model:
        metadata = model.architecture.metadata()
        assert len(model.mapped_tensors()) == 21
    assert metadata["llama.attention.head_count_kv"] == 2
    assert metadata["llama.attention.layer_norm_rms_epsilon"] == 1e-5
    assert metadata["llama.context_length"] == 4096


@pytest.mark.parametrize(
    ("form", "version", "kind", "layout"),
    [
        ("ggml", 0, "q4_0", "rows"),
        ("ggml", 0, "q4_1", "rows"),
        ("ggmf", 1, "q4_1", "old"),
        ("ggjt", 1, "q4_0", "old"),
        ("ggjt", 1, "q5_1", "old"),
        ("ggjt", 2, "q4_0", "v2"),
        ("ggjt", 2, "q8_0", "v2"),
        ("ggjt", 3, "q4_0", "v3"),
    ],
)
def test_logits_of_a_repacked_llama_are_those_of_the_old_weights(
    tmp_path: Path, small_llama: Checkpoint, form: str, version: int, kind: Kind, layout: Layout
) -> None:
    """The wide bound is llama.cpp's, which rounds activations to 8 bits before a quantized matrix."""
    path = tmp_path / "m.bin"
    written = write_llama_ggml(path, small_llama, form=form, version=version, kind=kind, layout=layout)
    with open_file(path) as model:
        converted = convert_to(tmp_path / "m.gguf", model, model.vocabulary())
        convert_to(tmp_path / "f32.gguf", model, model.vocabulary(), "f32")
    assert converted.types == {kind: 16, "f32": 5}
    expected = llama.logits(small_llama.config, written, IDS)
    with LoadedModel(tmp_path / "m.gguf") as loaded:
        assert relative_error(loaded.logits(IDS), expected) < 0.03
    with LoadedModel(tmp_path / "f32.gguf") as loaded:
        assert relative_error(loaded.logits(IDS), expected) < 5e-6


@pytest.mark.parametrize(
    ("version", "kind", "bound"),
    [(1, "q4_0", 1e-3), (1, "q4_1", 3e-3), (2, "q8_0", 1e-3), (1, "q5_0", 0.0), (3, "q4_1", 0.0)],
)
def test_what_repacking_alone_does_to_logits(
    tmp_path: Path, small_llama: Checkpoint, version: int, kind: Kind, bound: float
) -> None:
    """Both sides in float64; only scales that were float32 were rounded, of q4_1 two a block."""
    written = write_llama_ggml(tmp_path / "m.bin", small_llama, version=version, kind=kind)
    repacked = dict(written)
    with open_file(tmp_path / "m.bin") as model:
        for name, tensor in model.tensors.items():
            if isinstance(tensor, BlockTensor):
                n_rows, width = tensor.shape
                data = np.frombuffer(tensor.read_packed_rows(0, n_rows), np.uint8).reshape(n_rows, -1)
                rows = dequantize_rows(GgmlType[kind.upper()], data, width)
                is_rotary = "q_proj" in name or "k_proj" in name
                repacked[name] = from_rotary_pairs(rows, 4) if is_rotary else rows
    found = llama.logits(small_llama.config, repacked, IDS)
    assert relative_error(found, llama.logits(small_llama.config, written, IDS)) <= bound


@pytest.mark.parametrize("with_rotary_word", [False, True])
@pytest.mark.parametrize(
    ("kind", "layout", "bound"),
    [("q4_0", "old", 0.03), ("q4_1", "rows", 0.03), ("f16", "old", 3e-3)],
)
def test_logits_of_a_bloomz_cpp_file(
    tmp_path: Path,
    small_bloom: Checkpoint,
    kind: Kind,
    layout: Layout,
    bound: float,
    with_rotary_word: bool,
) -> None:
    path = tmp_path / "ggml-model-bloomz.bin"
    written = write_bloomz_ggml(
        path, small_bloom, kind=kind, layout=layout, with_rotary_word=with_rotary_word
    )
    with open_file(path) as model:
        assert (model.architecture.family.gguf_name, model.form) == ("bloom", f"ggml, {kind}")
        assert "output.weight" not in [tensor.name for tensor in model.mapped_tensors()]
        vocabulary = read_vocabulary(small_bloom.folder, config=small_bloom.config)
        convert_to(tmp_path / "m.gguf", model, vocabulary, "f16" if kind == "f16" else AUTO)
    expected = bloom.logits(small_bloom.config, written, IDS)
    with LoadedModel(tmp_path / "m.gguf") as loaded:
        assert relative_error(loaded.logits(IDS), expected) < bound


def test_auto_copies_the_blocks_of_a_file_that_has_some(tmp_path: Path, small_llama: Checkpoint) -> None:
    path = tmp_path / "m.bin"
    write_llama_ggml(path, small_llama, form="ggjt", version=3, kind="q4_1")
    with open_file(path) as model:
        blocks = {tensor.name: tensor.packed for tensor in model.mapped_tensors()}
        convert_to(tmp_path / "m.gguf", model, model.vocabulary())
        reader = GGUFReader(tmp_path / "m.gguf")
        for tensor in reader.tensors:
            packed = blocks[tensor.name]
            if packed is not None:
                assert tensor.tensor_type.name == "Q4_1"
                assert tensor.data.tobytes() == packed.read_packed_rows(0, packed.shape[0])
    assert reader.fields["general.file_type"].contents() == 3
    write_llama_ggml(path, small_llama, kind="f16")
    with open_file(path) as model:
        converted = convert_to(tmp_path / "other.gguf", model, model.vocabulary())
    assert set(converted.types) == {"f32", "q5_0", "q8_0"}, "q4_k_m of rows that are no 256 weights"


def test_auto_makes_matrices_beside_blocks_q8_0(tmp_path: Path, small_llama: Checkpoint) -> None:
    """llama.cpp's "q4_1 with f16" kept the embedding and the output in f16."""
    write_llama_ggml(tmp_path / "m.bin", small_llama, kind="q4_1")
    write_llama_ggml(tmp_path / "f16.bin", small_llama, kind="f16")
    with open_file(tmp_path / "m.bin") as model, open_file(tmp_path / "f16.bin") as floats:
        tensors = {**model.tensors, "model.embed_tokens.weight": floats.tensors["model.embed_tokens.weight"]}
        mixed = replace(model, tensors=tensors)
        convert_to(tmp_path / "m.gguf", mixed, model.vocabulary())
    types = {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(tmp_path / "m.gguf").tensors}
    assert (types["token_embd.weight"], types["output.weight"]) == ("Q8_0", "Q4_1")


@pytest.mark.parametrize("kind", ["q4_0", "q4_1"])
def test_copied_blocks_follow_a_row_order(tmp_path: Path, small_llama: Checkpoint, kind: Kind) -> None:
    write_llama_ggml(tmp_path / "m.bin", small_llama, kind=kind)
    order = np.random.default_rng(0).permutation(N_TOKENS).astype(np.int64)
    with open_file(tmp_path / "m.bin") as model:
        mapped = MappedTensor("token_embd.weight", model.mapped_tensors()[0].source, order)
        assert mapped.packed is not None
        rows = [mapped.packed.read_packed_rows(int(row), int(row) + 1) for row in order[5:300]]
        assert read_mapped_blocks(mapped, mapped.packed, 5, 300).tobytes() == b"".join(rows)


def test_an_output_matrix_of_its_own_is_kept(tmp_path: Path, small_bloom: Checkpoint) -> None:
    weights = dict(small_bloom.weights)
    weights["lm_head.weight"] = weights["lm_head.weight"][::-1].copy()
    untied = Checkpoint(small_bloom.folder, small_bloom.config, weights, "f32")
    write_bloomz_ggml(tmp_path / "m.bin", untied)
    with open_file(tmp_path / "m.bin") as model:
        assert model.mapped_tensors()[-1].name == "output.weight"


@pytest.mark.parametrize("kind", ["f16", "q4_0", "q4_1"])
@pytest.mark.parametrize(("n_parts", "hidden", "n_ff", "n_mult"), [(2, 64, 192, 32), (4, 128, 384, 128)])
def test_parts_make_the_same_model_as_one_file(
    tmp_path: Path, kind: Kind, n_parts: int, hidden: int, n_ff: int, n_mult: int
) -> None:
    checkpoint = write_llama(
        tmp_path / "hf", n_tokens=N_TOKENS, hidden=hidden, n_ff=n_ff, n_layer=1, tokenizer=False
    )
    names = ["model.bin", *(f"model.bin.{number}" for number in range(1, n_parts))]
    for name, n_files in (("whole.bin", 1), ("model.bin", n_parts)):
        path = tmp_path / name
        write_llama_ggml(path, checkpoint, form="ggmf", version=1, kind=kind, n_parts=n_files, n_mult=n_mult)
    with open_file(tmp_path / "whole.bin") as whole:
        expected = {tensor.name: tensor for tensor in whole.mapped_tensors()}
        for name in (names[0], names[-1]):  # any part stands for all
            with open_file(tmp_path / name) as model:
                assert [file.source.path.name for file in model.files] == names
                for tensor in model.mapped_tensors():
                    assert_same_tensor(tensor, expected[tensor.name])


def assert_same_tensor(tensor: MappedTensor, expected: MappedTensor) -> None:
    assert (tensor.shape, tensor.source.dtype) == (expected.shape, expected.source.dtype)
    np.testing.assert_array_equal(read_all(tensor), read_all(expected))
    n_rows = tensor.shape[0]
    rows = (n_rows // 3, n_rows // 2 + 1)  # across parts
    np.testing.assert_array_equal(tensor.source.read_rows(*rows), expected.source.read_rows(*rows))
    if isinstance(expected.source, BlockTensor):
        assert isinstance(tensor.source, JoinedPackedTensor)
        assert tensor.source.packed_type == expected.source.packed_type
        assert tensor.source.read_packed_rows(*rows) == expected.source.read_packed_rows(*rows)


@pytest.mark.parametrize("missing", ["model.bin", "model.bin.1", "model.bin.3"])
def test_a_missing_part_is_named(tmp_path: Path, missing: str) -> None:
    checkpoint = write_llama(
        tmp_path / "hf", n_tokens=N_TOKENS, hidden=128, n_ff=384, n_layer=1, tokenizer=False
    )
    write_llama_ggml(tmp_path / "model.bin", checkpoint, form="ggmf", version=1, n_parts=4, n_mult=128)
    (tmp_path / missing).unlink()
    given = "model.bin.2" if missing == "model.bin" else "model.bin"
    with pytest.raises(MissingShard) as caught:
        open_file(tmp_path / given)
    assert (caught.value.path, caught.value.shard) == (tmp_path, missing)


def test_parts_of_different_models_are_refused(tmp_path: Path) -> None:
    for name, n_layer in (("model.bin", 1), ("other.bin", 2)):
        checkpoint = write_llama(
            tmp_path / "hf", n_tokens=N_TOKENS, n_ff=192, n_layer=n_layer, tokenizer=False
        )
        write_llama_ggml(tmp_path / name, checkpoint, form="ggmf", version=1, n_parts=2)
    (tmp_path / "other.bin.1").replace(tmp_path / "model.bin.1")
    with pytest.raises(InvalidFile, match="header"):
        open_file(tmp_path / "model.bin")


def test_blocks_of_no_known_layout_are_refused(tmp_path: Path, small_llama: Checkpoint) -> None:
    random = np.random.default_rng(0)
    weights = {
        name: random.standard_normal(weight.shape).astype(np.float32) if weight.ndim > 1 else weight
        for name, weight in small_llama.weights.items()
    }
    path = tmp_path / "m.bin"
    noise = Checkpoint(small_llama.folder, small_llama.config, weights, "f32")
    write_llama_ggml(path, noise, form="ggml", version=0)
    with open_file(path) as model:
        entries = list(model.files[0].entries.values())
    data = bytearray(path.read_bytes())
    for entry in entries:
        if entry.type == 2:
            data[entry.offset : entry.offset + entry.size_bytes] = random.bytes(entry.size_bytes)
    path.write_bytes(data)
    with pytest.raises(UnknownGgmlBlocks) as caught:
        open_file(path)
    assert (caught.value.tensor, caught.value.dtype) == ("tok_embeddings.weight", "q4_0")


# Vocabularies.


@pytest.mark.parametrize(("form", "version"), FORMS[1:])
def test_the_vocabulary_is_the_tokenizers_own(
    tmp_path: Path, small_llama: Checkpoint, form: str, version: int
) -> None:
    write_llama_ggml(tmp_path / "m.bin", small_llama, form=form, version=version, kind="f16")
    write_llama_tokenizer(tmp_path, N_TOKENS)
    with open_file(tmp_path / "m.bin") as model:
        assert model.has_vocabulary
        found = model.vocabulary()
    expected = read_vocabulary(tmp_path, config=small_llama.config)
    assert found == expected


@pytest.mark.parametrize("is_lossy", [False, True])
def test_scores_that_the_first_files_lack_follow_from_the_order(
    tmp_path: Path, small_llama: Checkpoint, is_lossy: bool
) -> None:
    tokens = llama_tokens(N_TOKENS)
    if is_lossy:  # the converter's first days decoded each byte on its own
        tokens = [(text.decode("utf-8", "replace").encode(), score) for text, score in tokens]
    write_llama_ggml(tmp_path / "m.bin", small_llama, form="ggml", version=0, kind="f16", tokens=tokens)
    write_llama_tokenizer(tmp_path, N_TOKENS)
    with open_file(tmp_path / "m.bin") as model:
        found = model.vocabulary()
    expected = read_vocabulary(tmp_path, config=small_llama.config)
    assert (list(found.tokens), list(found.types)) == (list(expected.tokens), list(expected.types))
    assert found.scores is not None
    assert expected.scores is not None
    for token, text in enumerate(found.tokens):
        if token >= 259 and not text.strip("\u2581"):
            assert found.scores[token] == -1e9, "as in LLaMA's own tokenizer.model"
        else:
            assert found.scores[token] == expected.scores[token]


def test_tokens_that_no_trainer_ordered_need_the_tokenizer(tmp_path: Path, small_llama: Checkpoint) -> None:
    tokens = llama_tokens(N_TOKENS)
    tokens[259:] = reversed(tokens[259:])
    write_llama_ggml(tmp_path / "m.bin", small_llama, form="ggml", version=0, kind="f16", tokens=tokens)
    with open_file(tmp_path / "m.bin") as model, pytest.raises(UnscoredGgmlVocabulary):
        model.vocabulary()


def test_added_tokens_and_empty_ones(tmp_path: Path) -> None:
    checkpoint = write_llama(
        tmp_path / "hf", hidden=32, n_head=2, n_layer=1, n_ff=96, n_vocab=32003, tokenizer=False
    )
    pieces = [(f"<{token}>".encode(), float(-token)) for token in range(32000 - N_TOKENS)]
    tokens = [*llama_tokens(N_TOKENS), *pieces, (b"", 0.0), (b"[P AD]", -1000.0), ("一 二".encode(), -5.0)]
    write_llama_ggml(tmp_path / "m.bin", checkpoint, kind="f16", tokens=tokens)
    with open_file(tmp_path / "m.bin") as model:
        found = model.vocabulary()
    assert list(found.tokens[32000:]) == ["[PAD32000]", "[P AD]", "一\u2581二"]
    assert list(found.types[32000:]) == [TokenType.UNUSED, TokenType.USER_DEFINED, TokenType.NORMAL]


def test_a_bloomz_cpp_vocabulary_is_no_tokenizer(tmp_path: Path, small_bloom: Checkpoint) -> None:
    write_bloomz_ggml(tmp_path / "m.bin", small_bloom)
    with open_file(tmp_path / "m.bin") as model:
        assert not model.has_vocabulary
        with pytest.raises(LossyGgmlVocabulary) as caught:
            model.vocabulary()
    assert caught.value.path == tmp_path / "m.bin"


# Refusals.


@pytest.mark.parametrize(("number", "name"), [(4, "Q4_2"), (5, "Q4_3")])
def test_dropped_types_are_refused_by_name(
    tmp_path: Path, small_llama: Checkpoint, number: int, name: str
) -> None:
    dropped = Stored("layers.0.attention.wq.weight", (64, 64), number, bytes(64 * 40))
    write_llama_ggml(tmp_path / "m.bin", small_llama, form="ggjt", version=1, extra=[dropped])
    with pytest.raises(UnsupportedGgmlType) as caught:
        open_file(tmp_path / "m.bin")
    assert (caught.value.tensor, caught.value.dtype) == ("layers.0.attention.wq.weight", name)


REFUSED: list[Any] = [
    pytest.param(struct.pack("<II", 0x9D9A939A, 0xE67684DB), PrivateGgmlContainer, id="belle-model.bin"),
    pytest.param(struct.pack("<II", 0x67676A74, 4), UnknownGgmlVersion, id="ggjt-v4"),
    pytest.param(struct.pack("<II", 0x67676D66, 100), UnknownGgmlVersion, id="rwkv"),
    # A whisper.cpp header: the same magic, other numbers.
    pytest.param(
        struct.pack("<12I", 0x67676D6C, 51864, 1500, 384, 6, 4, 448, 384, 6, 4, 80, 1),
        UnknownGgmlModel,
        id="whisper",
    ),
]


@pytest.mark.parametrize(("head", "expected"), REFUSED)
def test_relatives_are_recognised_and_refused(
    tmp_path: Path, head: bytes, expected: type[ConvertError]
) -> None:
    (tmp_path / "m.bin").write_bytes(head + bytes(4096))
    assert is_legacy_ggml(head[:8])
    with pytest.raises(expected):
        open_file(tmp_path / "m.bin")


@pytest.mark.parametrize(
    "head", [b"", b"lmg", b"GGUF\x03\0\0\0", b"PK\x03\x04\0\0\0\0", b"\x80\x02}q\0\0\0\0"]
)
def test_other_files_are_not_taken_for_ggml(head: bytes) -> None:
    assert not is_legacy_ggml(head)


def test_a_model_that_is_neither_family_is_refused(tmp_path: Path) -> None:
    header = [300, 64, 256, 4, 1, 16, 0]
    tensor = Stored("tok_embeddings.weight", (300, 64), 0, bytes(300 * 64 * 4))
    (tmp_path / "m.bin").write_bytes(ggml_file("ggjt", 3, header, [(b"a", 0.0)] * 300, [tensor]))
    with pytest.raises(UnknownGgmlModel):
        open_file(tmp_path / "m.bin")


def test_tensors_that_contradict_the_model_are_named(tmp_path: Path, small_llama: Checkpoint) -> None:
    gone = {name: weight for name, weight in small_llama.weights.items() if "layers.1.mlp.up" not in name}
    write_llama_ggml(tmp_path / "m.bin", Checkpoint(tmp_path, small_llama.config, gone, "f32"))
    with pytest.raises(MissingTensor) as missing:
        open_file(tmp_path / "m.bin")
    assert missing.value.tensor == "layers.1.feed_forward.w3.weight"
    stranger = Stored("layers.0.attention.wx.weight", (1, 1), 0, bytes(4))
    write_llama_ggml(tmp_path / "m.bin", small_llama, extra=[stranger])
    with pytest.raises(UnsupportedModel):
        open_file(tmp_path / "m.bin")
    frequencies = Stored("layers.0.attention.inner_attention.rope.freqs", (8,), 0, bytes(32))
    write_llama_ggml(tmp_path / "m.bin", small_llama, extra=[frequencies])
    with open_file(tmp_path / "m.bin") as model:
        assert len(model.mapped_tensors()) == 21


def test_a_feed_forward_that_2023_would_not_have_computed_is_refused(tmp_path: Path) -> None:
    checkpoint = write_llama(tmp_path / "hf", n_tokens=N_TOKENS, n_ff=160, tokenizer=False)
    write_llama_ggml(tmp_path / "m.bin", checkpoint)
    with pytest.raises(TensorShapeMismatch) as caught:
        open_file(tmp_path / "m.bin")
    assert (caught.value.expected, caught.value.found) == ((192, 64), (160, 64))
