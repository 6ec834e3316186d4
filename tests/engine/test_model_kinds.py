"""Sound files that are no chat models are called what they are, before any weight is read."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest

import engine.errors
from builders.gguf_models import write_model, write_split
from builders.other_ggufs import other_ggufs, write_big_endian, write_gguf
from engine.architectures import is_known_architecture
from engine.errors import (
    BigEndianGguf,
    DamagedHeader,
    ErrorReplyFile,
    LfsPointerFile,
    ModelFileError,
    NotGguf,
    OtherFileFormat,
    TruncatedModel,
    WebPageFile,
)
from engine.gguf_header import read_gguf_header
from engine.in_process import InProcessBackend
from engine.llama import Model
from engine.model_kinds import other_kind
from engine.model_shape import read_model_shape
from engine.models.header_summary import summarize
from engine.types import LoadOptions

OTHERS = other_ggufs()


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_chat_model_says_what_it_is(name: str, backend: InProcessBackend, tmp_path: Path) -> None:
    path = OTHERS[name](tmp_path / "m.gguf")
    expected = getattr(engine.errors, name.split()[0])
    for judge in (lambda: backend.load(path, LoadOptions()), lambda: summarize(path)):
        with pytest.raises(expected) as caught:
            judge()
        assert caught.value.path == path


@pytest.mark.parametrize("name", ["EmbeddingModel bert", "ProjectorFile"])
def test_a_cut_file_of_another_kind_stays_truncated(name: str, tmp_path: Path) -> None:
    path = OTHERS[name](tmp_path / "m.gguf")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TruncatedModel):
        summarize(path)


@pytest.mark.parametrize(
    ("architecture", "metadata"),
    [
        ("qwen3", {"general.type": "model"}),
        ("qwen3", {"qwen3.pooling_type": 0}),
        ("llama", {"llama.attention.causal": True}),
        ("pangu-embedded", {}),  # "embedded" as in small devices
        ("bloom", {}),
    ],
)
def test_what_may_be_a_chat_model_is_none_of_them(
    architecture: str, metadata: dict[str, str | int | bool], tmp_path: Path
) -> None:
    header = read_gguf_header(write_gguf(tmp_path / "m.gguf", architecture, metadata))
    assert other_kind(header) is None


def test_a_file_without_tensors_and_vocabulary_is_damaged(tmp_path: Path) -> None:
    header = read_gguf_header(write_gguf(tmp_path / "m.gguf", "llama", {}, tensors=()))
    assert other_kind(header) is None
    with pytest.raises(DamagedHeader):
        read_model_shape(header)


def test_the_first_file_of_a_split_model_may_have_no_tensors(tmp_path: Path) -> None:
    parts = write_split(tmp_path, "m", write_model(tmp_path / "whole.gguf"))
    assert summarize(parts[0], tuple(parts)).n_parameters > 0
    first = write_gguf(
        tmp_path / "first.gguf",
        "bloom",
        {"split.count": 3, "bloom.block_count": 2, "bloom.embedding_length": 32},
        tensors=(),
    )
    assert summarize(first).footprint.weights == 0


def test_the_names_are_those_that_llama_cpp_says_it_of(tmp_path: Path) -> None:
    """Every architecture that gguf-py names and llama.cpp loads: diffusion and encoders are never missed."""
    n_asked = 0
    for name in gguf.MODEL_ARCH_NAMES.values():
        if name == "clip" or not is_known_architecture(name):  # clip can't be loaded at all
            continue
        path = _without_vocabulary(tmp_path / "m.gguf", name)
        with Model(path, gpu_layers=0, vocabulary_only=True) as model:
            is_other = model.is_diffusion or model.has_encoder or not model.has_decoder
        kind = other_kind(read_gguf_header(write_gguf(tmp_path / "n.gguf", name, {})))
        assert kind is not None or not is_other, name
        n_asked += 1
    assert n_asked > 80


def _without_vocabulary(path: Path, architecture: str) -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


# --- files that are no GGUF at all ------------------------------------------------------------------


def _safetensors() -> bytes:
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    return struct.pack("<Q", len(header)) + header + bytes(4)


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    return stream.getvalue()


POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 4370000000\n"
)


@pytest.mark.parametrize(
    ("content", "expected", "said"),
    [
        (POINTER, LfsPointerFile, 4_370_000_000),
        (POINTER[:60], LfsPointerFile, None),
        (b"<!DOCTYPE html>\n<html><head>", WebPageFile, None),
        (b"\xef\xbb\xbf\n\n<HTML lang=zh>", WebPageFile, None),
        (b"<html>", WebPageFile, None),
        (_zip(), OtherFileFormat, "ZIP"),
        (_safetensors(), OtherFileFormat, "safetensors"),
        (b'{"error":"Repository not found"}', ErrorReplyFile, None),
        (b'\xef\xbb\xbf\n{ "code" : 404, "message": "not found"}', ErrorReplyFile, None),
        (b'{"architectures": ["BloomForCausalLM"], "error": 1}', OtherFileFormat, "JSON"),
        (b'{"metadata": {"total_size": 1}, "weight_map": {}}', OtherFileFormat, "JSON"),
        (b'[{"error": 1}]', OtherFileFormat, "JSON"),
        (b"\x80\x02}q\x00", OtherFileFormat, "pickle"),
        (b"%PDF-1.7", OtherFileFormat, "PDF"),
        (b"hello, world", NotGguf, "68 65 6c 6c"),
        (b"<", NotGguf, "3c"),
    ],
)
def test_other_files_are_told_by_their_beginning(
    content: bytes, expected: type[ModelFileError], said: object, tmp_path: Path
) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        read_gguf_header(path)
    assert type(caught.value) is expected
    told = vars(caught.value)
    assert [told.get(name) for name in ("size_bytes", "format", "found") if name in told] == (
        [] if expected in (WebPageFile, ErrorReplyFile) else [said]
    )


def test_a_big_endian_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BigEndianGguf):
        read_gguf_header(write_big_endian(tmp_path / "m.gguf"))


def test_an_encoder_without_a_sign_in_its_header_is_found_when_loaded(
    backend: InProcessBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kind that is newer than our rules: llama.cpp makes no cache for it."""
    monkeypatch.setattr("engine.loading.require_chat_model", lambda header: None)
    path = _tiny_bert(tmp_path / "m.gguf")
    with pytest.raises(engine.errors.EmbeddingModel):
        backend.load(path, LoadOptions())


