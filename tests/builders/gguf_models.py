"""Tiny GGUF models for engine tests, written with gguf-py: random ones, and ones that say what they are
told to.

The vocabulary is byte-level BPE: four control tokens, all 256 bytes, and some merged words, so every text
can be tokenized and every byte generated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

UNKNOWN, BEGIN, END, PAD = range(4)
CONTROL_TEXTS = ("<unk>", "<s>", "</s>", "<pad>")
N_CONTROL = len(CONTROL_TEXTS)
WORDS = ("Human", "Assistant", "\n\n", ": ", "\nHuman", "ing", "the", "你", "好", "中文")


def bytes_to_unicode() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte (github.com/openai/gpt-2, encoder.py)."""
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = [byte for byte in range(256) if byte not in printable]
    stand_ins = {byte: chr(byte) for byte in printable}
    return stand_ins | {byte: chr(256 + index) for index, byte in enumerate(others)}


@dataclass(frozen=True)
class Vocabulary:
    """Token texts as GGUF stores them, the merges that make the words, and the id of each byte string."""

    tokens: tuple[str, ...]
    merges: tuple[str, ...]
    ids: Mapping[bytes, int]
    types: Mapping[int, gguf.TokenType] = field(default_factory=dict)  # of those that are not as usual


def byte_vocabulary(
    words: Sequence[str] = WORDS,
    n_padding: int = 0,
    *,
    control: Sequence[str] = (),
    user_defined: Sequence[str] = (),
) -> Vocabulary:
    """Control tokens, the 256 bytes in order, then every prefix of every word (left to right merges), then
    more control tokens and user-defined ones.
    """
    stand_in = bytes_to_unicode()
    ids = {bytes([byte]): N_CONTROL + byte for byte in range(256)}
    tokens = [*CONTROL_TEXTS, *(stand_in[byte] for byte in range(256))]
    merges = []
    for word in words:
        data = word.encode()
        for end in range(2, len(data) + 1):
            if data[:end] in ids:
                continue
            left = "".join(stand_in[byte] for byte in data[: end - 1])
            right = stand_in[data[end - 1]]
            merges.append(f"{left} {right}")
            ids[data[:end]] = len(tokens)
            tokens.append(left + right)
    tokens += [f"<extra_{index}>" for index in range(n_padding)]
    types = {}
    for texts, kind in ((control, gguf.TokenType.CONTROL), (user_defined, gguf.TokenType.USER_DEFINED)):
        for text in texts:
            ids[text.encode()] = len(tokens)
            types[len(tokens)] = kind
            tokens.append(text)
    return Vocabulary(tuple(tokens), tuple(merges), ids, types)


@dataclass(frozen=True)
class Shape:
    """Dimensions of a tiny model; window: in tokens, of sliding layers (Gemma 3's)."""

    n_embd: int = 32
    n_heads: int = 4
    n_layers: int = 2
    n_ff: int = 64
    context: int = 512
    window: int = 0


