"""Which of several forms of a model in one folder is read, and what is said of the others."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from builders.checkpoints import write_json, write_llama, write_safetensors
from builders.lora import write_adapter
from builders.torch_zip import write_torch_zip
from convert.detect import open_checkpoint
from convert.errors import (
    BrokenLink,
    ConvertError,
    KeyNeeded,
    LfsPointer,
    MissingShard,
    NoWeights,
    SeveralWeightFiles,
    ShardedCheckpoint,
    TrainingState,
)
from convert.notes import Note
from convert.sources.hf_folder import open_weights
from convert.sources.lora import LoraChoice

# What a form puts into a folder; its number is in every value, to tell which was read.
FORMS: Mapping[str, float] = {"single": 1, "shards": 2, "bin": 3, "bin-shards": 4}
LABELS = {
    "single": "model.safetensors",
    "shards": "model-00001-of-00002.safetensors",
    "bin": "pytorch_model.bin",
    "bin-shards": "pytorch_model-00001-of-00002.bin",
}


def parts(value: float) -> list[dict[str, np.ndarray]]:
    return [{"a": np.full((2, 3), value, np.float32)}, {"b": np.full((2, 3), value, np.float32)}]


def write_form(folder: Path, form: str, *, n_shards: int = 2, indexed: bool = True) -> None:
    is_torch = form.startswith("bin")
    stem, suffix = ("pytorch_model", "bin") if is_torch else ("model", "safetensors")
    first, second = parts(FORMS[form])
    write: Callable[[Path, dict[str, np.ndarray]], None] = (
        write_torch_zip if is_torch else lambda path, arrays: write_safetensors(path, arrays, "f32")
    )
    if not form.endswith("shards"):
        write(folder / f"{stem}.{suffix}", first | second)
        return
    names = [f"{stem}-{number:05d}-of-{n_shards:05d}.{suffix}" for number in range(1, n_shards + 1)]
    for name, arrays in itertools.zip_longest(names, (first, second), fillvalue={"c": first["a"]}):
        write(folder / str(name), dict(arrays))
    if indexed:
        places = {"a": names[0], "b": names[1], **({"c": names[2]} if n_shards > 2 else {})}
        write_json(folder / f"{stem}.{suffix}.index.json", {"metadata": {}, "weight_map": places})


def write_index(folder: Path, places: Mapping[str, str]) -> None:
    write_json(folder / "model.safetensors.index.json", {"weight_map": places})


def chosen(folder: Path, only_file: str | None = None) -> tuple[float, tuple[Note, ...]]:
    with open_weights(folder, folder / only_file if only_file else None) as weights:
        values = {float(tensor.read_rows(0, 1)[0, 0]) for tensor in weights.tensors.values()}
        assert len(values) == 1
        return values.pop(), weights.notes


COMBINATIONS = [forms for n in range(1, len(FORMS) + 1) for forms in itertools.combinations(FORMS, n)]


@pytest.mark.parametrize("forms", COMBINATIONS, ids="+".join)
def test_the_first_complete_form_is_read_and_the_others_are_named(
    tmp_path: Path, forms: tuple[str, ...]
) -> None:
    for form in forms:
        write_form(tmp_path, form)
    value, notes = chosen(tmp_path)
    assert value == FORMS[forms[0]]
    label = "model.safetensors.index.json" if forms[0] == "shards" else LABELS[forms[0]]
    label = "pytorch_model.bin.index.json" if forms[0] == "bin-shards" else label
    others = ", ".join(LABELS[form] for form in forms[1:])
    assert notes == ((Note("weight_choice", {"chosen": label, "others": others}),) if others else ())
    for form in forms:
        assert chosen(tmp_path, LABELS[form]) == (FORMS[form], ())


@pytest.mark.torch
@pytest.mark.parametrize("forms", COMBINATIONS, ids="+".join)
def test_transformers_chooses_the_same(tmp_path: Path, forms: tuple[str, ...]) -> None:
    pytest.importorskip("torch")
    from transformers.modeling_utils import _get_resolved_checkpoint_files

    for form in forms:
        write_form(tmp_path, form)
    expected, _ = _get_resolved_checkpoint_files(tmp_path, None, None, None, None, False)
    with open_weights(tmp_path) as weights:
        assert sorted(map(str, weights.paths)) == sorted(map(str, expected or []))


@pytest.mark.parametrize("form", ["single", "bin", "bin-shards"])
def test_an_index_whose_parts_are_gone_does_not_hide_what_is_complete(tmp_path: Path, form: str) -> None:
    write_form(tmp_path, "shards")
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    write_form(tmp_path, form)
    value, notes = chosen(tmp_path)
    assert value == FORMS[form]
    passed = [note for note in notes if note.key == "weights_passed"]
    assert [note.values["other"] for note in passed] == (
        [] if form == "single" else ["model.safetensors.index.json"]
    )
    with pytest.raises(MissingShard):
        chosen(tmp_path, "model-00001-of-00002.safetensors")
    with pytest.raises(MissingShard):
        chosen(tmp_path, "model.safetensors.index.json")


def test_a_stale_index_does_not_hide_the_shards_that_are_there(tmp_path: Path) -> None:
    write_form(tmp_path, "shards", n_shards=3, indexed=False)
    write_json(
        tmp_path / "model.safetensors.index.json", {"weight_map": {"a": "model-00001-of-00009.safetensors"}}
    )
    assert chosen(tmp_path)[0] == FORMS["shards"]


def test_an_index_decides_between_two_sets_of_shards(tmp_path: Path) -> None:
    write_form(tmp_path, "shards", n_shards=3, indexed=False)
    write_form(tmp_path, "shards", n_shards=2)
    with open_weights(tmp_path) as weights:
        assert [path.name for path in weights.paths] == [
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
        ]
        assert weights.notes[0].values["others"] == "model-00001-of-00003.safetensors"
    (tmp_path / "model.safetensors.index.json").unlink()
    with pytest.raises(SeveralWeightFiles) as several:
        open_weights(tmp_path)
    assert several.value.names == ("model-00001-of-00002.safetensors", "model-00001-of-00003.safetensors")
    assert len(open_weights(tmp_path, tmp_path / "model-00003-of-00003.safetensors").paths) == 3


def test_what_no_index_and_no_shard_is_there_of_is_still_said_to_be_missing(tmp_path: Path) -> None:
    write_json(
        tmp_path / "model.safetensors.index.json", {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    )
    with pytest.raises(MissingShard):
        open_weights(tmp_path)


def test_of_two_incomplete_sets_the_one_that_was_begun_is_said_to_lack_a_part(tmp_path: Path) -> None:
    write_index(tmp_path, {"a": "model-00001-of-00002.safetensors"})
    write_form(tmp_path, "bin-shards")
    (tmp_path / "pytorch_model-00001-of-00002.bin").unlink()
    with pytest.raises(MissingShard) as missing:
        open_weights(tmp_path)
    assert missing.value.shard == "pytorch_model-00001-of-00002.bin"


def test_an_index_of_encrypted_parts_asks_for_the_key(tmp_path: Path) -> None:
    write_index(tmp_path, {"a": "model-00001-of-00002.safetensors"})
    (tmp_path / f"model-00001-of-00002.safetensors.{'0' * 64}.enc").write_bytes(bytes(99))
    with pytest.raises(KeyNeeded):
        open_weights(tmp_path)


def test_a_quantized_file_beside_the_index_of_its_base_is_read(tmp_path: Path) -> None:
    write_json(
        tmp_path / "model.safetensors.index.json", {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    )
    first, second = parts(7)
    write_safetensors(tmp_path / "gptq_model-4bit-128g.safetensors", first | second, "f32")
    value, notes = chosen(tmp_path)
    assert value == 7
    assert [note.key for note in notes] == ["weights_passed"]
    write_form(tmp_path, "single")
    value, notes = chosen(tmp_path)
    assert value == FORMS["single"]
    assert notes[-1].values["others"] == "gptq_model-4bit-128g.safetensors"


def test_shards_of_another_name_follow_their_own_index(tmp_path: Path) -> None:
    first, second = parts(8)
    for name, arrays in (("teil-a.safetensors", first), ("teil-b.safetensors", second)):
        write_safetensors(tmp_path / name, arrays, "f32")
    write_index(tmp_path, {"a": "teil-a.safetensors", "b": "teil-b.safetensors"})
    value, notes = chosen(tmp_path)
    assert value == 8
    assert notes == ()


def test_a_variant_is_read_where_there_is_nothing_else_or_it_is_named(tmp_path: Path) -> None:
    """transformers reads `model.fp16.safetensors` and its kind only when told to (`variant="fp16"`)."""
    first, second = parts(5)
    names = [f"model.fp16-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for name, arrays in zip(names, (first, second), strict=True):
        write_safetensors(tmp_path / name, arrays, "f32")
    index = tmp_path / "model.safetensors.index.fp16.json"
    write_json(index, {"metadata": {}, "weight_map": dict(zip("ab", names, strict=True))})
    assert chosen(tmp_path)[0] == 5
    write_form(tmp_path, "bin")
    value, notes = chosen(tmp_path)
    assert value == FORMS["bin"]
    assert notes[0].values["others"] == names[0]
    for named in (index.name, names[1]):
        assert chosen(tmp_path, named)[0] == 5


def test_a_pointer_of_git_lfs_under_another_name_is_one(tmp_path: Path) -> None:
    (tmp_path / "belle.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    with pytest.raises(LfsPointer):
        open_weights(tmp_path)


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt"])
def test_torch_files_of_any_name_are_read_if_there_is_one(tmp_path: Path, suffix: str) -> None:
    first, second = parts(9)
    write_torch_zip(tmp_path / f"我的模型{suffix}", first | second)
    for name in ("optimizer", "scheduler", "rng_state", "training_args", "rng_state_0", "random_states_0"):
        write_torch_zip(tmp_path / f"{name}.pt", first)
    write_torch_zip(tmp_path / "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt", first)
    (tmp_path / "ggml-model-q4_0.bin").write_bytes(b"tjgg" + bytes(60))
    (tmp_path / "tiny.bin").write_bytes(b"")
    assert chosen(tmp_path)[0] == 9
    write_torch_zip(tmp_path / f"zweites{suffix}", first)
    with pytest.raises(SeveralWeightFiles) as several:
        open_weights(tmp_path)
    assert len(several.value.names) == 2


def test_the_state_of_a_training_is_no_model(tmp_path: Path) -> None:
    first, _ = parts(1)
    for name in ("optimizer.pt", "optimizer.bin", "scheduler.pt", "training_args.bin", "rng_state.pth"):
        write_torch_zip(tmp_path / name, first)
        with pytest.raises(TrainingState):
            open_weights(tmp_path, tmp_path / name)
    with pytest.raises(NoWeights):
        open_weights(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "__0_0.distcp",
        "zero_pp_rank_0_mp_rank_00_model_states.pt",
        "mp_rank_01_model_states.pt",
        "zero_to_fp32.py",
        "global_step500/",
        "pytorch_model_fsdp_0/",
    ],
)
def test_pieces_of_a_training_are_told_apart_from_a_checkpoint(tmp_path: Path, name: str) -> None:
    if name.endswith("/"):
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(b"x")
        write_torch_zip(tmp_path / "optimizer.pt", parts(1)[0])
    if name.startswith("mp_rank"):
        write_torch_zip(tmp_path / "mp_rank_00_model_states.pt", parts(1)[0])
    with pytest.raises(ShardedCheckpoint) as refused:
        open_weights(tmp_path)
    assert refused.value.path == tmp_path
    if name.endswith((".distcp", ".pt")):
        with pytest.raises(ShardedCheckpoint):
            open_weights(tmp_path, tmp_path / name)


@pytest.mark.parametrize("error", [BrokenLink, LfsPointer])
def test_a_file_that_is_not_really_there_leaves_the_choice_to_the_others(
    tmp_path: Path, error: type[ConvertError]
) -> None:
    path = tmp_path / "model.safetensors"
    if error is BrokenLink:
        path.symlink_to("../../blobs/0a1b2c")
    else:
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n")
    for only_file in (None, path):
        with pytest.raises(error) as refused:
            open_weights(tmp_path, only_file)
        assert refused.value.path == path  # type: ignore[attr-defined]
    write_form(tmp_path, "bin")
    value, notes = chosen(tmp_path)
    assert value == FORMS["bin"]
    assert notes[0] == Note("weights_passed", {"chosen": "pytorch_model.bin", "other": "model.safetensors"})


def test_a_snapshot_of_a_cache_without_its_blobs_is_named_as_such(tmp_path: Path) -> None:
    made = write_llama(tmp_path / "made")
    snapshot = tmp_path / "models--owner--name" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    for path in made.folder.iterdir():
        (snapshot / path.name).symlink_to(path)
    open_checkpoint(snapshot).close()
    (made.folder / "config.json").unlink()
    with pytest.raises(BrokenLink) as broken:
        open_checkpoint(snapshot)
    assert broken.value.path == snapshot / "config.json"
    assert broken.value.target == str(made.folder / "config.json")


def test_an_adapter_beside_the_weights_is_told_of_unless_it_is_merged(tmp_path: Path) -> None:
    made = write_llama(tmp_path / "base")
    adapter = write_adapter(tmp_path / "adapter", made.weights, ["q_proj"])
    for path in Path(adapter.folder).iterdir():
        (made.folder / path.name).write_bytes(path.read_bytes())
    with open_checkpoint(made.folder) as checkpoint:
        assert [note.key for note in checkpoint.notes] == ["adapter_beside"]
    with open_checkpoint(made.folder, loras=[LoraChoice(adapter.folder)]) as checkpoint:
        assert "adapter_beside" not in [note.key for note in checkpoint.notes]
