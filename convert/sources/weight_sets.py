"""Which files of a folder hold a model's weights together, told by their names alone, without opening one.

transformers' names come first, in its order: the single safetensors file, its shards, then the same of torch.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePath

SAFETENSORS_FILE, TORCH_FILE = "model.safetensors", "pytorch_model.bin"
USUAL_FILES = (SAFETENSORS_FILE, TORCH_FILE)
TORCH_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")
INDEX_SUFFIX = ".index.json"

_SHARD_NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.[a-z]+)")
# What training programs leave beside the weights.
_TRAINING = re.compile(
    r"(optimizer|scheduler|scaler|training_args|rng_state|random_states|sampler|dl_state_dict|"
    r"custom_checkpoint|global_step)(_?\d+)*([-_.].*)?|.*optim_states\.pt"
)
# Adapters, mlx-lm's as well, and Meta's files: they have readers of their own.
_OF_OTHERS = re.compile(r"(adapter_model|consolidated)[-_.].*|(\d+_)?adapters\.safetensors")
# What one of a training's processes wrote, with a part of every matrix; what gathers them; their folders.
_PIECE = re.compile(
    r".+\.distcp|(bf16_)?zero_pp_rank_\d+_mp_rank_\d+_model_states\.pt|mp_rank_(?!00)\d+.*_model_states\.pt"
)
_GATHERING = re.compile(r"zero_to_fp32\.py|global_step\d+|pytorch_model_fsdp_\d+")


@dataclass(frozen=True)
class WeightSet:
    """Files that hold one model together. label: the one that stands for them, as a person may name it."""

    label: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Shard:
    """A file that is one of `count` by its name; `number` may be one that can't be."""

    stem: str
    number: int
    count: str
    suffix: str

    @property
    def single_file(self) -> str:
        """What the whole would be called in one file."""
        return self.stem + self.suffix

    @property
    def is_possible(self) -> bool:
        return 1 <= self.number <= int(self.count)

    @property
    def set_names(self) -> tuple[str, ...]:
        """The names of all parts."""
        numbers = range(1, int(self.count) + 1)
        return tuple(f"{self.stem}-{number:05d}-of-{self.count}{self.suffix}" for number in numbers)


def parse_shard(name: str) -> Shard | None:
    """What a file's name says of a set that it belongs to, None where it says nothing."""
    match = _SHARD_NAME.fullmatch(name)
    if match is None:
        return None
    return Shard(match["stem"], int(match["number"]), match["count"], match["suffix"])


def shard_sets(names: Iterable[str], single_file: str) -> list[WeightSet]:
    """The sets that any part is there of, complete or not; as one file each would be `single_file`."""
    first: dict[str, tuple[str, Shard]] = {}
    for name in sorted(names):
        shard = parse_shard(name)
        if shard is not None and shard.single_file == single_file:
            first.setdefault(shard.count, (name, shard))
    return [WeightSet(name, shard.set_names) for name, shard in first.values()]


def is_complete(weight_set: WeightSet, names: Collection[str]) -> bool:
    """Whether all of its files are among `names`."""
    return bool(weight_set.files) and all(name in names for name in weight_set.files)


def complete_sets(names: Collection[str]) -> list[WeightSet]:
    """The complete sets under transformers' names, in its order of preference."""
    sets: list[WeightSet] = []
    for single_file in USUAL_FILES:
        sets.append(WeightSet(single_file, (single_file,)))
        sets += shard_sets(names, single_file)
    return [each for each in sets if is_complete(each, names)]


def other_files(names: Iterable[str]) -> list[str]:
    """Weight files under other names, the first of each set; a `.bin` among them may be anything.

    Of one model in both forms only the safetensors files.
    """
    found = [name for name in sorted(names) if _is_other(name)]
    stems = {PurePath(name).stem for name in found if name.endswith(".safetensors")}
    return [name for name in found if name.endswith(".safetensors") or PurePath(name).stem not in stems]


def _is_other(name: str) -> bool:
    shard = parse_shard(name)
    single_file = name if shard is None else shard.single_file
    return (
        PurePath(name).suffix in (".safetensors", *TORCH_SUFFIXES)
        and single_file not in USUAL_FILES
        and (shard is None or shard.number <= 1)
        and not any(pattern.fullmatch(name) for pattern in (_TRAINING, _OF_OTHERS, _PIECE))
    )


def is_of_training(name: str) -> bool:
    """Whether a file of this name holds the state of a training: its optimizer, its random numbers."""
    return _TRAINING.fullmatch(name) is not None


def is_piece(name: str) -> bool:
    """Whether a file of this name has a part of every matrix, as one of a training's processes had it."""
    return _PIECE.fullmatch(name) is not None


def is_beside_pieces(name: str) -> bool:
    """Whether a file or folder of this name comes with such pieces."""
    return _GATHERING.fullmatch(name) is not None