def write_model(
    path: Path,
    *,
    architecture: str = "bloom",
    shape: Shape | None = None,
    vocabulary: Vocabulary | None = None,
    chat_template: str | None = None,
    pre_tokenizer: str = "gpt-2",
    name: str | None = None,
    control: Sequence[str] = (),
    tensors: Mapping[str, npt.NDArray[np.float32]] | None = None,
    keys: Mapping[str, str | int | float] | None = None,
    seed: int = 0,
) -> Path:
    """Write a float32 model; `tensors` replace random ones of that name. control: further control tokens.
    keys: further metadata.
    """
    shape = shape or Shape()
    vocabulary = vocabulary or byte_vocabulary()
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(name or f"tiny {architecture}")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.n_embd)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_block_count(shape.n_layers)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_heads)
    if architecture == "bloom":
        writer.add_layer_norm_eps(1e-5)
    else:
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_dimension_count(shape.n_embd // shape.n_heads)
    if shape.window:
        writer.add_sliding_window(shape.window)
    _add_vocabulary(writer, vocabulary, pre_tokenizer, control)
    _add_keys(writer, keys or {})
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    made = _BUILDERS[architecture](shape, len(vocabulary.tokens), np.random.default_rng(seed))
    for name, values in {**made, **(tensors or {})}.items():
        writer.add_tensor(name, np.ascontiguousarray(values, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_header(path: Path, architecture: str, keys: Mapping[str, str | int | float]) -> Path:
    """Write a GGUF that has metadata and nothing else."""
    writer = gguf.GGUFWriter(path, architecture)
    _add_keys(writer, keys)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_split(folder: Path, stem: str, model: Path) -> list[Path]:
    """A BLOOM model in three files, as llama-gguf-split writes them: metadata in the first one only."""
    reader = gguf.GGUFReader(model)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{stem}-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    third = -(-len(reader.tensors) // 3)
    for number, path in enumerate(paths):
        writer = gguf.GGUFWriter(path, "bloom")
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", 3)
        if number == 0:
            for key, value in {"context_length": 512, "embedding_length": 32, "block_count": 2}.items():
                writer.add_uint32(f"bloom.{key}", value)
            writer.add_uint32("bloom.attention.head_count", 4)
            writer.add_uint32("bloom.feed_forward_length", 64)
        for tensor in reader.tensors[number * third : (number + 1) * third]:
            writer.add_tensor(tensor.name, tensor.data)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return paths


def write_scripted_model(
    path: Path,
    following: Mapping[int, int],
    *,
    vocabulary: Vocabulary | None = None,
    context: int = 512,
    chat_template: str | None = None,
) -> Path:
    """Write a BLOOM model whose most probable next token depends on the last one only: `following[token]`.

    After tokens without an entry anything may follow. All layers are silent; each token's embedding is a
    random direction, and the output row of its follower points there.
    """
    vocabulary = vocabulary or byte_vocabulary()
    shape = Shape(n_embd=256, n_heads=4, n_layers=1, n_ff=16, context=context)
    n_vocab = len(vocabulary.tokens)
    embedding = np.random.default_rng(1).standard_normal((n_vocab, shape.n_embd)).astype(np.float32)
    embedding -= embedding.mean(axis=1, keepdims=True)
    embedding /= embedding.std(axis=1, keepdims=True)
    output = np.zeros_like(embedding)
    for token, follower in following.items():
        output[follower] += embedding[token] / shape.n_embd * 20
    silent = {
        f"blk.0.{name}": np.zeros(size, np.float32)
        for name, size in {
            "attn_output.weight": (shape.n_embd, shape.n_embd),
            "attn_output.bias": (shape.n_embd,),
            "ffn_down.weight": (shape.n_embd, shape.n_ff),
            "ffn_down.bias": (shape.n_embd,),
        }.items()
    }
    norms = {
        name: np.full(shape.n_embd, value, np.float32)
        for stem in ("token_embd_norm", "output_norm")
        for name, value in ((f"{stem}.weight", 1), (f"{stem}.bias", 0))
    }
    return write_model(
        path,
        shape=shape,
        vocabulary=vocabulary,
        chat_template=chat_template,
        tensors={"token_embd.weight": embedding, "output.weight": output, **silent, **norms},
    )


def chain(
    start: bytes, *texts: bytes, vocabulary: Vocabulary | None = None, end: int = END
) -> dict[int, int]:
    """`following` for a scripted model that says `texts`, each one token, after the token `start`."""
    ids = (vocabulary or byte_vocabulary()).ids
    steps = [ids[start], *(ids[text] for text in texts), end]
    if len(set(steps[:-1])) < len(steps) - 1:
        raise ValueError("a token may occur only once in a chain")
    return dict(zip(steps, steps[1:], strict=False))


def _add_keys(writer: gguf.GGUFWriter, keys: Mapping[str, str | int | float]) -> None:
    for key, value in keys.items():
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, int):
            writer.add_int32(key, value)
        else:
            writer.add_float32(key, value)


def _add_vocabulary(
    writer: gguf.GGUFWriter, vocabulary: Vocabulary, pre_tokenizer: str, control: Sequence[str]
) -> None:
    texts = {*CONTROL_TEXTS, *control}
    types = {True: gguf.TokenType.CONTROL, False: gguf.TokenType.NORMAL}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer)
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_merges(list(vocabulary.merges))
    usual = [types[text in texts] for text in vocabulary.tokens]
    writer.add_token_types([vocabulary.types.get(token, kind) for token, kind in enumerate(usual)])
    writer.add_unk_token_id(UNKNOWN)
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    writer.add_pad_token_id(PAD)


def _bloom_tensors(
    shape: Shape, n_vocab: int, random: np.random.Generator
) -> dict[str, npt.NDArray[np.float32]]:
    n, ff = shape.n_embd, shape.n_ff
    sizes: dict[str, tuple[int, ...]] = {"token_embd.weight": (n_vocab, n)}
    for layer in range(shape.n_layers):
        sizes |= {
            f"blk.{layer}.{name}": size
            for name, size in {
                "attn_qkv.weight": (3 * n, n),
                "attn_qkv.bias": (3 * n,),
                "attn_output.weight": (n, n),
                "attn_output.bias": (n,),
                "ffn_up.weight": (ff, n),
                "ffn_up.bias": (ff,),
                "ffn_down.weight": (n, ff),
                "ffn_down.bias": (n,),
            }.items()
        }
    made = {name: _normal(random, size) for name, size in sizes.items()}
    norms = ["token_embd_norm", "output_norm"]
    norms += [f"blk.{layer}.{name}" for layer in range(shape.n_layers) for name in ("attn_norm", "ffn_norm")]
    for norm in norms:
        made[f"{norm}.weight"] = 1 + 0.1 * _normal(random, (n,))
        made[f"{norm}.bias"] = 0.1 * _normal(random, (n,))
    return made


def _llama_tensors(
    shape: Shape, n_vocab: int, random: np.random.Generator
) -> dict[str, npt.NDArray[np.float32]]:
    n, ff = shape.n_embd, shape.n_ff
    made = {
        "token_embd.weight": _normal(random, (n_vocab, n)),
        "output.weight": _normal(random, (n_vocab, n)),
    }
    made["output_norm.weight"] = np.ones(n, np.float32)
    for layer in range(shape.n_layers):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            made[f"blk.{layer}.{name}.weight"] = _normal(random, (n, n))
        for name, size in (("ffn_gate", (ff, n)), ("ffn_up", (ff, n)), ("ffn_down", (n, ff))):
            made[f"blk.{layer}.{name}.weight"] = _normal(random, size)
        for name in ("attn_norm", "ffn_norm"):
            made[f"blk.{layer}.{name}.weight"] = np.ones(n, np.float32)
    return made


def _gemma3_tensors(
    shape: Shape, n_vocab: int, random: np.random.Generator
) -> dict[str, npt.NDArray[np.float32]]:
    made = _llama_tensors(shape, n_vocab, random)
    del made["output.weight"]  # tied to the embedding
    for layer in range(shape.n_layers):
        for name in ("attn_q_norm", "attn_k_norm"):
            made[f"blk.{layer}.{name}.weight"] = np.ones(shape.n_embd // shape.n_heads, np.float32)
        for name in ("post_attention_norm", "post_ffw_norm"):
            made[f"blk.{layer}.{name}.weight"] = np.ones(shape.n_embd, np.float32)
    return made


_BUILDERS = {"bloom": _bloom_tensors, "llama": _llama_tensors, "gemma3": _gemma3_tensors}


def _normal(random: np.random.Generator, size: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Scaled by the width, so that activations keep their size from layer to layer."""
    return (random.standard_normal(size) / np.sqrt(size[-1])).astype(np.float32)
