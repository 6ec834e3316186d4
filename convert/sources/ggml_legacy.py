"""A model in the ggml form of 2023: LLaMA of llama.cpp, one file or several, and BLOOM of bloomz.cpp.

Gives what a checkpoint folder gives: a config, tensors under their GGUF names, and for LLaMA the vocabulary.
The rows of these files are in GGUF's order already: rotary pairs adjacent, BLOOM's Q, K and V one after the
other. So names and shapes go through `convert.arch` as if they came from transformers, its row orders do not.

What the files do not say, 2023's programs had built in: contexts of 2048, RMS norm epsilon 1e-6 (ggml.c's
ggml_rms_norm until July 2023, Meta's params.json of LLaMA-1), layer norm epsilon 1e-5. Only LLaMA-2 70B had
grouped-query attention, with 1e-5 and 4096; its head count is read off the key matrix. LLaMA-2 7B and 13B
can't be told from LLaMA-1 and get LLaMA-1's numbers.

LLaMA-13B and larger were split in March 2023 into 2, 4 or 8 files `NAME`, `NAME.1`, …, as Meta's own are:
vectors are whole in each part; `tok_embeddings`, `attention.wo` and `feed_forward.w2` are cut into columns,
the rest into rows. Source: main.cpp of llama.cpp, March 2023.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from convert.arch import Architecture, MappedTensor, read_architecture
from convert.arch.llama import LLAMA as LLAMA_FAMILY
from convert.errors import (
    Detail,
    InvalidFile,
    LossyGgmlVocabulary,
    MissingTensor,
    TensorShapeMismatch,
    UnknownGgmlModel,
)
from convert.sources.folder import SourceFolder
from convert.sources.ggml_file import HEAD_BYTES, GgmlFile, GgmlHeader, is_legacy_ggml, read_ggml_file
from convert.sources.ggml_names import BLOOM, LLAMA, Family, rename_tensors
from convert.sources.ggml_tensors import file_tensors, join_parts
from convert.sources.ggml_vocabulary import rebuild_llama_vocabulary
from convert.sources.lora_tensors import map_ordered
from convert.sources.tensors import Tensor
from convert.vocab import Vocabulary

FILE_TYPES: Mapping[int, str] = {
    0: "f32",
    1: "f16",
    2: "q4_0",
    3: "q4_1",
    4: "q4_1 with f16",
    7: "q8_0",
    8: "q5_0",
    9: "q5_1",
    10: "q2_k",
    11: "q3_k_s",
    12: "q3_k_m",
    13: "q3_k_l",
    14: "q4_k_s",
    15: "q4_k_m",
    16: "q5_k_s",
    17: "q5_k_m",
    18: "q6_k",
}
"""llama.cpp's numbers for a whole file; not those of tensor types."""

_EMBEDDING, _OUTPUT = "tok_embeddings.weight", "output.weight"
_FIRST_GATE, _FIRST_KEY = "layers.0.feed_forward.w1.weight", "layers.0.attention.wk.weight"
_MAX_PARTS = 16
_PART_NAME = re.compile(r"(?P<first>.+)\.(?P<number>[1-9]\d?)")
# What such files were called: ggml-model-q4_0.bin, BELLE-7B-2M.ggmlv3.q4_0.bin, ggml-belle.ggml.
_FILE_NAME = re.compile(r"(.*\.(bin|ggml)|.*ggml.*)(\.[1-9]\d?)?", re.IGNORECASE | re.DOTALL)
_MAX_LOOKED_AT = 64
# Places compared to tell a tied output matrix: two different matrices agree nowhere.
_N_TIE_SAMPLES = 64
_TIE_SAMPLE_BYTES = 1 << 12


