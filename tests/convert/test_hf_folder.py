"""Which weight files a folder holds, whether all are there, and names that try to leave the folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders.checkpoints import write_json, write_safetensors, write_weights
from builders.torch_zip import write_torch_zip
from convert.errors import (
    DamagedFile,
    Detail,
    EmptyFolder,
    InvalidFile,
    KeyNeeded,
    MissingShard,
    NotWeights,
    NoWeights,
    SourceMissing,
)
from convert.sources.folder import LocalFolder
from convert.sources.hf_folder import open_weights

WEIGHTS = {f"层.{i}": np.full((2, 3), i, np.float32) for i in range(6)}
INDEX = "model.safetensors.index.json"


def tensors_of(folder: Path, only_file: Path | None = None) -> dict[str, Any]:
    with open_weights(folder, only_file) as weights:
        return {name: tensor.read_rows(0, 2) for name, tensor in weights.tensors.items()}


def check(found: dict[str, Any], factor: int = 1) -> None:
    assert found.keys() == WEIGHTS.keys()
    for name, values in WEIGHTS.items():
        np.testing.assert_array_equal(found[name], factor * values)


def write_index(folder: Path, weight_map: Any) -> None:
    write_json(folder / INDEX, {"weight_map": weight_map})


@pytest.mark.parametrize("n_shards", [1, 2, 3])
def test_single_files_and_indexed_shards_give_the_same_tensors(tmp_path: Path, n_shards: int) -> None:
    folder = tmp_path / "模型 检查点"
    folder.mkdir()
    write_weights(folder, WEIGHTS, n_shards=n_shards)
    check(tensors_of(folder))
    with open_weights(folder) as weights:
        assert weights.format.name == "safetensors"
        assert len(weights.paths) == n_shards
        assert weights.size_bytes == sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def test_shards_without_an_index_are_found_by_name(tmp_path: Path) -> None:
    write_weights(tmp_path, WEIGHTS, n_shards=2)
    (tmp_path / INDEX).unlink()
    check(tensors_of(tmp_path))


def test_a_shard_stands_for_its_set_and_any_file_name_for_itself(tmp_path: Path) -> None:
    write_weights(tmp_path, WEIGHTS, n_shards=2)
    check(tensors_of(tmp_path, tmp_path / "model-00002-of-00002.safetensors"))
    (tmp_path / INDEX).unlink()
    check(tensors_of(tmp_path, tmp_path / "model-00001-of-00002.safetensors"))
    write_torch_zip(tmp_path / "我的:模型.bin", WEIGHTS)
    check(tensors_of(tmp_path, tmp_path / "我的:模型.bin"))


def test_safetensors_win_over_the_same_model_as_torch_file(tmp_path: Path) -> None:
    write_torch_zip(tmp_path / "pytorch_model.bin", {name: 2 * values for name, values in WEIGHTS.items()})
    check(tensors_of(tmp_path), factor=2)
    write_weights(tmp_path, WEIGHTS)
    check(tensors_of(tmp_path))
    check(tensors_of(tmp_path, tmp_path / "pytorch_model.bin"), factor=2)


def test_an_opened_folder_serves_as_well_as_a_path(tmp_path: Path) -> None:
    write_weights(tmp_path, WEIGHTS, n_shards=2)
    with LocalFolder(tmp_path) as folder, open_weights(folder) as weights:
        assert set(weights.tensors) == set(WEIGHTS)


@pytest.mark.parametrize("indexed", [True, False])
def test_a_missing_shard_is_named(tmp_path: Path, indexed: bool) -> None:
    write_weights(tmp_path, WEIGHTS, n_shards=3)
    if not indexed:
        (tmp_path / INDEX).unlink()
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    for only_file in (None, tmp_path / "model-00001-of-00003.safetensors"):
        with pytest.raises(MissingShard) as missing:
            open_weights(tmp_path, only_file)
        assert missing.value.shard == "model-00002-of-00003.safetensors"


def test_an_index_may_name_tensors_that_no_shard_holds(tmp_path: Path) -> None:
    """The hub's conversion to safetensors drops copies of tied tensors, and keeps them in the index."""
    write_weights(tmp_path, WEIGHTS, n_shards=2)
    places = json.loads((tmp_path / INDEX).read_text())["weight_map"]
    write_index(tmp_path, {**places, "lm_head.weight": "model-00001-of-00002.safetensors"})
    check(tensors_of(tmp_path))


