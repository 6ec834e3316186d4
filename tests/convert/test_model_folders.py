"""Folders that programs and people keep models in, pointed at from above."""

from __future__ import annotations

import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from huggingface_hub.file_download import _create_symlink, repo_folder_name

from builders.checkpoints import write_bloom
from builders.gguf_models import write_model
from convert.detect import open_checkpoint
from convert.errors import AlreadyGguf, BrokenLink, EmptyFolder, NoWeights, SeveralCheckpoints
from convert.sources.byte_source import FileSource
from convert.sources.model_folders import find_model_folder, model_name

COMMIT, OLD = "a" * 40, "b" * 40


def cache(hub: Path, repo: str, checkpoint: Path, commit: str = COMMIT, *, main: str = COMMIT) -> Path:
    """The repository as huggingface_hub keeps it, bytes in blobs and links in snapshots; the snapshot."""
    root = hub / repo_folder_name(repo_id=repo, repo_type="model")
    snapshot = root / "snapshots" / commit
    for folder in (root / "blobs", root / "refs", snapshot):
        folder.mkdir(parents=True, exist_ok=True)
    (root / "refs" / "main").write_text(main)
    for file in checkpoint.iterdir():
        blob = root / "blobs" / sha256(f"{commit} {file.name}".encode()).hexdigest()
        shutil.copyfile(file, blob)
        _create_symlink(str(blob), str(snapshot / file.name), new_blob=True)
    return snapshot


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_bloom(tmp_path / "published").folder


def test_a_repository_of_the_cache_is_its_main_branchs_commit(tmp_path: Path, checkpoint: Path) -> None:
    hub = tmp_path / "缓存" / "hub"
    cache(hub, "BelleGroup/BELLE-7B-2M", checkpoint, OLD)
    snapshot = cache(hub, "BelleGroup/BELLE-7B-2M", checkpoint)

    for path in (snapshot, snapshot.parent, snapshot.parents[1], hub, hub.parent):
        with open_checkpoint(path) as opened:
            assert opened.path == snapshot
        assert model_name(find_model_folder(path)) == "BELLE-7B-2M"
    assert model_name(snapshot / "fp16") == "BELLE-7B-2M-fp16"


def test_a_commit_without_weights_is_not_the_one(tmp_path: Path, checkpoint: Path) -> None:
    """What looks for an update fetches config.json of the newest commit only."""
    newest = tmp_path / "newest"
    newest.mkdir()
    shutil.copyfile(checkpoint / "config.json", newest / "config.json")
    hub = tmp_path / "hub"
    cache(hub, "a/b", newest)
    older = cache(hub, "a/b", checkpoint, OLD)
    assert find_model_folder(hub) == older


def test_a_repository_may_have_its_model_in_a_folder(tmp_path: Path, checkpoint: Path) -> None:
    snapshot = cache(tmp_path / "hub", "a/b", checkpoint)
    (snapshot / "fp16").mkdir()
    for file in list(snapshot.iterdir()):
        if file.is_file():
            file.rename(snapshot / "fp16" / file.name)
    found = find_model_folder(tmp_path / "hub")
    assert found == snapshot / "fp16"
    assert model_name(found) == "b-fp16"


def test_commits_among_which_nothing_decides_are_named(tmp_path: Path, checkpoint: Path) -> None:
    hub = tmp_path / "hub"
    for commit in (OLD, COMMIT):
        cache(hub, "a/b", checkpoint, commit, main="c" * 40)
    with pytest.raises(SeveralCheckpoints) as refused:
        open_checkpoint(hub)
    assert refused.value.names == tuple(f"models--a--b/snapshots/{commit}" for commit in (COMMIT, OLD))


def test_a_cache_with_several_repositories_asks_for_one(tmp_path: Path, checkpoint: Path) -> None:
    hub = tmp_path / "hub"
    for name in "fedcba9":
        cache(hub, f"owner/{name}", checkpoint)
    (hub / "datasets--a--b").mkdir()
    (hub / "datasets--a--b" / "data.bin").write_bytes(b"1")
    with pytest.raises(SeveralCheckpoints) as refused:
        open_checkpoint(hub)
    assert refused.value.names[0] == f"models--owner--9/snapshots/{COMMIT}"
    assert refused.value.names[-1] == "…"


def test_folders_around_one_model_lead_to_it(tmp_path: Path, checkpoint: Path) -> None:
    root = tmp_path / "models"
    model = root / "publisher" / "model"
    shutil.copytree(checkpoint, model)
    (root / ".hidden").mkdir()
    (root / ".hidden" / "x.gguf").write_bytes(b"GGUF")
    os.symlink(root, root / "publisher" / "circle", target_is_directory=True)
    (root / "notes.txt").write_text("a note")
    for path in (root, root / "publisher", model):
        with open_checkpoint(path) as opened:
            assert opened.path == model

    (root / "publisher" / "other").mkdir()
    write_model(root / "publisher" / "other" / "q4.gguf")
    with pytest.raises(SeveralCheckpoints) as refused:
        open_checkpoint(root)
    assert refused.value.names == ("publisher/model", "publisher/other")


def test_a_folder_with_a_model_in_it_is_that_whatever_is_below(tmp_path: Path, checkpoint: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "output")
    shutil.copytree(checkpoint, tmp_path / "output" / "checkpoint-500")
    assert find_model_folder(tmp_path / "output") == tmp_path / "output"


@pytest.mark.parametrize("depth", [2, 3])
def test_it_does_not_look_everywhere(tmp_path: Path, checkpoint: Path, depth: int) -> None:
    root = tmp_path / "root"
    model = root.joinpath(*"abcde"[:depth])
    shutil.copytree(checkpoint, model)
    assert find_model_folder(root) == (model if depth == 2 else root)


def test_without_a_model_the_folder_itself_is_told_about(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoWeights) as refused:
        open_checkpoint(tmp_path)
    assert refused.value.path == tmp_path
    with pytest.raises(EmptyFolder):
        open_checkpoint(tmp_path / "empty")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_link_to_nothing_is_told_as_that(tmp_path: Path, checkpoint: Path, name: str) -> None:
    snapshot = cache(tmp_path, "a/b", checkpoint)
    blob = Path(os.path.realpath(snapshot / name))
    blob.unlink()
    for path in (snapshot.parents[1], snapshot):
        with pytest.raises(BrokenLink) as refused:
            open_checkpoint(path)
        assert refused.value.path == snapshot / name
        assert refused.value.target.endswith(blob.name)
    with pytest.raises(BrokenLink):
        FileSource(snapshot / name)


def test_a_shard_that_is_a_link_to_nothing(tmp_path: Path) -> None:
    sharded = write_bloom(tmp_path / "sharded", n_shards=3).folder
    snapshot = cache(tmp_path / "hub", "a/b", sharded)
    shard = "model-00002-of-00003.safetensors"
    Path(os.path.realpath(snapshot / shard)).unlink()
    with pytest.raises(BrokenLink) as refused:
        open_checkpoint(snapshot)
    assert refused.value.path == snapshot / shard


def test_a_folder_with_nothing_but_ggufs_needs_no_conversion(tmp_path: Path) -> None:
    (tmp_path / "publisher").mkdir()
    path = write_model(tmp_path / "publisher" / "q4.gguf")
    with pytest.raises(AlreadyGguf) as refused:
        open_checkpoint(tmp_path)
    assert refused.value.path == path