@dataclass(frozen=True)
class LegacyGgml:
    """An opened model; close it when its tensors are no longer read.

    path: the first part. config: what transformers' config.json would say. tensors: by transformers' names.
    """

    path: Path
    files: tuple[GgmlFile, ...]
    config: Mapping[str, Any]
    architecture: Architecture
    tensors: Mapping[str, Tensor]
    opened: ExitStack

    @property
    def file_type(self) -> str:
        """What the header calls the file's quantization, as in `FILE_TYPES`."""
        number = self.files[0].header.file_type
        return FILE_TYPES.get(number, str(number))

    @property
    def form(self) -> str:
        """For people: "ggjt v2, q4_0"."""
        return f"{self.files[0].form.label}, {self.file_type}"

    @property
    def size_bytes(self) -> int:
        """All parts together."""
        return sum(file.source.size_bytes for file in self.files)

    @property
    def has_vocabulary(self) -> bool:
        """Whether the file's token list can be a tokenizer; see `vocabulary`."""
        return self.architecture.family is LLAMA_FAMILY

    def mapped_tensors(self) -> list[MappedTensor]:
        """GGUF tensors in file order; quantized ones have a `PackedTensor` as source.

        Raises `TensorShapeMismatch` and what else `Architecture.map_tensors` raises.
        """
        return map_ordered(self.architecture, self.path, self.tensors)

    def vocabulary(self) -> Vocabulary:
        """The tokenizer, rebuilt from the file (see `convert.sources.ggml_vocabulary`).

        Raises, where it has to come from elsewhere, `UnsupportedTokenizer`, `LossyGgmlVocabulary` (BLOOM) or
        `UnscoredGgmlVocabulary`.
        """
        if not self.has_vocabulary:
            raise LossyGgmlVocabulary(self.path)
        return rebuild_llama_vocabulary(self.path, self.files[0].tokens, self.files[0].scores)

    def close(self) -> None:
        """Close the files; harmless when repeated."""
        self.opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def find_ggml_files(folder: SourceFolder) -> tuple[str, ...]:
    """The names of the models in this form in a folder; of several parts the first.

    Looks at the first bytes of files with such names. Raises what `SourceFolder.open` raises.
    """
    found: list[str] = []
    for name in sorted(name for name in folder.names if _FILE_NAME.fullmatch(name))[:_MAX_LOOKED_AT]:
        part = _PART_NAME.fullmatch(name)
        if (part is None or part["first"] not in folder.names) and _has_magic(folder, name):
            found.append(name)
    return tuple(found)


def _has_magic(folder: SourceFolder, name: str) -> bool:
    source = folder.open(name)
    try:
        return is_legacy_ggml(source.read_at(0, min(HEAD_BYTES, source.size_bytes)))
    finally:
        source.close()


def open_legacy_ggml(folder: SourceFolder, name: str) -> LegacyGgml:
    """Open the file `name`, any of its parts standing for all; no weights are read but a few to tell layouts.

    Raises `MissingShard` (in the folder's terms) for a part that is not there, `MissingTensor`,
    `UnknownGgmlBlocks`, and what `read_ggml_file` raises.
    """
    match = _PART_NAME.fullmatch(name)
    if match is not None and match["first"] in folder.names:
        name = match["first"]
    opened = ExitStack()
    try:
        return _read_model(_open_parts(folder, name, opened), opened)
    except BaseException:
        opened.close()
        raise


def _read_model(files: tuple[GgmlFile, ...], opened: ExitStack) -> LegacyGgml:
    path, header = files[0].source.path, files[0].header
    family = _find_family(files[0])
    tensors = join_parts([file.source.path for file in files], [file_tensors(file) for file in files])
    for name in family.expected(header.n_layer):
        if name not in tensors:
            raise MissingTensor(path, name)
    config = _bloom_config(files[0]) if family is BLOOM else _llama_config(path, header, tensors)
    return LegacyGgml(
        path=path,
        files=files,
        config=config,
        architecture=read_architecture(path, config),
        tensors=rename_tensors(path, family, tensors),
        opened=opened,
    )