def test_a_tensor_in_two_shards_is_taken_from_the_one_that_the_index_names(tmp_path: Path) -> None:
    names = [f"model-{number:05d}-of-00002.safetensors" for number in (1, 2)]
    for factor, name in enumerate(names, start=1):
        write_safetensors(tmp_path / name, {key: factor * values for key, values in WEIGHTS.items()}, "f32")
    with pytest.raises(InvalidFile) as refused:
        open_weights(tmp_path)
    assert isinstance(refused.value.detail, Detail)
    assert refused.value.detail.key == "tensor_in_two_files"
    for factor, name in enumerate(names, start=1):
        write_index(tmp_path, {**dict.fromkeys(WEIGHTS, name), "x": names[0], "y": names[1]})
        check(tensors_of(tmp_path), factor)


@pytest.mark.parametrize(
    "name",
    ["../outside.safetensors", "/etc/passwd", "a/b.safetensors", "a\\b", "C:model", "a\0b", "", ".", ".."]
    + [None, 7, ["model.safetensors"], {}],
)  # fmt: skip
def test_an_index_can_not_lead_out_of_its_folder(tmp_path: Path, name: Any) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write_safetensors(tmp_path / "outside.safetensors", WEIGHTS, "f32")
    write_index(folder, {"w": name})
    with pytest.raises(InvalidFile):
        open_weights(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff"],
    ids=["empty", "cut", "no-text"],
)  # fmt: skip
def test_a_broken_index_is_damage(tmp_path: Path, content: bytes) -> None:
    (tmp_path / INDEX).write_bytes(content)
    with pytest.raises(DamagedFile):
        open_weights(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        *(b"[]", b"{}", b'{"weight_map": {}}', b'{"weight_map": []}', b'{"weight_map": {"a":1,"a":1}}'),
        *(b'{"a":' * 50_000, b" " * ((4 << 20) + 1)),
    ],
    ids=["list", "no-map", "empty-map", "list-map", "twice", "deep", "large"],
)
def test_an_index_that_is_whole_and_no_index_can_not_be_used(tmp_path: Path, content: bytes) -> None:
    (tmp_path / INDEX).write_bytes(content)
    with pytest.raises(InvalidFile):
        open_weights(tmp_path)


@pytest.mark.parametrize("name", ["model-00001-of-00000", "model-00003-of-00002", "model-00000-of-00002"])
def test_an_impossible_part_number_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.safetensors"
    write_safetensors(path, WEIGHTS, "f32")
    for only_file in (None, path):
        with pytest.raises(InvalidFile):
            open_weights(tmp_path, only_file)


def test_a_set_that_claims_very_many_parts_is_refused_at_the_first_missing_one(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model-00001-of-99999.safetensors", WEIGHTS, "f32")
    with pytest.raises(MissingShard) as missing:
        open_weights(tmp_path)
    assert missing.value.shard == "model-00002-of-99999.safetensors"


def test_folders_without_weights_are_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(EmptyFolder):
        open_weights(tmp_path)
    (tmp_path / "BELLE-7B").mkdir()
    (tmp_path / "model.safetensors").mkdir()
    for number in range(9):
        (tmp_path / f"file{number}.txt").touch()
    with pytest.raises(NoWeights) as found:
        open_weights(tmp_path)
    assert found.value.found[0] == "BELLE-7B"
    assert found.value.found[-1] == "…"
    with pytest.raises(NotWeights):
        open_weights(tmp_path, tmp_path / "file0.txt")


def test_what_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing):
        open_weights(tmp_path / "nowhere")
    with pytest.raises(SourceMissing):
        open_weights(tmp_path, tmp_path / "model.safetensors")
    with pytest.raises(SourceMissing), LocalFolder(tmp_path) as folder:
        folder.open("model.safetensors")
    with pytest.raises(InvalidFile), LocalFolder(tmp_path) as folder:
        folder.open("../model.safetensors")


def test_encrypted_files_without_a_key_say_so(tmp_path: Path) -> None:
    path = tmp_path / f"pytorch_model.bin.{'0' * 64}.enc"
    path.write_bytes(bytes(100))
    (tmp_path / "config.json").write_text(json.dumps({}))
    for only_file in (None, path):
        with pytest.raises(KeyNeeded):
            open_weights(tmp_path, only_file)