def _tiny_bert(path: Path) -> Path:
    n, ff, tokens = 32, 64, ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", *"abcdefgh"]
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_context_length(64)
    writer.add_embedding_length(n)
    writer.add_feed_forward_length(ff)
    writer.add_block_count(1)
    writer.add_head_count(4)
    writer.add_layer_norm_eps(1e-5)
    writer.add_causal_attention(False)
    writer.add_tokenizer_model("bert")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] * 5 + [gguf.TokenType.NORMAL] * 8)
    writer.add_token_type_count(2)
    for number, add in enumerate(  # else llama.cpp takes those of the original, 100 to 103
        (
            writer.add_unk_token_id,
            writer.add_bos_token_id,
            writer.add_sep_token_id,
            writer.add_pad_token_id,
            writer.add_mask_token_id,
        )
    ):
        add(number)
    sizes = {
        "token_embd.weight": (len(tokens), n),
        "position_embd.weight": (64, n),
        "token_types.weight": (2, n),
        **{f"token_embd_norm.{part}": (n,) for part in ("weight", "bias")},
        **{f"blk.0.attn_{each}.weight": (n, n) for each in ("q", "k", "v", "output")},
        **{f"blk.0.attn_{each}.bias": (n,) for each in ("q", "k", "v", "output")},
        **{
            f"blk.0.{norm}.{part}": (n,)
            for norm in ("attn_output_norm", "layer_output_norm")
            for part in ("weight", "bias")
        },
        "blk.0.ffn_up.weight": (ff, n),
        "blk.0.ffn_up.bias": (ff,),
        "blk.0.ffn_down.weight": (n, ff),
        "blk.0.ffn_down.bias": (n,),
    }
    for name, size in sizes.items():
        writer.add_tensor(name, np.ones(size, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
