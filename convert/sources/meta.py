"""Meta's own LLaMA files: params.json and consolidated.NN.pth, as the models were handed out.

params.json has dim, n_layers, n_heads, norm_eps and vocab_size (-1: whatever the tokenizer has); n_kv_heads
and rope_theta where they are not the default. Each .pth is a state dict with the names that 2023's ggml files
kept, see `convert.sources.ggml_names`. Several hold a part of each matrix: columns of the embedding, of wo
and of w2, rows of the rest.

The rows are in GGUF's order already. What params.json does not say, Meta's programs had built in: contexts of
2048, of 4096 for Llama 2, of 16384 for Code Llama.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from convert.arch import Architecture, MappedTensor, read_architecture
from convert.arch.config import MAX_HEADS, MAX_LAYERS, MAX_VOCAB, MAX_WIDTH, ConfigReader
from convert.errors import Detail, InvalidFile, MissingTensor, TensorShapeMismatch, UnsupportedModel
from convert.sources.folder import SourceFolder, read_file
from convert.sources.ggml_names import LLAMA, rename_tensors
from convert.sources.ggml_tensors import join_parts
from convert.sources.json_object import MAX_JSON_BYTES, parse_json_object
from convert.sources.lora_tensors import map_ordered
from convert.sources.tensors import StoredTensor, Tensor
from convert.sources.torch_file import read_torch
from convert.sources.weight_files import WeightFiles, WeightFormat

PARAMS_FILE = "params.json"
WEIGHT_FILE = re.compile(r"consolidated\.\d\d\.pth")
_FIRST_FILE = "consolidated.00.pth"
_EMBEDDING, _FIRST_GATE = "tok_embeddings.weight", "layers.0.feed_forward.w1.weight"
_MAX_PARTS = 16
_LLAMA1_65B_WIDTH = 8192


@dataclass(frozen=True)
class MetaModel:
    """An opened model; close it when its tensors are no longer read.

    path: params.json. config: what transformers' config.json would say. tensors: by transformers' names.
    """

    path: Path
    files: tuple[Path, ...]
    size_bytes: int
    config: Mapping[str, Any]
    architecture: Architecture
    tensors: Mapping[str, Tensor]
    opened: ExitStack

    def mapped_tensors(self, tensors: Mapping[str, Tensor]) -> list[MappedTensor]:
        """GGUF tensors in file order, of `self.tensors` or what adapters made of them.

        Raises what `Architecture.map_tensors` raises.
        """
        return map_ordered(self.architecture, self.files[0], tensors)

    def close(self) -> None:
        """Close the files; harmless when repeated."""
        self.opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def is_meta(folder: SourceFolder) -> bool:
    """Whether the folder holds weights in Meta's form, with or without what describes them."""
    return any(WEIGHT_FILE.fullmatch(name) for name in folder.names)


def open_meta(folder: SourceFolder) -> MetaModel:
    """Open the model in a folder for which `is_meta` holds and that has a params.json; no weights are read.

    Raises the folder's `missing_shard`, `MissingTensor`, `InvalidFile`, `TensorShapeMismatch`,
    `InvalidConfig`, `UnsupportedModel`, and what the reader raises.
    """
    path = folder.path / PARAMS_FILE
    params = ConfigReader(path, parse_json_object(path, read_file(folder, PARAMS_FILE, MAX_JSON_BYTES)))
    with ExitStack() as opened:
        parts = _open_parts(folder, params, opened)
        files = tuple(part.paths[0] for part in parts)
        tensors = join_parts(files, [part.tensors for part in parts])
        config = _config(files[0], params, tensors)
        return MetaModel(
            path=path,
            files=files,
            size_bytes=sum(part.size_bytes for part in parts),
            config=config,
            architecture=read_architecture(path, config),
            tensors=rename_tensors(files[0], LLAMA, tensors),
            opened=opened.pop_all(),
        )


def _open_parts(folder: SourceFolder, params: ConfigReader, opened: ExitStack) -> list[WeightFiles]:
    names = sorted(name for name in folder.names if WEIGHT_FILE.fullmatch(name))
    if _FIRST_FILE not in names:
        raise folder.missing_shard(_FIRST_FILE)
    parts = [_open_part(folder, _FIRST_FILE, opened)]
    expected = [f"consolidated.{n:02d}.pth" for n in range(_count_parts(parts[0], params))]
    for name in expected[1:]:
        if name not in names:
            raise folder.missing_shard(name)
        parts.append(_open_part(folder, name, opened))
    stranger = next((name for name in names if name not in expected), None)
    if stranger is not None:
        raise InvalidFile(folder.path / stranger, Detail("part_too_many", {"n": len(expected)}))
    return parts


def _open_part(folder: SourceFolder, name: str, opened: ExitStack) -> WeightFiles:
    return opened.enter_context(WeightFiles(WeightFormat("torch", name, read_torch), folder, (name,)))


def _count_parts(first: WeightFiles, params: ConfigReader) -> int:
    """How many files the model was split into: each holds its share of the embedding's columns."""
    width = params.integer(["dim"], high=MAX_WIDTH)
    embedding = _tensor(first.paths[0], first.tensors, _EMBEDDING)
    n_parts, rest = divmod(width, embedding.shape[-1] or width + 1)
    if rest or not 1 <= n_parts <= _MAX_PARTS or len(embedding.shape) != 2:
        raise TensorShapeMismatch(first.paths[0], _EMBEDDING, (embedding.shape[0], width), embedding.shape)
    return n_parts


def _tensor(path: Path, tensors: Mapping[str, StoredTensor], name: str) -> StoredTensor:
    if name not in tensors:
        raise MissingTensor(path, name)
    return tensors[name]


def _config(path: Path, params: ConfigReader, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    if params.flag("use_scaled_rope", default=False):
        raise UnsupportedModel(params.path, "use_scaled_rope", "True")
    n_layers = params.integer(["n_layers"], high=MAX_LAYERS)
    for name in LLAMA.expected(n_layers):
        if name not in tensors:
            raise MissingTensor(path, name)
    n_stated_tokens = params.integer(["vocab_size"], low=-1, high=MAX_VOCAB, default=-1)
    n_kv_heads = params.integer(["n_kv_heads"], high=MAX_HEADS, default=0)
    theta = params.number("rope_theta", low=1.0, high=1e12, default=0.0)
    config: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": n_stated_tokens if n_stated_tokens > 0 else tensors[_EMBEDDING].shape[0],
        "hidden_size": params.integer(["dim"], high=MAX_WIDTH),
        "intermediate_size": tensors[_FIRST_GATE].shape[0],
        "num_attention_heads": params.integer(["n_heads"], high=MAX_HEADS),
        "num_key_value_heads": n_kv_heads or None,
        "num_hidden_layers": n_layers,
        "rms_norm_eps": params.number("norm_eps", low=1e-12, high=1.0),
        "rope_theta": theta or None,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    config["max_position_embeddings"] = _context(config)
    return {name: value for name, value in config.items() if value is not None}


def _context(config: Mapping[str, Any]) -> int:
    """LLaMA-1 had norm_eps 1e-6 but for its largest, Llama 2 has 1e-5; Code Llama states its rope_theta."""
    if config["rope_theta"] is not None:
        return 16384
    is_llama1_65b = config["hidden_size"] == _LLAMA1_65B_WIDTH and config["num_key_value_heads"] is None
    return 4096 if config["rms_norm_eps"] == 1e-5 and not is_llama1_65b else 2048