def _open_parts(folder: SourceFolder, name: str, opened: ExitStack) -> tuple[GgmlFile, ...]:
    files = [_open_part(folder, name, opened)]
    for number in range(1, _count_parts(files[0])):
        part_name = f"{name}.{number}"
        if part_name not in folder.names:
            match = _PART_NAME.fullmatch(name)  # a part whose first sibling is not there
            raise folder.missing_shard(match["first"] if match else part_name)
        files.append(_open_part(folder, part_name, opened))
        if files[-1].header != files[0].header or files[-1].form != files[0].form:
            raise InvalidFile(files[-1].source.path, Detail("other_header", {"name": name}))
    return tuple(files)


def _open_part(folder: SourceFolder, name: str, opened: ExitStack) -> GgmlFile:
    source = folder.open(name)
    opened.callback(source.close)
    return read_ggml_file(source)


def _count_parts(file: GgmlFile) -> int:
    """How many files the model was split into: each holds its share of the embedding's columns."""
    path, n_embd = file.source.path, file.header.n_embd
    embedding = file.entries.get(_EMBEDDING)
    if embedding is None:
        raise MissingTensor(path, _EMBEDDING)
    n_parts, rest = divmod(n_embd, embedding.shape[-1])
    if rest or not 1 <= n_parts <= _MAX_PARTS:
        raise TensorShapeMismatch(path, _EMBEDDING, (file.header.n_vocab, n_embd), embedding.shape)
    return n_parts


def _find_family(file: GgmlFile) -> Family:
    for family in (LLAMA, BLOOM):
        if family.marker in file.entries:
            return family
    raise UnknownGgmlModel(file.source.path, file.form.label)


def _llama_config(path: Path, header: GgmlHeader, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Raises `TensorShapeMismatch` where the matrices contradict what 2023's llama.cpp computed."""
    n_head_kv, rest = divmod(tensors[_FIRST_KEY].shape[0], header.n_embd // header.n_head)
    # Any other number of rows is no grouping, and refused with the other shapes.
    is_grouped = not rest and 1 <= n_head_kv < header.n_head and header.n_head % n_head_kv == 0
    n_ff = _feed_forward_size(header, is_grouped=is_grouped)
    if tensors[_FIRST_GATE].shape != (n_ff, header.n_embd):
        found = tensors[_FIRST_GATE].shape
        raise TensorShapeMismatch(path, _FIRST_GATE, (n_ff, header.n_embd), found)
    return {
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": header.n_vocab,
        "hidden_size": header.n_embd,
        "intermediate_size": n_ff,
        "num_attention_heads": header.n_head,
        "num_hidden_layers": header.n_layer,
        "max_position_embeddings": 4096 if is_grouped else 2048,
        "rms_norm_eps": 1e-5 if is_grouped else 1e-6,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **({"num_key_value_heads": n_head_kv} if is_grouped else {}),
    }


def _feed_forward_size(header: GgmlHeader, *, is_grouped: bool) -> int:
    """Two thirds of four widths, 1.3 times as much in LLaMA-2 70B, rounded up to a multiple of n_mult."""
    size = 2 * (4 * header.n_embd) // 3
    if is_grouped:
        size = int(1.3 * size)
    return -(-size // header.n_mult) * header.n_mult


def _bloom_config(file: GgmlFile) -> dict[str, Any]:
    header = file.header
    return {
        "architectures": ["BloomForCausalLM"],
        "vocab_size": header.n_vocab,
        "hidden_size": header.n_embd,
        "n_head": header.n_head,
        "n_layer": header.n_layer,
        "seq_length": 2048,
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": _is_tied(file),
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def _is_tied(file: GgmlFile) -> bool:
    """Whether the output matrix is the embedding again, as bloomz.cpp's converter stores it."""
    output, embedding = file.entries.get(_OUTPUT), file.entries[_EMBEDDING]
    if output is None:
        return True
    if (output.shape, output.type) != (embedding.shape, embedding.type):
        return False
    size = min(_TIE_SAMPLE_BYTES, output.size_bytes)
    last = output.size_bytes - size
    places: Sequence[int] = sorted({last * index // _N_TIE_SAMPLES for index in range(_N_TIE_SAMPLES + 1)})
    read_at = file.source.read_at
    return all(
        read_at(output.offset + place, size) == read_at(embedding.offset + place, size) for place in places
    )
